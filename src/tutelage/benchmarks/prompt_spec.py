"""How the rows of a data set are asked: the fields that a benchmark, one of its ways and one of its parts may all set.

What a part sets wins over its way, and what a way sets over the benchmark.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field

from tutelage import metrics as known_metrics
from tutelage.benchmarks.extraction import rule
from tutelage.benchmarks.fields import Kind, Reading
from tutelage.benchmarks.validation import Block, Places
from tutelage.core.errors import InputError
from tutelage.core.strictjson import shorten
from tutelage.core.yamltext import FieldPath
from tutelage.templates import check as check_template

OF_CHOICES = ("choices", "logprobs", "lengths")
"""Fields that an answer to `choose` brings for metrics."""
BESIDE = ("part", "title")
"""What a template may read beside the row's columns."""


class Replacement(Block):
    """A regular expression and what stands in its place."""

    pattern: str = Field(min_length=1, description="A regular expression (Python's re).")
    by: str = Field(description="What stands in its place; \\1 is the first group.")


class Shots(Block):
    """Worked examples before a question: rows of a file, or the text of a file."""

    path: str = Field(
        "", description="A file of rows, put into words as the questions are; {part} is the part's name."
    )
    text: str = Field("", description="A file of worked examples as text; {part} is the part's name.")
    columns: tuple[str, ...] = Field((), description="The columns' names, where the file of rows has none.")
    count: int | None = Field(
        None, ge=0, le=1000, description="How many, from the first on; all when not given."
    )
    after: str = Field("", description="For text: it begins behind this line.")
    split: str = Field(
        "",
        description="For text: a regular expression between its examples; what is before the first one goes before them.",
    )
    replace: tuple[Replacement, ...] = Field((), description="For text: replacements in each example.")
    turns: bool = Field(
        False, description="Whether examples are earlier turns of the conversation, not text in the prompt."
    )


class Asking(Reading):
    """What a row is asked, and how the answer is read."""

    form: Literal["chat", "text"] = Field(
        "chat",
        description="chat: a user's turn in the model's chat template; text: a text that the answer goes on from.",
    )
    kind: Kind = Field("choose", description="choose: the likeliest of the choices; generate: greedy text.")
    before: str = Field(
        "", description="A Jinja template of part and title: what stands once before examples and question."
    )
    prompt: str = Field("", description="A Jinja template over the row's columns: the question.")
    between: str = Field("\n\n", description="What stands between examples, and before the question.")
    join: str = Field(
        "",
        description="What stands between a question and its answer, in examples and before choices of form: text.",
    )
    choices: str | tuple[str, ...] = Field(
        (), description="Templates of the choices, or the column that holds them as a list."
    )
    labels: tuple[str, ...] | Literal["index"] = Field(
        (),
        description="What the answer says for each choice in turn; index: its number from 0. Else the answer is a choice's text.",
    )
    answer: str = Field("", description="A template of the right answer.")
    references: str = Field(
        "", description="For generate: the column with all right answers, a text or a list of texts."
    )
    shots: Shots | None = Field(None, description="Worked examples before the question.")
    metrics: tuple[str, ...] = Field(
        ("accuracy",), min_length=1, description="The first one is the primary one."
    )


FIELDS = tuple(Asking.model_fields)


def merged(*layers: Asking) -> Asking:
    """The fields of all layers; where two set one, the later has it."""
    values: dict[str, Any] = {}
    for layer in layers:
        values |= {name: getattr(layer, name) for name in FIELDS if name in layer.model_fields_set}
    return Asking.model_construct(**values)


class Checker:
    """Looks for contradictions in what is asked, naming each at the layer that says it.

    Args:
        places: where the spec's fields stand.
    """

    def __init__(self, places: Places) -> None:
        self._places = places

    def mistakes(self, asked: Asking, layers: Mapping[FieldPath, Asking]) -> Iterator[InputError]:
        """What cannot be as it is.

        Args:
            asked: the fields of all layers.
            layers: the layers by their places in the spec, the last one being the strongest.
        """

        def at(name: str) -> str:
            holders = [path for path, layer in layers.items() if name in layer.model_fields_set]
            return self._places((*(holders[-1] if holders else ()), name))

        if not asked.prompt:
            yield InputError(
                "there is no prompt", where=at("prompt"), expected=f"such as {'Question: {{ question }}'!r}"
            )
        yield from _of_templates(asked, at)
        yield from (_of_choices if asked.kind == "choose" else _of_generation)(asked, at)
        yield from _of_metrics(asked, at)
        if asked.shots is not None:
            yield from _of_shots(asked, asked.shots, at)


