"""A task in the library's words: each row gets one of its kind's wordings, by what the row says and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from tutelage.core import hashing
from tutelage.core.errors import InputError, raise_all
from tutelage.core.limits import MAX_MISTAKES
from tutelage.core.seeds import derive
from tutelage.core.serialization import PROMPTED
from tutelage.core.spill import kept
from tutelage.core.types import Example, Prompted
from tutelage.templates import sandbox, subprocess_renderer
from tutelage.templates.binding import MISSING, Binding, Bound, Source, bind, look_up
from tutelage.templates.failures import in_words
from tutelage.templates.jobs import ROWS, Ask, Job, Outcome, here
from tutelage.templates.kind import LETTER, OPTIONS, Kind, Wording
from tutelage.templates.labels import LabelsGiven
from tutelage.templates.layouts import laid_out, letter
from tutelage.templates.library import Found
from tutelage.templates.sandbox import Failure, Rendered
from tutelage.templates.template import mixed_types, references_of

Listing = Literal["listed", "none", "mixed"]


@dataclass(frozen=True, slots=True)
class Manner:
    """How a kind is asked.

    Attributes:
        options: whether the answer choices stand in the prompt: always, never, or in every other row.
        inverted: the share of training rows that are turned around.
        seed: another one gives other wordings.
        references: a field with further right answers.
    """

    options: Listing = "listed"
    inverted: float = 0.0
    seed: int = 0
    references: str | None = None


@dataclass(frozen=True, slots=True)
class _Row:
    """A row with what it says and how it is asked."""

    example: Example
    bound: Bound
    wording: Wording
    listed: bool

    @property
    def choices(self) -> tuple[str, ...]:
        """What is chosen from: the words, before the wording says them."""
        return self.bound.choices if self.wording.group == "wordings" else ()

    @property
    def lists_options(self) -> bool:
        """Whether the prompt lists the answer options."""
        return bool(self.listed and self.wording.layout and self.bound.choices)


class LibraryTemplate:
    """Puts a task's rows into words; it has what `TaskTemplate` has.

    Args:
        found: the kind, and the wordings to take.
        binding: where the kind's fields are in the rows.
        manner: how it is asked.

    Raises:
        InputError: the kind cannot be asked in this manner.
    """

    def __init__(self, found: Found, binding: Binding, manner: Manner) -> None:
        self.name = found.name
        self.kind: Kind = found.kind
        self.binding = binding
        self.manner = manner
        self.where = binding.where
        self.turned = self.kind.of_group("inverted")
        self.wordings = _askable(found, manner, self.where)
        if manner.inverted and not self.turned:
            raise InputError(
                f"{self.kind.name} has no wording that turns it around",
                where=f"{self.where}.inverted",
                found=str(manner.inverted),
                expected="0, or a kind with inverted wordings",
                fix="remove inverted",
            )

    @cached_property
    def prompt_fields(self) -> tuple[str, ...]:
        """The rows' columns that prompts read, the options' among them."""
        read = {name for one in self.wordings for name in sandbox.reads(one.prompt)}
        if OPTIONS in read:
            read |= {one.name for one in self.kind.fields.values() if one.type == "choices"}
        return self.binding.columns(sorted(read - {OPTIONS, LETTER}))

    @cached_property
    def completion_fields(self) -> tuple[str, ...]:
        """The rows' columns that completions read."""
        read = {name for one in self.wordings for name in sandbox.reads(one.completion)} - {LETTER}
        return self.binding.columns(sorted(read or {self.kind.answer}))

    @property
    def filling(self) -> None:
        """Which wording a row gets, and which options, follows from the row: there is no shorter way to its texts."""
        return

    def render(self, example: Example, task: str) -> Prompted:
        """Put one row into words, as it is tested. Raises InputError as `render_all`."""
        return self.render_all([example], task)[0]

    def render_all(
        self, examples: Sequence[Example], task: str, *, training: bool = False
    ) -> Sequence[Prompted]:
        """Put rows into words; many of them lie on disk.

        Args:
            examples: the rows.
            task: the task's name.
            training: whether they are trained on; only then are some turned around.

        Raises:
            InputError: a row lacks a field or says what the kind cannot take; InputErrors for several.
        """
        return kept(self.render_each(examples, task, training=training), PROMPTED)

    def render_each(
        self, examples: Sequence[Example], task: str, *, training: bool = False
    ) -> Iterator[Prompted]:
        """The rows of `render_all` one by one, up to the first mistake; the mistakes are raised at the end."""
        errors = self.mixed_types(examples)
        render = subprocess_renderer.render if self.kind.foreign else here
        for start in range(0, len(examples), ROWS):
            rows = list(self._rows(examples[start : start + ROWS], errors, training=training))
            outcomes = render([self._job(row) for row in rows])
            for row, outcome in zip(rows, outcomes, strict=False):
                try:
                    made = self._prompted(row, task, outcome)
                except InputError as error:
                    errors.append(error)
                    continue
                if not errors:
                    yield made
            # A row that takes too much is the last.
            if len(outcomes) < len(rows) or len(errors) >= MAX_MISTAKES:
                break
        raise_all(f"the rows of the task {task}", errors[:MAX_MISTAKES])

    def _rows(
        self, examples: Sequence[Example], errors: list[InputError], *, training: bool
    ) -> Iterator[_Row]:
        """The rows with their wordings; what is wrong with others is added to `errors`, up to as many as are told."""
        places = {error.where for error in errors}
        for example in examples:
            try:
                yield self._row(example, training=training)
            except InputError as error:
                if error.where not in places:
                    errors.append(error)
                    places.add(error.where)
            if len(errors) >= MAX_MISTAKES:
                break

    def mixed_types(self, examples: Sequence[Example]) -> list[InputError]:
        """An error for each row in which a text field is of another type than in most rows."""
        texts = [name for name, one in self.kind.fields.items() if one.type == "text"]
        return mixed_types(examples, self.binding.columns(texts))

    def form_of(self, example: Example, *, training: bool = False) -> tuple[str, bool]:
        """The `template` and `listed` that a rendering of this row has: rows of one form have one text."""
        row = self._row(example, training=training)
        return self._wording_name(row), row.lists_options

    def _wording_name(self, row: _Row) -> str:
        return f"{self.kind.name}/{row.wording.name}"

    def card(self) -> dict[str, Any]:
        """What the data card says of the template."""
        said: dict[str, Any] = {"template": self.name, "about": self.kind.title}
        if len(self.wordings) == 1:
            said |= {"prompt": self.wordings[0].prompt, "completion": self.wordings[0].completion}
        said["fields"] = {name: self.binding.column(name) for name in self.binding.sources}
        if self.binding.labels is not None:
            said["labels"] = list(self.binding.labels.words)
        if self.kind.has_choices:
            said["options"] = self.manner.options
        if self.manner.inverted:
            said["inverted"] = self.manner.inverted
        return {**said, "rendered": subprocess_renderer.render.words()} if self.kind.foreign else said

    def _row(self, example: Example, *, training: bool) -> _Row:
        bound = self.binding.row(example)
        said = [[name, value] for name, value in self._said(example) if value is not MISSING]
        key = hashing.of_json(said)
        seed = self.manner.seed
        turn = training and derive(seed, "inverted", key) / 2**63 < self.manner.inverted
        among = self.turned if turn else self.wordings
        wording = among[derive(seed, "wording", key) % len(among)]
        listed = self.manner.options == "listed" or (
            self.manner.options == "mixed" and (wording.lettered or derive(seed, "options", key) % 2 == 0)
        )
        return _Row(example, bound, wording, listed)

    def _said(self, example: Example) -> list[tuple[str, Any]]:
        """The row's values in the columns that are used, by column."""
        sources = self.binding.sources.values()
        columns = {c for s in sources for c in (s if isinstance(s, tuple) else (s,)) if isinstance(c, str)}
        return [(column, look_up(example.fields, column)) for column in sorted(columns)]

    def _job(self, row: _Row) -> Job:
        wording, extra = row.wording, row.bound.extra
        shown = row.bound.choices if row.listed and wording.layout else ()
        options = laid_out(shown, wording.layout) if shown and wording.layout else ""
        right = letter(row.bound.right) if row.bound.right is not None else ""
        asks: list[Ask] = [
            (wording.prompt, {**extra, OPTIONS: options}),
            (wording.completion, {**extra, LETTER: right}),
        ]
        if self._say(wording) is None:
            said = enumerate(row.choices)
            asks += [(wording.completion, {**extra, self.kind.answer: c, LETTER: letter(i)}) for i, c in said]
        return Job(row.bound.fields, tuple(asks))

    def _say(self, wording: Wording) -> str | None:
        """The one name that a completion consists of: its choices need no rendering."""
        plain = wording.completion.replace(" ", "")
        return next((name for name in (self.kind.answer, LETTER) if plain == f"{{{{{name}}}}}"), None)

    def _prompted(self, row: _Row, task: str, outcome: Sequence[Outcome]) -> Prompted:
        prompt = self._text(outcome[0], row, "prompt")
        completion, *others = (self._text(one, row, "completion").text for one in outcome[1:])
        say = self._say(row.wording)
        if say is not None:
            others = [letter(i) if say == LETTER else choice for i, choice in enumerate(row.choices)]
        references = references_of(row.example, self.manner.references, where=self.where)
        return Prompted(
            id=row.example.id,
            task=task,
            prompt=prompt.text,
            completion=completion,
            template=self._wording_name(row),
            origin=row.example.origin,
            fields=row.example.fields,
            spans=tuple((self.binding.column(name), start, end) for name, start, end in prompt.spans),
            references=references or self._right(row, completion),
            choices=tuple(others),
            history=row.example.history,
            listed=row.lists_options,
            group=row.wording.group,
        )

    def _right(self, row: _Row, completion: str) -> tuple[str, ...]:
        """The right answers: all that the row has, and after reasons the answer alone."""
        if row.wording.group == "rationales":
            both = {**row.bound.fields, **row.bound.extra}
            return row.bound.answers or (str(both[self.kind.answer]),)
        plain = self._say(row.wording) == self.kind.answer
        return row.bound.answers if plain and row.bound.answers else (completion,)

    def _text(self, outcome: Outcome, row: _Row, part: str) -> Rendered:
        place = f"{row.wording.group}.{row.wording.name}.{part} of {self.kind.file}"
        if isinstance(outcome, Failure):
            raise in_words(outcome, row.example, part, place)
        if outcome.text.strip():
            return outcome
        raise InputError(
            f"the {part} is empty",
            where=str(row.example.origin),
            found=f"nothing from {place}",
            expected="a text",
            fix="fill the row's fields, or correct the wording",
        )


