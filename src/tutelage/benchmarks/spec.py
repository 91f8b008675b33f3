"""A benchmark's spec: what its parts ask, how an answer is read, and which metrics count.

The spec is YAML beside its items (JSONL). Every mistake is reported with file and line, all at once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tutelage import metrics
from tutelage.benchmarks.extraction import Rule, rule
from tutelage.core import files
from tutelage.core.errors import InputError, nearest, raise_all
from tutelage.core.nouns import Json
from tutelage.core.strictjson import kind as json_kind
from tutelage.core.strictjson import shorten
from tutelage.core.yamltext import Path as FieldPath
from tutelage.core.yamltext import read

INPUT = "{input}"
CHOICE = "{choice}"
_WORDS = {
    "int_type": "a whole number",
    "string_type": "text",
    "tuple_type": "a list",
    "dict_type": "names with values",
    "model_type": "fields with values",
    "string_too_short": "some text",
    "too_short": "at least one",
    "string_pattern_mismatch": "letters, digits, . _ and -, beginning with a letter or digit",
}
"""What was expected, where pydantic says it in the words of Python."""


class _Block(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class PartSpec(_Block):
    """One part: items that are asked and read alike."""

    title: str = Field(min_length=1, description="What the part is about, for people.")
    kind: Literal["choose", "generate"] = Field(
        description="choose: the likeliest of an item's choices; generate: greedy text."
    )
    prefix: str = Field(
        "", description="Fixed text before every prompt of the part, such as worked examples; never an item."
    )
    prompt: str = Field(INPUT, description="The user's turn; {input} stands once in it.")
    choices: tuple[str, ...] = Field((), description="The choices of every item; else each item has its own.")
    answer: str = Field(CHOICE, description="How a choice is said; {choice} stands once in it.")
    normalise: Literal["none", "characters"] = Field(
        "none",
        description="What a choice's summed log-probability is divided by: nothing, or its length in characters.",
    )
    max_new_tokens: int = Field(0, ge=0, le=4096, description="For generate: the most tokens of an answer.")
    stop: tuple[str, ...] = Field((), description="For generate: texts that end an answer.")
    extraction: str = Field(
        "whole", description="For generate: the rule that takes the answer out of the text."
    )

    @property
    def rule(self) -> Rule:
        """The extraction rule; its name was checked when the spec was read."""
        return rule(self.extraction, where="extraction")


class Spec(_Block):
    """A benchmark as its spec.yaml says it."""

    version: int = Field(ge=1, description="Raised with every change of items or prompts: scores do not mix.")
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Letters, digits, . _ -")
    title: str = Field(min_length=1, description="What it measures, in one line.")
    description: str = Field("", description="More about it, and where its items are from.")
    licence: str = Field("", description="Of the items.")
    language: str = Field("en", min_length=2, description="Of the items.")
    items: str = Field(
        min_length=1, description="The items' file, relative to the spec, else to the data folder."
    )
    development: str = Field(
        "", description="Items to choose prompts and difficulty on, never scored as the benchmark."
    )
    metrics: tuple[str, ...] = Field(
        ("accuracy",), min_length=1, description="The first one is the primary one."
    )
    parts: Mapping[str, PartSpec] = Field(min_length=1, description="The parts by name.")


@dataclass(frozen=True, slots=True)
class _Places:
    file: str
    lines: Mapping[FieldPath, int]

    def __call__(self, path: FieldPath) -> str:
        """`file:line: field.path`, with the line of the nearest field that stands in the file."""
        dotted = ".".join(map(str, path))
        known = next(path[:n] for n in range(len(path), -1, -1) if path[:n] in self.lines or n == 0)
        place = f"{self.file}:{self.lines.get(known, 1)}"
        return f"{place}: {dotted}" if dotted else place


def read_spec(path: Path, *, shown: str) -> Spec:
    """Read and check a spec.

    Args:
        path: the YAML file.
        shown: its name in errors.

    Raises:
        InputError: a mistake with file, line and field; InputErrors for several.
    """
    text = _decode(path, shown)
    document = read(text, file=shown)
    places = _Places(shown, document.lines)
    if not isinstance(document.value, dict):
        raise InputError(
            "the file is no benchmark spec",
            where=shown,
            found="nothing" if document.value is None else json_kind(document.value),
            expected="fields: " + ", ".join(Spec.model_fields),
            fix="see `docs/benchmarks.md` for a small spec to start from",
        )
    spec, errors = _validate(document.value, places)
    if spec is not None:
        errors += _contradictions(spec, places)
    raise_all(shown, errors)
    assert spec is not None
    return spec


def _decode(path: Path, shown: str) -> str:
    content = files.read_bytes(
        path, what="the benchmark's spec", fix="name a spec.yaml, or the folder it is in"
    )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            "the spec is not UTF-8",
            where=f"{shown}:{line}",
            found=f"0x{content[error.start]:02x}",
            expected="UTF-8",
            fix="save the file as UTF-8",
        ) from None


def _validate(value: dict[str, Json], places: _Places) -> tuple[Spec | None, list[InputError]]:
    try:
        return Spec.model_validate(_tuples(value)), []
    except ValidationError as error:
        return None, [_mistake(details, places) for details in error.errors(include_url=False)]


def _tuples(value: Json) -> Any:
    """Lists as tuples: pydantic's strict mode takes no list for one."""
    if isinstance(value, dict):
        return {key: _tuples(inner) for key, inner in value.items()}
    return tuple(_tuples(inner) for inner in value) if isinstance(value, list) else value


