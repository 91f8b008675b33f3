"""The prompt settings of a benchmark over rows. The benchmark, each of its ways and each of its parts may set them.

A part overrides its way, and a way overrides the benchmark.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from tutelage import metrics
from tutelage.benchmarks.extraction import rule
from tutelage.benchmarks.fields import BESIDE, AnswerSettings, HubRows, Kind, PartPath, TaskScoring
from tutelage.benchmarks.row_layouts import LayoutName
from tutelage.core.errors import InputError
from tutelage.core.patterns import Pattern
from tutelage.core.strictjson import shorten
from tutelage.core.validation import Block, Places
from tutelage.core.yamltext import FieldPath
from tutelage.templates import check as check_template

CHOICE_FIELDS = ("choices", "logprobs", "lengths")
"""Fields that an answer to `choose` brings for metrics."""
_FieldPlace = Callable[[str], str]
"""A field's name to the place of the layer that sets it."""


class Replacement(Block):
    """A regular expression, and the text that replaces its matches."""

    pattern: str = Field(min_length=1, description="A regular expression (Python's re).")
    by: str = Field(description="What stands in its place; \\1 is the first group.")


class ExemplarSpec(Block):
    """Exemplars (worked examples) before a question: rows of a file, or the text of a file."""

    path: PartPath = Field(
        "", description="A file of rows, put into words as the questions are; {{ part }} is the part's name."
    )
    hub: HubRows | None = Field(None, description="Rows of a dataset on the hub, instead of path.")
    text: PartPath = Field("", description="A file of exemplars as text; {{ part }} is the part's name.")
    columns: tuple[str, ...] = Field((), description="The columns' names, where the file of rows has none.")
    layout: LayoutName = Field(
        "", description="How nested rows become rows of questions, as in a part's sources."
    )
    count: int | None = Field(
        None, ge=0, le=1000, description="How many, from the first on; all when not given."
    )
    draw: Literal["first", "lm-eval", "lm-eval-spare"] = Field(
        "first",
        description="first: the first rows; lm-eval: for each question those that lm-evaluation-harness draws for it; lm-eval-spare: "
        "the same in its tasks without a test split, where it draws one more than it uses.",
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


class PromptSpec(AnswerSettings):
    """How a row becomes a prompt, and how the answer is read."""

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
    labels: tuple[str, ...] | Literal["index", "index-or-text"] = Field(
        (),
        description="What the answer says for each choice in turn; index: its number from 0; index-or-text: either. Else the answer "
        "is a choice's text.",
    )
    continuation: str = Field(
        "",
        description="For choose: a template of the text that is scored, where the choices stand in the question: the likeliest "
        "choice is the one behind which it is likeliest.",
    )
    answer: str = Field("", description="A template of the right answer.")
    references: str = Field(
        "", description="The column with all right answers or choices, a text or a list of texts."
    )
    shots: ExemplarSpec | None = Field(None, description="Worked examples before the question.")
    fields: tuple[str, ...] = Field(
        (),
        description="Columns that metrics read beside the answer, such as the question that an option belongs to.",
    )
    predictions: str = Field(
        "",
        description="For choose: the column that says what each choice stands for, in turn; the prediction is that, not the "
        "choice's text, and `references` names the column of right ones.",
    )
    categories: tuple[str, ...] = Field(
        (),
        description="Columns whose values, separated by ;, are categories of the row: each is scored on its own.",
    )
    cluster: str = Field(
        "",
        description="The column that is equal in rows that depend on each other, such as those of one passage.",
    )
    metrics: tuple[str, ...] = Field(
        ("accuracy",), min_length=1, description="The first one is the primary one."
    )


FIELDS = tuple(PromptSpec.model_fields)


def merge_layers(layers: Iterable[PromptSpec]) -> PromptSpec:
    """Merge layers of settings: later ones override earlier ones."""
    values: dict[str, Any] = {}
    for layer in layers:
        values |= {name: getattr(layer, name) for name in FIELDS if name in layer.model_fields_set}
    return PromptSpec.model_construct(**values)


def contradictions(layers: Mapping[FieldPath, PromptSpec], places: Places) -> Iterator[InputError]:
    """Find settings that contradict each other; each mistake has the place of the layer that sets the field.

    Args:
        layers: the layers by their places in the spec; later ones override earlier ones.
        places: where the spec's fields are written.
    """
    spec = merge_layers(layers.values())

    def at(name: str) -> str:
        setters = [path for path, layer in layers.items() if name in layer.model_fields_set]
        return places((*(setters[-1] if setters else ()), name))

    if not spec.prompt:
        yield InputError(
            "there is no prompt", where=at("prompt"), expected=f"such as {'Question: {{ question }}'!r}"
        )
    yield from _of_templates(spec, at)
    if spec.kind == "choose":
        yield from _of_choices(spec, at)
    else:
        yield from _of_generation(spec, at)
    provided = CHOICE_FIELDS if spec.kind == "choose" else ("labels",) if spec.choices else ()
    yield from metric_mistakes([(at("metrics"), name) for name in spec.metrics], (*provided, *spec.fields))
    if spec.shots is not None:
        yield from _of_exemplars(spec, spec.shots, at)


def metric_mistakes(names: Iterable[tuple[str, str]], fields: Sequence[str] = ()) -> Iterator[InputError]:
    """Metrics that do not exist, that cannot score a benchmark's answers, or, in first place, that cannot decide a verdict.

    Args:
        names: place and name of each metric.
        fields: fields that the answers bring for metrics.
    """
    for index, (where, name) in enumerate(names):
        try:
            metrics.check_scores_answers(name, without_fields=True, provided=fields)
            if index == 0:
                metrics.check_primary(name)
        except InputError as error:
            yield InputError(
                error.problem, where=where, found=error.found or name, expected=error.expected, fix=error.fix
            )


def task_scoring_mistakes(
    name: str, part: TaskScoring, metrics_of_part: Sequence[str], *, over_tasks: bool, places: Places
) -> Iterator[InputError]:
    """What is wrong with how a part's metrics become its task score.

    Args:
        name: the part's name.
        part: the part.
        metrics_of_part: its metrics.
        over_tasks: whether the benchmark has aggregate: tasks.
        places: where the spec's fields are written.
    """

    def at(field: str) -> str:
        return places(("parts", name, field))

    for field in ("metrics", *TaskScoring.model_fields):
        if field in part.model_fields_set and not over_tasks:
            yield InputError(
                "all parts have the same metrics",
                where=at(field),
                fix="set them for a way, or for all; or set aggregate: tasks",
            )
    if part.scored > len(metrics_of_part):
        yield InputError(
            "the part has fewer metrics",
            where=at("scored"),
            found=str(part.scored),
            expected=f"at most {len(metrics_of_part)}: {', '.join(metrics_of_part)}",
        )
    if part.low == part.high:
        yield InputError("low and high must differ", where=at("low"), found=f"{part.low:g} and {part.high:g}")


def generation_mistakes(settings: AnswerSettings, at: _FieldPlace) -> Iterator[InputError]:
    """What is wrong with the settings of generated answers."""
    if settings.max_new_tokens == 0:
        yield InputError(
            "an answer must be allowed some tokens",
            where=at("max_new_tokens"),
            found="0" if "max_new_tokens" in settings.model_fields_set else "no such field",
            expected="a whole number from 1",
            fix="set max_new_tokens to a little more than the longest right answer needs",
        )
    if "" in settings.stop:
        yield InputError("a stop text is empty", where=at("stop"), found='""', fix="remove it")
    try:
        rule(settings.extraction, where=at("extraction"))
    except InputError as error:
        yield error


def choices_mistake(choices: Sequence[str], where: str) -> InputError | None:
    """The mistake of choices that are too few, equal or blank; None when they are two or more different texts."""
    if len(set(choices)) == len(choices) > 1 and all(map(str.strip, choices)):
        return None
    return InputError(
        "the choices must be two or more different texts",
        where=where,
        found=", ".join(map(shorten, choices)) or "none",
    )


def is_template(text: str) -> bool:
    """Whether a text has placeholders; others are used as they are."""
    return "{{" in text or "{%" in text


def _of_templates(spec: PromptSpec, at: _FieldPlace) -> Iterator[InputError]:
    names = ("prompt", "answer", "before", "continuation")
    texts = [(name, getattr(spec, name)) for name in names]
    if isinstance(spec.choices, tuple):
        texts += [("choices", text) for text in spec.choices]
    for name, text in texts:
        if not is_template(text) and not (name == "prompt" and text):
            continue
        try:
            columns = check_template(text, where=at(name))
        except InputError as error:
            yield error
            continue
        if name == "before" and (foreign := sorted(set(columns) - set(BESIDE))):
            yield InputError(
                "before is the same for all rows, so it cannot use their columns",
                where=at(name),
                found=", ".join(foreign),
                expected=" or ".join(BESIDE),
                fix="move it into prompt",
            )


def _of_choices(spec: PromptSpec, at: _FieldPlace) -> Iterator[InputError]:
    for name in ("max_new_tokens", "stop", "extraction", "reading"):
        if getattr(spec, name) != PromptSpec.model_fields[name].default:
            yield InputError(
                f"{name} has no meaning for kind: choose",
                where=at(name),
                fix="remove it, or set kind: generate",
            )
    if not spec.choices:
        yield InputError(
            "there are no choices", where=at("choices"), expected="templates, or the column that holds them"
        )
    if not spec.answer and not spec.references:
        yield InputError(
            "the right choice is not given",
            where=at("answer"),
            expected="a template, such as {{ answer }}; or references, the column of right choices",
        )
    if isinstance(spec.choices, str) or not spec.choices:
        return
    if error := choices_mistake(spec.choices, at("choices")):
        yield error
    if isinstance(spec.labels, tuple) and spec.labels and len(spec.labels) != len(spec.choices):
        yield InputError(
            "there must be a label for each choice",
            where=at("labels"),
            found=f"{len(spec.labels)} labels and {len(spec.choices)} choices",
        )


def _of_generation(spec: PromptSpec, at: _FieldPlace) -> Iterator[InputError]:
    for name in ("normalise", "continuation"):
        if getattr(spec, name) != PromptSpec.model_fields[name].default:
            yield InputError(
                f"{name} has no meaning for kind: generate",
                where=at(name),
                fix="remove it, or set kind: choose",
            )
    if not (spec.answer or spec.references):
        yield InputError(
            "the right answer is not given",
            where=at("answer"),
            expected="answer, a template, or references, a column",
        )
    yield from generation_mistakes(spec, at)


def _of_exemplars(spec: PromptSpec, exemplars: ExemplarSpec, at: _FieldPlace) -> Iterator[InputError]:
    origins = [name for name in ("path", "hub", "text") if getattr(exemplars, name)]
    if len(origins) != 1:
        yield InputError(
            "exemplars come from rows or from a text",
            where=at("shots"),
            found=" and ".join(origins) or "neither",
            expected="one of path, hub, text",
        )
    if exemplars.turns and (spec.form == "text" or exemplars.text):
        yield InputError(
            "only exemplars from rows, with form: chat, can be turns", where=at("shots"), fix="remove turns"
        )
    if exemplars.draw != "first" and (exemplars.text or exemplars.count is None):
        yield InputError(
            f"draw: {exemplars.draw} draws a number of rows",
            where=at("shots"),
            found="text" if exemplars.text else "no count",
            expected="path or hub, and count",
        )
    for name in ("after", "split", "replace"):
        if not exemplars.text and getattr(exemplars, name):
            yield InputError(f"{name} is for shots of a text", where=at("shots"), fix="remove it")
    patterns = [(exemplars.split, ""), *((change.pattern, change.by) for change in exemplars.replace)]
    for pattern, replacement in patterns:
        try:
            Pattern(pattern, at("shots")).check()
            re.compile(pattern).sub(replacement, "")  # whether the groups that `by` names are there
        except InputError as error:
            yield error
        except (re.error, IndexError) as error:
            yield InputError(
                "the pattern is no regular expression",
                where=at("shots"),
                found=pattern,
                expected=f"Python's re: {error}",
            )