def is_template(text: str) -> bool:
    """Whether a text is to be filled in; what is none stands as it is."""
    return "{{" in text or "{%" in text


def _of_templates(asked: Asking, at: Any) -> Iterator[InputError]:
    texts = [("prompt", asked.prompt), ("answer", asked.answer), ("before", asked.before)]
    if isinstance(asked.choices, tuple):
        texts += [("choices", text) for text in asked.choices]
    for name, text in texts:
        if not is_template(text):
            if name == "prompt" and text:
                yield InputError(
                    "the prompt uses no column of the rows",
                    where=at(name),
                    found=shorten(text),
                    expected="at least one {{ column }}",
                )
            continue
        try:
            names = check_template(text, where=at(name))
        except InputError as error:
            yield error
            continue
        if name == "before" and (foreign := sorted(set(names) - set(BESIDE))):
            yield InputError(
                "before is said once for all rows and can use none of their columns",
                where=at(name),
                found=", ".join(foreign),
                expected=" or ".join(BESIDE),
                fix="move it into prompt",
            )


def _of_choices(asked: Asking, at: Any) -> Iterator[InputError]:
    for name in ("max_new_tokens", "stop", "extraction", "references"):
        if getattr(asked, name) != Asking.model_fields[name].default:
            yield InputError(
                f"{name} has no meaning for kind: choose",
                where=at(name),
                fix="remove it, or set kind: generate",
            )
    if not asked.choices:
        yield InputError(
            "there are no choices", where=at("choices"), expected="templates, or the column that holds them"
        )
    if not asked.answer:
        yield InputError(
            "which choice is right is not said",
            where=at("answer"),
            expected="a template, such as {{ answer }}",
        )
    few = isinstance(asked.choices, tuple) and len(asked.choices) == 1
    if few or (isinstance(asked.choices, tuple) and len(set(asked.choices)) < len(asked.choices)):
        yield InputError(
            "the choices must be two or more different texts",
            where=at("choices"),
            found=", ".join(map(shorten, asked.choices)),
        )
    if (
        isinstance(asked.labels, tuple)
        and asked.labels
        and isinstance(asked.choices, tuple)
        and len(asked.labels) != len(asked.choices)
    ):
        yield InputError(
            "there must be a label for each choice",
            where=at("labels"),
            found=f"{len(asked.labels)} labels and {len(asked.choices)} choices",
        )


def _of_generation(asked: Asking, at: Any) -> Iterator[InputError]:
    if asked.normalise != "none":
        yield InputError(
            "normalise has no meaning for kind: generate",
            where=at("normalise"),
            fix="remove it, or set kind: choose",
        )
    if asked.max_new_tokens == 0:
        yield InputError(
            "an answer must be allowed some tokens",
            where=at("max_new_tokens"),
            expected="a whole number from 1",
            fix="set max_new_tokens to a little more than the longest right answer needs",
        )
    if not (asked.answer or asked.references):
        yield InputError(
            "what is right is not said",
            where=at("answer"),
            expected="answer, a template, or references, a column",
        )
    if "" in asked.stop:
        yield InputError("a stop text is empty", where=at("stop"), found='""', fix="remove it")
    try:
        rule(asked.extraction, where=at("extraction"))
    except InputError as error:
        yield error


def _of_metrics(asked: Asking, at: Any) -> Iterator[InputError]:
    for name in asked.metrics:
        try:
            known_metrics.check_scores_answers(
                name, without_fields=True, provided=OF_CHOICES if asked.kind == "choose" else ()
            )
        except InputError as error:
            yield InputError(
                error.problem,
                where=at("metrics"),
                found=error.found or name,
                expected=error.expected,
                fix=error.fix,
            )


def _of_shots(asked: Asking, shots: Shots, at: Any) -> Iterator[InputError]:
    if bool(shots.path) == bool(shots.text):
        yield InputError(
            "shots are rows or a text",
            where=at("shots"),
            found="both" if shots.path else "neither",
            expected="one of path, text",
        )
    if shots.turns and (asked.form == "text" or shots.text):
        yield InputError("only rows of form: chat can be turns", where=at("shots"), fix="remove turns")
    for name in ("after", "split", "replace"):
        if shots.path and getattr(shots, name):
            yield InputError(f"{name} is for shots of a text", where=at("shots"), fix="remove it")
