"""Renders a task with the wordings of a library kind: a row's wording depends on the row's content and the seed only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Literal

from tutelage.core import hashing
from tutelage.core.errors import InputError, raise_all
from tutelage.core.seeds import derive
from tutelage.core.types import Example, Prompted
from tutelage.templates import sandbox, subprocess_renderer
from tutelage.templates.binding import MISSING, Binding, BoundRow, FieldSource, bind, columns_of, look_up
from tutelage.templates.kind import LETTER, OPTIONS, Kind, Wording
from tutelage.templates.labels import LabelSpec
from tutelage.templates.library import TemplateSelection
from tutelage.templates.option_layouts import LAYOUTS, option_letter
from tutelage.templates.render_errors import render_error
from tutelage.templates.render_jobs import (
    RenderJob,
    RenderOutcome,
    RenderRequest,
    render_here,
    render_rows,
)
from tutelage.templates.sandbox import RenderedText, RenderFailure
from tutelage.templates.task_template import RowTemplate, mixed_type_errors, references_of


@dataclass(frozen=True, slots=True)
class WordingOptions:
    """How wordings are chosen and rendered.

    Attributes:
        options: whether prompts list the answer choices: always, never, or in about half of the rows.
        inverted: the share of training rows with an inverted wording.
        seed: another seed gives other wordings.
        references: a field with all correct answers.
    """

    options: Literal["listed", "none", "mixed"] = "listed"
    inverted: float = 0.0
    seed: int = 0
    references: str | None = None


@dataclass(frozen=True, slots=True)
class _WordedRow:
    """A row with its field values and its wording."""

    example: Example
    bound: BoundRow
    wording: Wording
    has_options: bool

    @property
    def choices(self) -> tuple[str, ...]:
        """The answer choices, before the wording renders them; empty for rationales and inverted wordings."""
        return self.bound.choices if self.wording.group == "wordings" else ()

    @property
    def lists_options(self) -> bool:
        """Whether the prompt lists the answer options."""
        return bool(self.has_options and self.wording.layout and self.bound.choices)


class LibraryTemplate(RowTemplate):
    """A task template with the wordings of a kind.

    Args:
        selection: the kind and its selected wordings.
        binding: the columns of the kind's fields.
        wording_options: how wordings are chosen and rendered.

    Raises:
        InputError: the kind does not support these options.
    """

    def __init__(
        self, selection: TemplateSelection, binding: Binding, wording_options: WordingOptions
    ) -> None:
        self.name = selection.name
        self.kind: Kind = selection.kind
        self.binding = binding
        self.wording_options = wording_options
        self.where = binding.where
        self.inverted_wordings = self.kind.of_group("inverted")
        self.wordings = _usable_wordings(selection, wording_options, self.where)
        if wording_options.inverted and not self.inverted_wordings:
            raise InputError(
                f"{self.kind.name} has no wording that turns it around",
                where=f"{self.where}.inverted",
                found=str(wording_options.inverted),
                expected="0, or a kind with inverted wordings",
                fix="remove inverted",
            )

    @cached_property
    def prompt_fields(self) -> tuple[str, ...]:
        """The columns that prompts read, including those of the options."""
        names = {name for wording in self.wordings for name in sandbox.fields_read(wording.prompt)}
        if OPTIONS in names:
            names |= {name for name, field in self.kind.fields.items() if field.type == "choices"}
        return self.binding.columns(sorted(names - {OPTIONS, LETTER}))

    @cached_property
    def completion_fields(self) -> tuple[str, ...]:
        """The columns that completions read."""
        names = {name for wording in self.wordings for name in sandbox.fields_read(wording.completion)} - {
            LETTER
        }
        return self.binding.columns(sorted(names or {self.kind.answer}))

    @property
    def column_renderer(self) -> None:
        """None: wording and options depend on the whole row, so there is no fast renderer."""
        return

    def render_each(
        self, examples: Sequence[Example], task: str, *, training: bool = False
    ) -> Iterator[Prompted]:
        """As in the base class; some training rows get inverted wordings."""
        errors = self.mixed_type_errors(examples)
        renderer = subprocess_renderer.shared_renderer if self.kind.untrusted else render_here
        yield from render_rows(examples, partial(self._plan, task, training=training), renderer, errors)
        raise_all(f"the rows of the task {task}", errors)

    def _plan(
        self, task: str, example: Example, *, training: bool
    ) -> tuple[RenderJob, Callable[[Sequence[RenderOutcome]], Prompted]]:
        row = self._word_row(example, training=training)
        return self._job(row), partial(self._to_prompted, row, task)

    def mixed_type_errors(self, examples: Sequence[Example]) -> list[InputError]:
        """An error for each row in which a text field is of another type than in most rows."""
        text_fields = [name for name, field in self.kind.fields.items() if field.type == "text"]
        return mixed_type_errors(examples, self.binding.columns(text_fields))

    def form_of(self, example: Example, *, training: bool = False) -> tuple[str, bool]:
        """The `template` and `listed` that a rendering of this row has: rows of one form have one text."""
        row = self._word_row(example, training=training)
        return self._wording_name(row), row.lists_options

    def _wording_name(self, row: _WordedRow) -> str:
        return f"{self.kind.name}/{row.wording.name}"

    def card(self) -> dict[str, Any]:
        """The template's entry in the data card."""
        description: dict[str, Any] = {"template": self.name, "about": self.kind.title}
        if len(self.wordings) == 1:
            description |= {"prompt": self.wordings[0].prompt, "completion": self.wordings[0].completion}
        description["fields"] = {name: self.binding.column(name) for name in self.binding.sources}
        if self.binding.labels is not None:
            description["labels"] = list(self.binding.labels.words)
        if self.kind.has_choices:
            description["options"] = self.wording_options.options
        if self.wording_options.inverted:
            description["inverted"] = self.wording_options.inverted
        return (
            {**description, "rendered": subprocess_renderer.shared_renderer.describe_limits()}
            if self.kind.untrusted
            else description
        )

    def _word_row(self, example: Example, *, training: bool) -> _WordedRow:
        bound = self.binding.bind_row(example)
        sources = self.binding.sources.values()
        columns = sorted({column for source in sources for column in columns_of(source)})
        used_values = [
            [column, value] for column in columns if (value := look_up(example.fields, column)) is not MISSING
        ]
        key = hashing.of_json(used_values)
        seed = self.wording_options.seed
        is_inverted = training and derive(seed, "inverted", key) / 2**63 < self.wording_options.inverted
        candidates = self.inverted_wordings if is_inverted else self.wordings
        wording = candidates[derive(seed, "wording", key) % len(candidates)]
        has_options = self.wording_options.options == "listed" or (
            self.wording_options.options == "mixed"
            and (wording.lettered or derive(seed, "options", key) % 2 == 0)
        )
        return _WordedRow(example, bound, wording, has_options)

    def _job(self, row: _WordedRow) -> RenderJob:
        wording, extra = row.wording, row.bound.extra
        listed_choices = row.bound.choices if row.has_options and wording.layout else ()
        options = LAYOUTS[wording.layout](listed_choices) if listed_choices and wording.layout else ""
        correct_letter = option_letter(row.bound.correct_index) if row.bound.correct_index is not None else ""
        requests: list[RenderRequest] = [
            (wording.prompt, {**extra, OPTIONS: options}),
            (wording.completion, {**extra, LETTER: correct_letter}),
        ]
        if self._plain_answer_name(wording) is None:
            numbered = enumerate(row.choices)
            requests += [
                (wording.completion, {**extra, self.kind.answer: c, LETTER: option_letter(i)})
                for i, c in numbered
            ]
        return RenderJob(row.bound.fields, tuple(requests))

    def _plain_answer_name(self, wording: Wording) -> str | None:
        """The single name that a completion consists of, if it does; its choices then need no rendering."""
        stripped = wording.completion.replace(" ", "")
        return next((name for name in (self.kind.answer, LETTER) if stripped == f"{{{{{name}}}}}"), None)

    def _to_prompted(self, row: _WordedRow, task: str, outcome: Sequence[RenderOutcome]) -> Prompted:
        prompt = self._text(outcome[0], row, "prompt")
        completion, *choice_texts = (
            self._text(choice_outcome, row, "completion").text for choice_outcome in outcome[1:]
        )
        answer_name = self._plain_answer_name(row.wording)
        if answer_name is not None:
            choice_texts = [
                option_letter(i) if answer_name == LETTER else choice for i, choice in enumerate(row.choices)
            ]
        references = references_of(row.example, self.wording_options.references, where=self.where)
        return Prompted(
            id=row.example.id,
            task=task,
            prompt=prompt.text,
            completion=completion,
            template=self._wording_name(row),
            origin=row.example.origin,
            fields=row.example.fields,
            spans=tuple((self.binding.column(name), start, end) for name, start, end in prompt.spans),
            references=references or self._correct_answers(row, completion),
            choices=tuple(choice_texts),
            history=row.example.history,
            listed=row.lists_options,
            group=row.wording.group,
        )

    def _correct_answers(self, row: _WordedRow, completion: str) -> tuple[str, ...]:
        """The correct answers: all that the row has; for a rationale the answer without the reasons."""
        if row.wording.group == "rationales":
            all_fields = {**row.bound.fields, **row.bound.extra}
            return row.bound.answers or (str(all_fields[self.kind.answer]),)
        is_plain_answer = self._plain_answer_name(row.wording) == self.kind.answer
        return row.bound.answers if is_plain_answer and row.bound.answers else (completion,)

    def _text(self, outcome: RenderOutcome, row: _WordedRow, part: str) -> RenderedText:
        location = f"{row.wording.group}.{row.wording.name}.{part} of {self.kind.file}"
        if isinstance(outcome, RenderFailure):
            raise render_error(outcome, row.example, part, location)
        if outcome.text.strip():
            return outcome
        raise InputError(
            f"the {part} is empty",
            where=str(row.example.origin),
            found=f"nothing from {location}",
            expected="a text",
            fix="fill the row's fields, or correct the wording",
        )


