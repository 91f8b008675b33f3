"""A benchmark's spec: what its parts ask, how an answer is read, and which metrics count.

The spec is YAML beside its items (JSONL). Every mistake is reported with file and line, all at once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from tutelage import metrics
from tutelage.benchmarks.extraction import Rule, rule
from tutelage.benchmarks.fields import About, Belonging, Kind, Reading
from tutelage.benchmarks.validation import Places, read_document, validate
from tutelage.core.errors import InputError, raise_all
from tutelage.core.strictjson import shorten
from tutelage.core.types import Json
from tutelage.core.yamltext import FieldPath

INPUT = "{input}"
CHOICE = "{choice}"


class PartSpec(Belonging, Reading):
    """One part: items that are asked and read alike."""

    title: str = Field(min_length=1, description="What the part is about, for people.")
    kind: Kind = Field(description="choose: the likeliest of an item's choices; generate: greedy text.")
    prefix: str = Field(
        "", description="Fixed text before every prompt of the part, such as worked examples; never an item."
    )
    prompt: str = Field(INPUT, description="The user's turn; {input} stands once in it.")
    choices: tuple[str, ...] = Field((), description="The choices of every item; else each item has its own.")
    answer: str = Field(CHOICE, description="How a choice is said; {choice} stands once in it.")

    @property
    def rule(self) -> Rule:
        """The extraction rule; its name was checked when the spec was read."""
        return rule(self.extraction, where="extraction")


class Spec(About):
    """A benchmark as its spec.yaml says it."""

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


def read_spec(path: Path, *, shown: str) -> Spec:
    """Read and check a spec whose items are in a file of their own form: see `check_spec`.

    Args:
        path: the YAML file.
        shown: its name in errors.
    """
    return check_spec(*read_document(path, shown=shown, fields=Spec.model_fields))


def check_spec(value: dict[str, Json], places: Places) -> Spec:
    """Check a spec whose items are in a file of their own form.

    Args:
        value: the spec's fields.
        places: where they stand.

    Raises:
        InputError: a mistake with file, line and field; InputErrors for several.
    """
    spec, errors = validate(Spec, value, places)
    if spec is not None:
        errors += _contradictions(spec, places)
    raise_all(places.file, errors)
    assert spec is not None
    return spec


def _contradictions(spec: Spec, places: Places) -> list[InputError]:
    errors = []
    for index, name in enumerate(spec.metrics):
        try:
            metrics.check_scores_answers(name, without_fields=True)
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


def _of_part(part: PartSpec, path: FieldPath, places: Places) -> list[InputError]:
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


def _of_generation(part: PartSpec, path: FieldPath, places: Places) -> list[InputError]:
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
