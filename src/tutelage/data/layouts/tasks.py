"""Reads Super-NaturalInstructions, Self-Instruct, FLAN chains of thought, entities, translation pairs and classification."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from tutelage.core import yamltext
from tutelage.core.errors import InputError
from tutelage.core.strictjson import json_kind, shorten
from tutelage.core.suggestions import did_you_mean
from tutelage.core.types import Json
from tutelage.data.layouts.options import Fields, LabelMapping, LayoutRow, MissingColumnError, ReadOptions
from tutelage.metrics import mentions

CHAIN_FIELDS = ("question", "answer", "rationale")
TAG_FIELDS = ("tags", "ner_tags")
LABEL_FIELDS = ("label", "category", "intent", "labels", "class", "sentiment", "topic")
_FIX = "correct the row, or leave it out"


@cache
def languages() -> dict[str, str]:
    """Language names by language code."""
    table = yamltext.table("tutelage.data.layouts", "languages.yaml")
    return {str(code): str(name) for code, name in table.items()}


def is_super_ni(fields: Fields) -> bool:
    """Whether a row is an instance of a task with a definition."""
    return "Definition" in fields and "output" in fields


def super_ni(fields: Fields, _options: ReadOptions, where: str) -> Iterator[LayoutRow]:
    """Read an instance: definition, input, the first output as answer, all outputs as references."""
    definition = _joined_text(fields.get("Definition"), "Definition", where)
    outputs = fields.get("output")
    texts = [outputs] if isinstance(outputs, str) else outputs
    if not isinstance(texts, list) or not texts or not all(isinstance(t, str) and t.strip() for t in texts):
        raise _field_error("output", where, outputs, "a text, or a list of texts that are not empty")
    metadata: dict[str, Json] = {name: fields[name] for name in ("id", "Categories") if name in fields}
    text = fields.get("input", "")
    if not isinstance(text, str):
        raise _field_error("input", where, text, "text")
    references: list[Json] = [*texts]
    yield LayoutRow(
        {**metadata, "definition": definition, "input": text, "output": texts[0], "references": references}
    )


def is_self_instruct(fields: Fields) -> bool:
    """Whether a row is an instruction with instances."""
    return isinstance(fields.get("instances"), list) and "instruction" in fields


def self_instruct(fields: Fields, _options: ReadOptions, where: str) -> Iterator[LayoutRow]:
    """Read one row for each instance: instruction, input, output."""
    instances = fields.get("instances")
    if not isinstance(instances, list) or not instances:
        raise _field_error("instances", where, instances, "a list of objects with input and output")
    other_fields = {name: value for name, value in fields.items() if name != "instances"}
    for number, instance in enumerate(instances, 1):
        if not isinstance(instance, dict) or "output" not in instance:
            raise _field_error(f"instances[{number - 1}]", where, instance, "an object with input and output")
        yield LayoutRow({**other_fields, **instance}, number)


def is_flan_cot(fields: Fields) -> bool:
    """Whether a row is a question with its answer and the reasoning, as FLAN's files write it."""
    return set(fields) == set(CHAIN_FIELDS)


def flan_cot(fields: Fields, _options: ReadOptions, where: str) -> Iterator[LayoutRow]:
    r"""Read question, answer and rationale; a written \n in them is a line break."""
    cleaned: dict[str, Json] = dict(fields)
    for name in CHAIN_FIELDS:
        value = fields.get(name)
        if not isinstance(value, str):
            raise _field_error(name, where, value, "text")
        cleaned[name] = value.replace("\\n", "\n").strip()
    yield LayoutRow(cleaned)


def is_entities(fields: Fields) -> bool:
    """Whether a row is a sentence as tokens with a tag for each."""
    return isinstance(fields.get("tokens"), list) and any(isinstance(fields.get(n), list) for n in TAG_FIELDS)


def entities(fields: Fields, options: ReadOptions, where: str) -> Iterator[LayoutRow]:
    """Read a tagged sentence: tokens, tags, the sentence as text, and its entities as text."""
    name = next((name for name in TAG_FIELDS if name in fields), "tags")
    tokens, tags = _texts(fields, "tokens", where), _texts(fields, name, where)
    if len(tokens) != len(tags):
        raise _field_error(name, where, f"{len(tags)} tags", f"{len(tokens)} tags, one a token")
    bad_tag = next(
        (tag for tag in tags if tag != "O" and tag[:2] not in ("B-", "I-", "E-", "S-", "L-", "U-", "M-")),
        None,
    )
    if bad_tag is not None:
        raise _field_error(name, where, bad_tag, "O, or B-, I-, E-, S- and a type")
    text = mentions.join_tokens(tokens)
    if not text:
        options.note("sentences have no text, and are no rows")
        return
    for _ in range(sum(not token.strip() for token in tokens)):
        options.note("tokens are empty, and stand in no text")
    other_fields = {key: value for key, value in fields.items() if key not in (name, "tokens")}
    entity_text = mentions.to_text(tokens, tags)
    yield LayoutRow(
        {**other_fields, "tokens": [*tokens], "tags": [*tags], "text": text, "entities": entity_text}
    )