def _usable_wordings(
    selection: TemplateSelection, wording_options: WordingOptions, where: str
) -> tuple[Wording, ...]:
    """The selected wordings that can be used with these options."""
    kind = selection.kind
    if not kind.has_choices and wording_options.options != "listed":
        raise InputError(
            f"{kind.name} has no answer choices to list",
            where=f"{where}.options",
            found=wording_options.options,
            expected="nothing",
            fix="remove options",
        )
    if wording_options.options != "none":
        return selection.wordings
    usable = tuple(wording for wording in selection.wordings if not wording.lettered)
    if not usable:
        raise InputError(
            "its answer is a letter of the options, so they have to be listed",
            where=f"{where}.options",
            found="none",
            expected="listed",
            fix="write options: listed, or take another wording",
        )
    return usable


def bind_template(
    selection: TemplateSelection,
    examples: Sequence[Example],
    wording_options: WordingOptions | None = None,
    *,
    fields: Mapping[str, FieldSource] | None = None,
    labels: LabelSpec | None = None,
    where: str = "task",
) -> LibraryTemplate:
    """Bind a kind's wordings to a task's rows. Arguments and errors are those of `bind` and `LibraryTemplate`."""
    names = {name for wording in selection.wordings for name in wording.completion_reads}
    required = [name for name, field in selection.kind.fields.items() if not field.optional or name in names]
    binding = bind(selection.kind, examples, required=required, fields=fields, labels=labels, where=where)
    return LibraryTemplate(selection, binding, wording_options or WordingOptions())