def _askable(found: Found, manner: Manner, where: str) -> tuple[Wording, ...]:
    """The wordings that can be asked in this manner."""
    kind = found.kind
    if not kind.has_choices and manner.options != "listed":
        raise InputError(
            f"{kind.name} has no answer choices to list",
            where=f"{where}.options",
            found=manner.options,
            expected="nothing",
            fix="remove options",
        )
    if manner.options != "none":
        return found.wordings
    left = tuple(one for one in found.wordings if not one.lettered)
    if not left:
        raise InputError(
            "its answer is a letter of the options, so they have to be listed",
            where=f"{where}.options",
            found="none",
            expected="listed",
            fix="write options: listed, or take another wording",
        )
    return left


def use(
    found: Found,
    examples: Sequence[Example],
    manner: Manner | None = None,
    *,
    fields: Mapping[str, Source] | None = None,
    labels: LabelsGiven | None = None,
    where: str = "task",
) -> LibraryTemplate:
    """A kind's wordings for a task's rows: arguments and errors as of `bind` and `LibraryTemplate`."""
    reads = {name for one in found.wordings for name in one.completion_reads}
    needed = [one.name for one in found.kind.fields.values() if not one.optional or one.name in reads]
    binding = bind(found.kind, examples, needed=needed, fields=fields, labels=labels, where=where)
    return LibraryTemplate(found, binding, manner or Manner())
