"""Which columns of a data file `init` makes the prompt and the completion, or why that is not clear."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tutelage import templates
from tutelage.core.errors import InputError
from tutelage.core.strictjson import json_kind, shorten
from tutelage.core.suggestions import did_you_mean
from tutelage.core.types import Example
from tutelage.data import LoadedData
from tutelage.templates import ColumnReading, TaskTemplate, columns
from tutelage.templates.column_roles import STRONG_RANK, column_role, name_words, role_table

_EXAMPLES_SHOWN = 3


class UnclearColumnsError(InputError):
    """The columns do not say which one asks and which one answers: a person has to.

    Attributes:
        columns: the table's columns, each with a few of its values.
        reading: the likeliest reading, or None.
    """

    def __init__(
        self,
        problem: str,
        *,
        columns: Sequence[tuple[str, str]],
        reading: ColumnReading | None = None,
        **parts: str | None,
    ) -> None:
        super().__init__(problem, **parts)
        self.columns = columns
        self.reading = reading


@dataclass(frozen=True, slots=True)
class PromptColumns:
    """The template of a task and how it was chosen.

    Attributes:
        template: prompt and completion.
        note: what decided, in one line.
        completion: the column that the completion is, if it is one column.
        languages: the languages of a translation, if the columns are named by them.
    """

    template: TaskTemplate
    note: str
    completion: str | None
    languages: tuple[str, str] | None = None


def choose_columns(
    loaded: LoadedData, file: Path, *, prompt: Sequence[str] = (), completion: str | None = None
) -> PromptColumns:
    """Choose prompt and completion for the rows of a file.

    Args:
        loaded: the rows.
        file: their file, for errors.
        prompt: the columns of the prompt that a person named.
        completion: the column of the completion that a person named; both or neither.

    Raises:
        UnclearColumnsError: nobody named the columns, and names, order and values do not decide.
        InputError: a named column is not there, or the rows must not be learned one by one.
    """
    chosen = _choose(loaded, file, prompt, completion)
    return replace(chosen, template=_with_words(chosen, loaded.examples))


def _choose(loaded: LoadedData, file: Path, prompt: Sequence[str], completion: str | None) -> PromptColumns:
    examples = loaded.examples
    names = templates.common_columns(examples)
    if prompt or completion is not None:
        return _named_columns(examples, names, file, prompt, completion)
    if loaded.template is not None:
        return _by_template(loaded.template)
    columns.refuse_unlearnable_rows(examples, where="init")
    reading = templates.guess_columns(examples)
    fits = columns.matching_templates(names)
    if not any(layout.also_present for layout in fits):
        _refuse_listed_choices(examples, names, file, reading)
    if len(fits) == 1 and _agrees(fits[0], reading):
        return _by_template(fits[0].name)
    if reading is None or not reading.is_certain or len(fits) > 1:
        raise _unclear(examples, names, file, reading)
    return _by_reading(reading, examples)


def _agrees(layout: columns.ColumnTemplate, reading: ColumnReading | None) -> bool:
    """Whether a template of known columns uses all that the reading uses; one of rare columns is not doubted."""
    if layout.also_present or len(layout.columns) > 2:
        return True
    answer = layout.columns[-1]
    if reading is None:  # an answer that is the same in all rows is one still; a label is none
        return (column_role(answer).completion_rank or 0) <= STRONG_RANK
    covered = {*layout.columns, *layout.optional}
    return reading.is_certain and reading.completion == answer and covered.issuperset(reading.prompt_columns)


def _with_words(chosen: PromptColumns, examples: Sequence[Example]) -> TaskTemplate:
    """The template, whose completion says yes and no where its column holds true and false."""
    if chosen.completion is None or not isinstance(examples[0].fields.get(chosen.completion), bool):
        return chosen.template
    condition = templates.reference(chosen.completion)[3:-3]
    return replace(chosen.template, completion=f"{{{{ 'yes' if {condition} else 'no' }}}}")


def _refuse_listed_choices(
    examples: Sequence[Example], names: Sequence[str], file: Path, reading: ColumnReading | None
) -> None:
    """Refuse a list of answers to choose from beside a question: without it no answer can be known."""
    lists = [
        name
        for name in names
        if " ".join(name_words(name)) in role_table()["choices"]
        and isinstance(examples[0].fields[name], list | dict)
    ]
    if lists and reading is not None:
        fields = f"question: {reading.prompt}, choices: {lists[0]}, answer: {reading.completion}"
        raise InputError(
            f"{lists[0]} holds answers to choose from, which belong into the prompt",
            where=str(file),
            found="the columns " + ", ".join(names),
            expected="a task with the template multiple-choice",
            fix=f"write a recipe whose task has  template: multiple-choice  and  fields: {{{fields}}}",
        )


def _by_template(name: str) -> PromptColumns:
    template = templates.column_template(name)
    fields = template.completion_fields
    return PromptColumns(template, f"the template {name} fits them", fields[0] if len(fields) == 1 else None)


def _by_reading(reading: ColumnReading, examples: Sequence[Example]) -> PromptColumns:
    further = set(reading.prompt_columns) - {reading.prompt}
    empty = frozenset(name for name in further if any(row.fields[name] in (None, "") for row in examples))
    reading = replace(reading, maybe_empty=empty)
    languages = reading.languages
    text = (
        f"Translate this into {languages[1]}.\n\n"
        if languages
        else "Summarize the following text.\n\n"
        if reading.is_summary
        else ""
    )
    template = TaskTemplate(text + reading.prompt_template(), templates.reference(reading.completion))
    return PromptColumns(template, reading.note, reading.completion, languages)


def _named_columns(
    examples: Sequence[Example],
    names: Sequence[str],
    file: Path,
    prompt: Sequence[str],
    completion: str | None,
) -> PromptColumns:
    """The reading that a person asks for with --prompt and --completion."""
    if not prompt or completion is None:
        raise InputError(
            "--prompt and --completion go together",
            where=str(file),
            found="only --prompt" if prompt else "only --completion",
            expected=f"two of the columns {', '.join(names)}",
            fix="name both",
        )
    for option, name in [*(("--prompt", name) for name in prompt), ("--completion", completion)]:
        if name not in names:
            raise InputError(
                "the rows have no such column",
                where=f"{option} {name}",
                found="the columns " + ", ".join(names),
                expected="one that every row has",
                fix=did_you_mean(name, list(names), form=f"{option} {{}}") or "name one of them",
            )
        if isinstance(value := examples[0].fields[name], list | dict):
            raise InputError(
                "the column holds no text",
                where=f"{option} {name}",
                found=json_kind(value),
                expected="texts or numbers",
                fix="name another column, or write a template over its parts into a recipe",
            )
    if completion in prompt:
        raise InputError(
            "the prompt would hold its answer",
            where=f"--completion {completion}",
            found=f"the same column under --prompt: {completion}",
            expected="two columns",
            fix="name another column for one of them",
        )
    first, *after = prompt
    reading = ColumnReading(
        first,
        completion,
        "as named by --prompt and --completion",
        is_certain=True,
        after=tuple(after),
    )
    return _by_reading(reading, examples)


def _unclear(
    examples: Sequence[Example], names: Sequence[str], file: Path, reading: ColumnReading | None
) -> InputError:
    """The error with both readings of the columns, and the two commands of which one is right."""
    shown = [(name, _some_values(examples, name)) for name in names]
    if reading is None:
        free = [name for name in names if not isinstance(examples[0].fields[name], list | dict)]
        return UnclearColumnsError(
            "the rows have no two columns of text, one that asks and one that answers",
            where=str(file),
            found=", ".join(f"{name}: {json_kind(examples[0].fields[name])}" for name in names)
            or "no common column",
            expected="such as prompt and completion, or question and answer",
            fix=f"name two of the columns: tutelage init {shlex.quote(str(file))} --prompt COLUMN --completion COLUMN"
            if len(free) > 1
            else columns.advice_without_guess(examples),
            columns=shown if len(free) > 1 else (),
        )
    other_prompt, other_completion = reading.other or (reading.completion, reading.prompt)
    pairs = [(reading.prompt_columns, reading.completion), ((other_prompt,), other_completion)]
    readings = [f"{' and '.join(asks)} asks, {answers} answers" for asks, answers in pairs]
    commands = [
        f"tutelage init {shlex.quote(str(file))} {' '.join(f'--prompt {shlex.quote(name)}' for name in asks)} --completion {shlex.quote(answers)}"
        for asks, answers in pairs
    ]
    return UnclearColumnsError(
        "it is not clear which column asks and which one answers",
        where=str(file),
        found=f"{'; '.join(f'{name}: {values}' for name, values in shown[:12])} ({reading.basis})",
        expected="  or  ".join(readings),
        fix="  or  ".join(commands),
        columns=shown,
        reading=reading,
    )


def _some_values(examples: Sequence[Example], name: str) -> str:
    values = dict.fromkeys(
        shorten(str(row.fields[name]), 24) for row in examples[:50] if row.fields[name] not in (None, "")
    )
    return ", ".join(list(values)[:_EXAMPLES_SHOWN]) or "empty"
