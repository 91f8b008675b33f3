"""A task's prompt and completion templates, and their rendering."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import NoneType
from typing import Any

from tutelage.core.errors import InputError, raise_all
from tutelage.core.limits import MAX_MISTAKES
from tutelage.core.serialization import PROMPTED
from tutelage.core.spill import spill_rows
from tutelage.core.strictjson import json_kind, shorten
from tutelage.core.suggestions import nearest
from tutelage.core.types import Example, Prompted
from tutelage.templates import sandbox, subprocess_renderer
from tutelage.templates.column_renderer import ColumnRenderer, column_renderer
from tutelage.templates.placeholders import parse_placeholders
from tutelage.templates.render_errors import merge_if_in_no_row, render_error
from tutelage.templates.render_jobs import RenderJob, RenderOutcome, render_here, render_rows
from tutelage.templates.sandbox import NO_FIELDS, RenderedText, RenderFailure


class RowTemplate(ABC):
    """What turns the rows of a task into prompts and completions."""

    def render(self, example: Example, task: str) -> Prompted:
        """Render one row, as one that is not trained on.

        Args:
            example: the row.
            task: the task's name.

        Returns:
            The prompt, with the spans of fields printed unchanged, and the completion.

        Raises:
            InputError: a field that the template reads is missing, null or of a wrong type, the prompt or the completion is
                empty, or the references are not texts.
        """
        return self.render_all([example], task)[0]

    def render_all(
        self, examples: Sequence[Example], task: str, *, training: bool = False
    ) -> Sequence[Prompted]:
        """Render all rows of a task; beyond some thousands they are kept on disk.

        Args:
            examples: the rows.
            task: the task's name.
            training: whether the rows are trained on; only then a kind of the library turns some of them around.

        Raises:
            InputError: as `render`, also if a field is text in some rows and a number in others; InputErrors for several.
        """
        return spill_rows(self.render_each(examples, task, training=training), PROMPTED)

    @abstractmethod
    def render_each(
        self, examples: Sequence[Example], task: str, *, training: bool = False
    ) -> Iterator[Prompted]:
        """Yield the rows of `render_all` up to the first mistake; all mistakes are raised at the end."""


@dataclass(frozen=True)
class TaskTemplate(RowTemplate):
    """The Jinja templates of a task's prompt and completion, rendered in the sandbox.

    Attributes:
        prompt: the template of the user's turn.
        completion: the template of the answer.
        name: its name in the data card: `own`, or the library's name.
        references: a field with all correct answers (a text or a list of texts) for the metrics; the completion is the only
            one if it is not given.
        where: the task's place in the recipe, for errors.
        untrusted: whether it came with a recipe; unless it only inserts fields, it is then rendered in a child process with
            bounded memory and time.
    """

    prompt: str
    completion: str
    name: str = "own"
    references: str | None = None
    where: str = field(default="template", compare=False)
    untrusted: bool = False

    def __post_init__(self) -> None:
        errors = []
        for part in ("prompt", "completion"):
            try:
                sandbox.check(getattr(self, part), where=f"{self.where}.{part}")
            except InputError as error:
                errors.append(error)
        raise_all(self.where, errors)

    @property
    def prompt_fields(self) -> tuple[str, ...]:
        """The fields that the prompt reads."""
        return sandbox.check(self.prompt, where=self.where)

    @property
    def completion_fields(self) -> tuple[str, ...]:
        """The fields that the completion reads."""
        return sandbox.check(self.completion, where=self.where)

    def render_each(
        self, examples: Sequence[Example], task: str, *, training: bool = False
    ) -> Iterator[Prompted]:
        """As in the base class; training rows are as all others."""
        del training
        errors = self.mixed_type_errors(examples)
        renderer = subprocess_renderer.shared_renderer if self._in_subprocess else render_here
        yield from render_rows(examples, partial(self._plan, task), renderer, errors)
        if len(errors) == len(examples) > 1:
            errors = merge_if_in_no_row(errors, self.where)
        raise_all(f"the rows of the task {task}", errors)

    def mixed_type_errors(self, examples: Sequence[Example]) -> list[InputError]:
        """An error for each row in which a field of the template is of another type than in most rows."""
        return mixed_type_errors(examples, sorted({*self.prompt_fields, *self.completion_fields}))

    def form_of(self, example: Example, *, training: bool = False) -> tuple[str, bool]:
        """The `template` and `listed` that a rendering of this row has: rows of one form have one text."""
        del example, training
        return self.name, False

    @property
    def column_renderer(self) -> ColumnRenderer | None:
        """A fast renderer of prompt and completion alone; None with references, or if rendering needs the child process."""
        return (
            None
            if self.references is not None or self._in_subprocess
            else column_renderer(self.prompt, self.completion)
        )

    def card(self) -> dict[str, Any]:
        """The template's entry in the data card."""
        description = {"template": self.name, "prompt": self.prompt, "completion": self.completion}
        return (
            {**description, "rendered": subprocess_renderer.shared_renderer.describe_limits()}
            if self._in_subprocess
            else description
        )

    @property
    def _in_subprocess(self) -> bool:
        """Whether it is rendered in the child process: it is untrusted and does more than insert fields."""
        return self.untrusted and (
            parse_placeholders(self.prompt) is None or parse_placeholders(self.completion) is None
        )

    def _plan(
        self, task: str, example: Example
    ) -> tuple[RenderJob, Callable[[Sequence[RenderOutcome]], Prompted]]:
        requests = (self.prompt, NO_FIELDS), (self.completion, NO_FIELDS)
        return RenderJob(example.fields, requests), partial(self._to_prompted, example, task)

    def _to_prompted(self, example: Example, task: str, outcome: Sequence[RenderOutcome]) -> Prompted:
        prompt = self._text(outcome[0], example, "prompt")
        completion = self._text(outcome[1], example, "completion").text
        return Prompted(
            id=example.id,
            task=task,
            prompt=prompt.text,
            completion=completion,
            template=self.name,
            origin=example.origin,
            fields=example.fields,
            spans=prompt.spans,
            references=(completion,)
            if self.references is None
            else references_of(example, self.references, where=self.where),
            history=example.history,
        )

    def _text(self, outcome: RenderOutcome, example: Example, part: str) -> RenderedText:
        if isinstance(outcome, RenderFailure):
            raise render_error(outcome, example, part, f"{self.where}.{part}")
        if outcome.text and not outcome.text.isspace():
            return outcome
        fields = self.prompt_fields if part == "prompt" else self.completion_fields
        values = ", ".join(f"{name}: {shorten(str(example.fields.get(name)), 30)}" for name in fields)
        raise InputError(
            f"the {part} is empty",
            where=str(example.origin),
            found=values,
            expected="something to learn" if part == "completion" else "something to answer",
            fix=f"fill the field {fields[0]}, or delete the row",
        )