def is_translation(fields: Fields) -> bool:
    """Whether a row is a text in two languages, named by their codes."""
    return _language_pair(fields, ()) is not None


def translation(fields: Fields, options: ReadOptions, where: str) -> Iterator[LayoutRow]:
    """Read a translation pair: source, target and the languages' names, in the order of the columns."""
    pair = _language_pair(fields, options.columns)
    if pair is None:
        raise InputError(
            "the row is no pair of texts in two languages",
            where=where,
            found="the fields " + ", ".join(fields),
            expected='columns such as en and de, or {"translation": {"en": "...", "de": "..."}}',
            fix="name the two columns: columns: [en, de]",
        )
    (source, target), texts = pair
    for name in (source, target):
        value = texts[name]
        if not isinstance(value, str) or not value.strip():
            raise _field_error(name, where, value, "a text that is not empty")
    other_fields = {n: v for n, v in fields.items() if n not in (source, target, "translation")}
    yield LayoutRow(
        {
            **other_fields,
            "source": texts[source],
            "target": texts[target],
            "source_language": languages().get(source, source),
            "target_language": languages().get(target, target),
        }
    )


def _language_pair(fields: Fields, columns: tuple[str, ...]) -> tuple[tuple[str, str], Fields] | None:
    nested = fields.get("translation")
    texts = nested if isinstance(nested, dict) else fields
    # A column called id names rows far more often than it holds Indonesian.
    names = columns or tuple(n for n in texts if n in languages() and (n != "id" or texts is nested))
    if len(names) == 2 and all(name in texts for name in names):
        return (names[0], names[1]), texts
    return None


def classification(fields: Fields, options: ReadOptions, where: str) -> Iterator[LayoutRow]:
    """Read a labelled row: the label's name as `label`, and all names as `options` if the recipe asks for them."""
    labels = options.labels or LabelMapping({})
    column = labels.column or _label_column(fields, where)
    if column not in fields:
        raise MissingColumnError(
            f"the row has no field {column}",
            where=where,
            found="the fields " + ", ".join(fields),
            expected="a field that holds the label",
            fix=did_you_mean(column, list(fields), form="labels.column: {}") or "correct labels.column",
        )
    value = fields[column]
    key = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    label_names = list(dict.fromkeys(labels.names.values()))
    name = labels.names.get(key, key if key in label_names or not label_names else None)
    if not name:
        raise InputError(
            f"the field {column} names no label",
            where=where,
            found=shorten(key) if key else json_kind(value),
            expected=", ".join([*label_names[:8], "..."] if len(label_names) > 8 else label_names),
            fix=did_you_mean(key, label_names) or _FIX,
        )
    other_fields = {n: v for n, v in fields.items() if n != column}
    yield LayoutRow(
        {**other_fields, "label": name, **({"options": [*label_names]} if labels.options else {})}
    )


def _label_column(fields: Fields, where: str) -> str:
    candidates = [name for name in LABEL_FIELDS if name in fields]
    if len(candidates) == 1:
        return candidates[0]
    guess = candidates[0] if candidates else next(reversed(list(fields)), "label")
    raise MissingColumnError(
        "the columns do not say which one holds the label",
        where=where,
        found="the columns " + ", ".join(fields),
        expected="one column such as " + ", ".join(LABEL_FIELDS[:3]),
        fix=f"write into labels  column: {guess}",
    )


def _joined_text(value: Json, name: str, where: str) -> str:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise _field_error(name, where, value, "a text, or a list of texts")
    return "\n".join(str(text) for text in texts)


def _texts(fields: Fields, name: str, where: str) -> list[str]:
    value = fields.get(name)
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return [str(item) for item in value]
    numbers = isinstance(value, list) and any(isinstance(item, int) for item in value)
    raise _field_error(
        name, where, "numbers without their names" if numbers else value, "a list of texts, at least one"
    )


def _field_error(name: str, where: str, value: Json, expected: str) -> InputError:
    finding = (
        f"{json_kind(value)}: {shorten(str(value), 40)}" if value is not None else "null, or no such field"
    )
    return InputError(
        f"the field {name} is not what its layout has there",
        where=where,
        found=finding,
        expected=expected,
        fix=_FIX,
    )
