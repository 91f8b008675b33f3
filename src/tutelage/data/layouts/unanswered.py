"""Reads rows that are to be answered, not learned: any layout, whether or not the rows hold their answers.

Layouts insist on answers, since rows are mostly learned. Here a stand-in takes the place of an answer that is missing, and is taken
out of what the layout makes of the row. A conversation that ends with a user's turn asks for the answer to that turn alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tutelage.core.types import Json
from tutelage.data.layouts.options import Fields, LayoutRow, ReadOptions
from tutelage.data.layouts.registry import Layout
from tutelage.data.layouts.tasks import LABEL_FIELDS, TAG_FIELDS

_STAND_IN = "-"
_SPEAKERS = {
    "messages": (("role", "content"), ("user",), "assistant"),
    "sharegpt": (("from", "value"), ("user", "human"), "gpt"),
}
"""By layout: a turn's keys, who asks, and who answers."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """A layout's answer.

    Attributes:
        fill: the row with a stand-in for its answer; None where the answer is there, or the row is of another layout.
        fields: what the layout makes of the answer.
        is_last_only: whether only the last of several rows lacks its answer, and is asked alone.
    """

    fill: Callable[[Fields, ReadOptions], dict[str, Json] | None]
    fields: tuple[str, ...]
    is_last_only: bool = False


def read(layout: Layout, fields: Fields, options: ReadOptions, where: str) -> Iterator[LayoutRow]:
    """The rows that a layout makes of a raw row, those without answers among them.

    Args:
        layout: the layout.
        fields: the raw row.
        options: how to read it.
        where: its place, for errors.

    Raises:
        InputError: the row is wrong in something else than its answer.
    """
    answer = _ANSWERS.get(layout.name)
    filled = None if answer is None else answer.fill(fields, options)
    if answer is None or filled is None:
        yield from layout.read(fields, options, where)
        return
    rows = list(layout.read(filled, options, where))
    for row in rows[-1:] if answer.is_last_only else rows:
        yield row._replace(
            fields={name: value for name, value in row.fields.items() if name not in answer.fields}
        )


def with_stand_ins(fields: dict[str, Json]) -> dict[str, Json]:
    """A raw row with stand-ins for the answers by which some layouts are recognised."""
    options = ReadOptions()
    filled = (_ANSWERS[name].fill(fields, options) for name in ("super-ni", "entities", "messages"))
    return next((row for row in filled if row is not None), fields)


def _is_missing(value: Json) -> bool:
    return value is None or value in ("", [])


def _fill_conversation(layout: str) -> Callable[[Fields, ReadOptions], dict[str, Json] | None]:
    (role_key, content_key), askers, answerer = _SPEAKERS[layout]

    def fill(fields: Fields, _options: ReadOptions) -> dict[str, Json] | None:
        for name in ("messages", "conversations", "conversation", "prompt"):
            turns = fields.get(name)
            if not isinstance(turns, list) or not turns or not isinstance(turns[-1], dict):
                continue
            speaker = turns[-1].get(role_key)
            if not isinstance(speaker, str) or speaker.strip().lower() not in askers:
                continue
            turn: dict[str, Json] = {role_key: answerer, content_key: _STAND_IN}
            if name != "prompt":
                return {**fields, name: [*turns, turn]}
            if _is_missing(fields.get("completion")):
                return {**fields, "completion": [turn]}
        return None

    return fill


def _fill_super_ni(fields: Fields, _options: ReadOptions) -> dict[str, Json] | None:
    if "Definition" not in fields or not _is_missing(fields.get("output")):
        return None
    return {**fields, "output": _STAND_IN}


def _fill_self_instruct(fields: Fields, _options: ReadOptions) -> dict[str, Json] | None:
    instances = fields.get("instances")
    objects = (
        [instance for instance in instances if isinstance(instance, dict)]
        if isinstance(instances, list)
        else []
    )
    if not isinstance(instances, list) or len(objects) < len(instances):
        return None
    if not any(_is_missing(instance.get("output")) for instance in objects):
        return None
    return {**fields, "instances": [{**instance, "output": _STAND_IN} for instance in objects]}


def _fill_entities(fields: Fields, _options: ReadOptions) -> dict[str, Json] | None:
    tokens = fields.get("tokens")
    is_tagged = any(not _is_missing(fields.get(name)) for name in TAG_FIELDS)
    if is_tagged or not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        return None
    return {**fields, "tags": ["O"] * len(tokens)}


def _fill_translation(fields: Fields, options: ReadOptions) -> dict[str, Json] | None:
    """Only the recipe's columns say into which language a row with a single text is translated."""
    nested = fields.get("translation")
    texts = nested if isinstance(nested, dict) else fields
    if len(options.columns) != 2 or not _is_missing(texts.get(options.columns[1])):
        return None
    filled = {**texts, options.columns[1]: _STAND_IN}
    return {**fields, "translation": filled} if texts is nested else filled


def _fill_label(fields: Fields, options: ReadOptions) -> dict[str, Json] | None:
    column = options.labels.column if options.labels is not None else None
    names = (column,) if column is not None else LABEL_FIELDS
    if any(not _is_missing(fields.get(name)) for name in names):
        return None
    value = next(iter(options.labels.names), _STAND_IN) if options.labels is not None else _STAND_IN
    kept = {name: field for name, field in fields.items() if name not in names}
    return {**kept, column or LABEL_FIELDS[0]: value}


_ANSWERS = {
    "messages": _Answer(_fill_conversation("messages"), ("completion",), is_last_only=True),
    "sharegpt": _Answer(_fill_conversation("sharegpt"), ("completion",), is_last_only=True),
    "super-ni": _Answer(_fill_super_ni, ("output", "references")),
    "self-instruct": _Answer(_fill_self_instruct, ("output",)),
    "entities": _Answer(_fill_entities, ("tags", "entities")),
    "translation": _Answer(_fill_translation, ("target",)),
    "classification": _Answer(_fill_label, ("label",)),
}