def references_of(example: Example, field: str | None, *, where: str) -> tuple[str, ...]:
    """The texts of the field with the correct answers; none if no field is named."""
    if field is None:
        return ()
    value = example.fields.get(field)
    texts = [value] if isinstance(value, str) else value
    if isinstance(texts, list) and texts and all(isinstance(text, str) and text.strip() for text in texts):
        return tuple(str(text) for text in texts)
    suggestion = nearest(field, list(example.fields))
    is_missing = field not in example.fields
    raise InputError(
        f"the field {field} holds no references",
        where=str(example.origin),
        found="the fields " + ", ".join(example.fields)
        if is_missing
        else f"{json_kind(value)}: {shorten(str(value), 40)}",
        expected="a text, or a list of texts that are not empty",
        fix=f"did you mean {suggestion}?"
        if is_missing and suggestion
        else f"fill it, or leave out {where}.references",
    )


def mixed_type_errors(examples: Sequence[Example], fields: Sequence[str]) -> list[InputError]:
    """An error for each row whose field is of another type than in most rows; null counts as no type."""
    if len(examples) < 2:  # a mixture stream often renders a single row of a task
        return []
    counts: dict[str, Counter[type]] = {name: Counter() for name in fields}
    for row in examples:
        for name, counter in counts.items():
            counter[type(row.fields.get(name))] += 1
    errors: list[InputError] = []
    for name, types in counts.items():
        types.pop(NoneType, None)
        if len(types) < 2:
            continue
        kinds = Counter(
            json_kind(value) for row in examples if (value := row.fields.get(name)) is not None
        ).most_common(2)
        usual_kind = kinds[0][0]
        for row in examples if len(kinds) > 1 else ():
            row_kind = None if (value := row.fields.get(name)) is None else json_kind(value)
            if row_kind not in (None, usual_kind) and len(errors) < MAX_MISTAKES:
                errors.append(
                    InputError(
                        f"the field {name} is {row_kind} here and {usual_kind} in most rows",
                        where=str(row.origin),
                        found=f"{name}: {shorten(str(row.fields[name]), 40)}",
                        expected=usual_kind,
                        fix="put it in quotes"
                        if (row_kind, usual_kind) == ("a number", "text")
                        else "make all rows alike",
                    )
                )
    return errors