def _mistake(details: Any, places: _Places) -> InputError:
    path: FieldPath = details["loc"]
    fields = PartSpec.model_fields if len(path) == 3 and path[0] == "parts" else Spec.model_fields
    if details["type"] == "missing":
        return InputError(
            f"the field {path[-1]} is missing",
            where=places(path),
            expected=fields[str(path[-1])].description,
            fix="add it",
        )
    if details["type"] == "extra_forbidden":
        close = nearest(str(path[-1]), list(fields))
        return InputError(
            "there is no such field",
            where=places(path),
            found=str(path[-1]),
            expected=", ".join(fields),
            fix=f"did you mean {close}?" if close else "remove it",
        )
    found = details["input"]
    return InputError(
        "the value does not fit",
        where=places(path),
        found=shorten(found) if isinstance(found, str) else json.dumps(found, ensure_ascii=False)[:60],
        expected=_WORDS.get(details["type"], details["msg"].removeprefix("Input should be ")),
        fix=_fix(details, fields),
    )


def _fix(details: Any, fields: Mapping[str, Any]) -> str | None:
    """What to do about a value that does not fit: the nearest choice, or what the field is for."""
    path, value = details["loc"], details["input"]
    if details["type"] == "literal_error" and isinstance(value, str):
        allowed = str(details["ctx"]["expected"]).replace(" or ", ", ").replace("'", "").split(", ")
        if close := nearest(value, allowed):
            return f"did you mean {close}?"
    field = fields.get(str(path[-1]))
    return f"{path[-1]}: {field.description}" if field is not None else None


def _contradictions(spec: Spec, places: _Places) -> list[InputError]:
    errors = []
    for index, name in enumerate(spec.metrics):
        try:
            metrics.check_for_answers(name, bare=True)
        except InputError as error:
            place = places(("metrics", index))
            errors.append(
                InputError(
                    error.problem,
                    where=place,
                    found=error.found or name,
                    expected=error.expected,
                    fix=error.fix,
                )
            )
    for name, part in spec.parts.items():
        errors += _of_part(part, ("parts", name), places)
    return errors


def _of_part(part: PartSpec, path: FieldPath, places: _Places) -> list[InputError]:
    errors = []
    for field, text, mark in (("prompt", part.prompt, INPUT), ("answer", part.answer, CHOICE)):
        if text.count(mark) != 1:
            errors.append(
                InputError(
                    f"{mark} must stand once in {field}",
                    where=places((*path, field)),
                    found=f"{text.count(mark)} times in {shorten(text)}",
                    expected=f'such as "Question: {mark}"' if mark == INPUT else f'such as "It is {mark}."',
                )
            )
    foreign = {
        "choose": ("max_new_tokens", "stop", "extraction"),
        "generate": ("choices", "answer", "normalise"),
    }[part.kind]
    for field in sorted(set(foreign) & part.model_fields_set):
        errors.append(
            InputError(
                f"{field} has no meaning for kind: {part.kind}",
                where=places((*path, field)),
                found=json.dumps(getattr(part, field), ensure_ascii=False)[:60],
                fix="remove it, or change kind",
            )
        )
    if part.kind == "generate":
        errors += _of_generation(part, path, places)
    elif part.choices and (
        len(set(part.choices)) < max(2, len(part.choices)) or not all(map(str.strip, part.choices))
    ):
        errors.append(
            InputError(
                "the choices must be two or more different texts",
                where=places((*path, "choices")),
                found=", ".join(map(shorten, part.choices)),
            )
        )
    return errors


def _of_generation(part: PartSpec, path: FieldPath, places: _Places) -> list[InputError]:
    errors = []
    if part.max_new_tokens == 0:
        errors.append(
            InputError(
                "an answer must be allowed some tokens",
                where=places((*path, "max_new_tokens")),
                found="0" if "max_new_tokens" in part.model_fields_set else "no such field",
                expected="a whole number from 1",
                fix="set max_new_tokens to a little more than the longest right answer needs",
            )
        )
    try:
        rule(part.extraction, where=places((*path, "extraction")))
    except InputError as error:
        errors.append(error)
    if "" in part.stop:
        errors.append(
            InputError("a stop text is empty", where=places((*path, "stop")), found='""', fix="remove it")
        )
    return errors
