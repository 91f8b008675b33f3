"""Templates for rows that are to be answered: their prompts and choices alone, whether or not the rows hold answers.

What is rendered is what a test row of the same content has. Only the wording of a library kind depends on the answer's column too,
where the row has one: a row's wording is drawn by all the columns that the kind reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tutelage.core.errors import InputError
from tutelage.core.types import Example, Prompted
from tutelage.templates import sandbox
from tutelage.templates.binding import MISSING, Binding, FieldSource, columns_of, look_up
from tutelage.templates.column_roles import column_role
from tutelage.templates.columns import (
    ColumnTemplate,
    column_templates,
    common_columns,
    is_text,
    matching_templates,
)
from tutelage.templates.kind import OPTIONS
from tutelage.templates.labels import LabelSpec, labels_for
from tutelage.templates.library import TemplateSelection
from tutelage.templates.library_template import LibraryTemplate, WordingOptions
from tutelage.templates.render_jobs import RenderJob, RenderOutcome
from tutelage.templates.task_template import RowTemplate, TaskTemplate

_MARKUP = re.compile(r"\{\{.*?\}\}|\{%.*?%\}")
_NO_FILE = "the rows"


class PromptTemplate(RowTemplate):
    """A task's prompt without its completion.

    Args:
        prompt: the Jinja text.
        name: as in `TaskTemplate`.
        where: the prompt's place, for errors.
        untrusted: as in `TaskTemplate`.
    """

    def __init__(self, prompt: str, *, name: str = "own", where: str, untrusted: bool = True) -> None:
        sandbox.check(prompt, where=f"{where}.prompt")
        # The completion is rendered as well, so it is the text that can be rendered: the prompt once more.
        self._template = TaskTemplate(prompt, prompt, name=name, where=where, untrusted=untrusted)

    @property
    def prompt_fields(self) -> tuple[str, ...]:
        """The fields that the prompt reads."""
        return self._template.prompt_fields

    def render_each(
        self, examples: Sequence[Example], task: str, *, training: bool = False
    ) -> Iterator[Prompted]:
        """As in the base class, with empty completions."""
        for row in self._template.render_each(examples, task, training=training):
            yield replace(row, completion="", references=())


class _PromptBinding(Binding):
    """Reads from a row what prompts read, and leaves its answer where it is."""

    needed: frozenset[str]

    def _field(self, name: str, example: Example, bound: dict[str, Any]) -> None:
        if name in self.needed:
            super()._field(name, example, bound)
        elif self.kind.fields[name].type == "label" and self.labels is not None:
            bound["choices"] = self.labels.words


class KindPrompts(LibraryTemplate):
    """The prompts and choices of a library kind without completions."""

    def _job(self, row: Any) -> RenderJob:
        job = super()._job(row)
        prompt, _, *choices = job.requests
        return RenderJob(job.fields, (prompt, prompt, *choices))

    def _to_prompted(self, row: Any, task: str, outcome: Sequence[RenderOutcome]) -> Prompted:
        return replace(super()._to_prompted(row, task, outcome), completion="")

    def _correct_answers(self, row: Any, completion: str) -> tuple[str, ...]:
        del row, completion
        return ()


def kind_prompts(
    selection: TemplateSelection,
    examples: Sequence[Example],
    wording_options: WordingOptions,
    *,
    fields: Mapping[str, FieldSource],
    labels: LabelSpec | None,
    where: str,
) -> KindPrompts:
    """Bind a kind's prompts to rows that are to be answered.

    Args:
        selection: the kind and its wordings.
        examples: the rows.
        wording_options: as for the task's own template.
        fields: the task's mapping of the kind's fields to columns.
        labels: the task's labels, for a kind with labels; the rows need not show them.
        where: the task's place in the recipe, for errors.

    Raises:
        InputError: the rows lack a column that the prompts read.
    """
    kind = selection.kind
    present = {name for row in examples for name in row.fields}
    sources = {**{name: name for name in kind.fields if name in present}, **fields}
    prompt_names = {name for wording in selection.wordings for name in sandbox.fields_read(wording.prompt)}
    choices = {name for name, field in kind.fields.items() if field.type == "choices" and name in sources}
    needed = (prompt_names & set(kind.fields)) | choices
    if OPTIONS in prompt_names:
        needed |= {name for name, field in kind.fields.items() if field.type == "choices"}
    for name in sorted(needed):
        if kind.fields[name].optional:
            continue
        columns = columns_of(sources.get(name))
        lacking = [c for c in columns if all(look_up(row.fields, c) is MISSING for row in examples)]
        if name not in sources or lacking:
            raise InputError(
                f"the rows lack what {kind.name} asks about: {name}",
                where=examples[0].origin.file if examples else _NO_FILE,
                found="the columns " + ", ".join(sorted(present)),
                expected=f"{', '.join(lacking) or name}: {kind.fields[name].about}",
                fix="give the column the name that it has in the rows of the recipe",
            )
    label_words = None
    if kind.fields[kind.answer].type == "label":
        label_words = labels_for(labels, kind.labels, examples, kind.answer, where=where)
    binding = _PromptBinding(kind, sources, label_words, where, frozenset(present))
    object.__setattr__(binding, "needed", frozenset(needed))
    return KindPrompts(selection, binding, wording_options)


def detect_prompt(examples: Sequence[Example], *, fix: Callable[[str], str]) -> PromptTemplate:
    """The prompt that the rows' columns say by their names: as for rows that are learned, but the answer's column may be missing.

    Args:
        examples: the rows.
        fix: the advice for a column that may be the prompt, as an error gives it.

    Raises:
        InputError: no known set of columns is there, and several columns could be the prompt.
    """
    columns = common_columns(examples)
    best = {layout.prompt: layout for layout in matching_templates(columns) or _without_answers(columns)}
    if len(best) == 1:
        (layout,) = best.values()
        return PromptTemplate(layout.prompt, name=layout.name, where=layout.name, untrusted=False)
    texts = [
        name
        for name in columns
        if any(is_text(row.fields[name], lists=False) for row in examples[:200])
        and not column_role(name).is_ignored
    ]
    if len(texts) == 1:
        return PromptTemplate(sandbox.reference(texts[0]), name=texts[0], where=texts[0], untrusted=False)
    raise InputError(
        "the columns do not say which one is the prompt",
        where=examples[0].origin.file if examples else _NO_FILE,
        found="the columns " + ", ".join(columns) if columns else "no column that every row has",
        expected="a single column of text, or columns such as prompt, question or instruction",
        fix=fix(texts[0] if texts else "COLUMN"),
    )


def _without_answers(columns: Sequence[str]) -> list[ColumnTemplate]:
    """The templates that match some columns and an answer that is missing, where their prompts are nothing but columns.

    A column `dialogue` alone does not say that a summary is wanted.
    """
    covered = {
        layout: layout.covers([*columns, layout.columns[-1]]) & set(columns)
        for layout in column_templates()
        if not _MARKUP.sub("", layout.prompt).strip()
    }
    # Prompts that read the same of these columns are one prompt, whatever further columns they could read.
    first_by_names = {frozenset(names): layout for layout, names in reversed(covered.items()) if names}
    return [
        layout
        for names, layout in first_by_names.items()
        if not any(names < others for others in first_by_names)
    ]
