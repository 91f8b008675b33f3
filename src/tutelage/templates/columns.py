"""Templates for well-known column names, and the detection of the template for a data set's columns."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

from tutelage.core import yamltext
from tutelage.core.errors import InputError
from tutelage.core.suggestions import did_you_mean
from tutelage.core.types import Example, Json
from tutelage.templates import column_roles
from tutelage.templates.column_contents import column_content
from tutelage.templates.column_reading import ColumnReading, read_columns
from tutelage.templates.sandbox import reference
from tutelage.templates.task_template import TaskTemplate

SAMPLED_ROWS = 1000
"""About so many rows, spread over the file, show what a column holds: rows may be sorted by their labels."""


@dataclass(frozen=True, slots=True)
class ColumnTemplate:
    """A template for a known set of column names.

    Attributes:
        name: its name in a recipe's `template`.
        columns: the required columns, the answer last.
        optional: columns that are used if they exist.
        also_present: columns that must exist and are not used.
        ignored: columns that may exist and are not used.
        prompt, completion: the template.
        references: the field with all correct answers, if there is one.
    """

    name: str
    columns: tuple[str, ...]
    optional: tuple[str, ...]
    also_present: tuple[str, ...]
    ignored: tuple[str, ...]
    prompt: str
    completion: str
    references: str | None

    def covers(self, columns: Sequence[str]) -> frozenset[str]:
        """The columns that this template uses or knows to ignore; empty if it does not match."""
        needed = {*self.columns, *self.also_present}
        if not needed <= set(columns):
            return frozenset()
        return frozenset(needed.union({*self.optional, *self.ignored} & set(columns)))

    def template(self, *, references: str | None = None, where: str = "template") -> TaskTemplate:
        """The task template for these columns."""
        references = references or self.references
        return TaskTemplate(self.prompt, self.completion, name=self.name, references=references, where=where)


@cache
def column_templates() -> tuple[ColumnTemplate, ...]:
    """All column templates, from columns.yaml."""
    rows = yamltext.table("tutelage.templates", "columns.yaml")["layouts"]
    lists = ("columns", "optional", "also_present", "ignored")
    return tuple(
        ColumnTemplate(
            name=row["name"],
            prompt=row["prompt"],
            completion=row["completion"],
            references=row.get("references"),
            **{key: tuple(row.get(key, ())) for key in lists},
        )
        for row in rows
    )


def column_template_names() -> list[str]:
    """The names of the column templates, as a recipe's `template:` takes them."""
    return [layout.name for layout in column_templates()]


def column_template_named(name: str) -> ColumnTemplate | None:
    """The entry of columns.yaml with a name; None if there is none."""
    return next((layout for layout in column_templates() if layout.name == name), None)


def column_template(name: str, *, references: str | None = None, where: str = "template") -> TaskTemplate:
    """A column template by name. Raises InputError, with the nearest name, if there is none."""
    for layout in column_templates():
        if layout.name == name:
            return layout.template(references=references, where=where)
    raise InputError(
        "there is no such template",
        where=where,
        found=name,
        expected=", ".join(column_template_names()),
        fix=did_you_mean(name, column_template_names())
        or "take one of these, or write prompt and completion",
    )


def common_columns(examples: Sequence[Example]) -> list[str]:
    """The fields that every row has, in the first row's order."""
    common = set(examples[0].fields).intersection(*(row.fields for row in examples)) if examples else set()
    return [name for name in examples[0].fields if name in common] if examples else []


def frequent_columns(examples: Sequence[Example]) -> list[str]:
    """The fields that more than half of the rows have, in the order in which they first appear."""
    counts = Counter(name for row in examples for name in row.fields)
    return [name for name, count in counts.items() if 2 * count > len(examples)]


def matching_templates(columns: Sequence[str]) -> list[ColumnTemplate]:
    """The templates that match some columns, without those that cover a proper subset of another's columns."""
    covered = {layout: layout.covers(columns) for layout in column_templates()}
    matching = {layout: columns_covered for layout, columns_covered in covered.items() if columns_covered}
    return [
        layout
        for layout, columns_covered in matching.items()
        if not any(columns_covered < other_covered for other_covered in matching.values())
    ]


def detect(
    examples: Sequence[Example], *, references: str | None = None, where: str = "task"
) -> TaskTemplate:
    """The template that matches the rows' column names.

    If no template matches the columns that all rows have, the columns of more than half of the rows decide. Rows without one of
    these are then reported as bad rows.

    Raises:
        InputError: no template matches, or several do; the error gives the lines to write into the recipe.
    """
    refuse_unlearnable_rows(examples, where=where)
    columns = common_columns(examples)
    matches = matching_templates(columns)
    if not matches:
        frequent = frequent_columns(examples)
        matches = matching_templates(frequent)
        columns = frequent if matches else columns
    if len(matches) == 1:
        return matches[0].template(references=references, where=where)
    source = f"{examples[0].origin.file if examples else 'the data'}, for {where}"
    if matches:
        raise InputError(
            "several columns could be the prompt and the completion",
            where=source,
            found="the columns " + ", ".join(columns),
            expected="one of the templates " + ", ".join(layout.name for layout in matches),
            fix=f"write into the task  template: {matches[0].name}",
        )
    if not columns:
        raise InputError(
            "no column stands in every row",
            where=source,
            found=_describe_row_columns(examples),
            expected="the same columns in every row",
            fix="bring each kind of rows in a file and a task of its own",
        )
    raise InputError(
        "the columns do not say which is the prompt and which the completion",
        where=source,
        found="the columns " + ", ".join(columns),
        expected="columns such as "
        + ", ".join(dict.fromkeys("/".join(template.columns) for template in column_templates()[:6])),
        fix=suggested_lines(examples)
        if len(columns) > 1 or not isinstance(examples[0].fields[columns[0]], str)
        else _shape_advice(examples)
        or f'write completion: "{reference(columns[0])}" alone: the text is learned as it is, to be gone on with; '
        "or bring rows with two columns of text, one that asks and one that answers",
    )


def refuse_unlearnable_rows(examples: Sequence[Example], *, where: str) -> None:
    """Refuse rows that must not be learned one by one: chained rows, and rows labelled as good or bad completions.

    Raises:
        InputError: rows continue other rows by a parent_id, or a label marks some completions as unwanted.
    """
    columns = {"".join(column_roles.name_words(name)): name for name in common_columns(examples)}
    source = f"{examples[0].origin.file if examples else 'the data'}, for {where}"
    parent, label = columns.get("parentid"), columns.get("label")
    if parent is not None and any(row.fields[parent] not in (None, "") for row in examples):
        raise InputError(
            f"the rows are chained by {parent}: one goes on from another, and each would be learned alone",
            where=source,
            found="the columns " + ", ".join(columns.values()),
            expected="a conversation in each row: messages with role and content",
            fix="write the chains as conversations; if each row stands alone, write prompt and completion into the task",
        )
    if {"chosen", "rejected"} <= set(columns):
        _refuse_whole_conversations(examples, columns, source)
    if label is not None and "prompt" in columns and {"completion", "response"} & set(columns):
        values = {str(row.fields[label]).casefold() for row in examples}
        if "false" in values <= {"true", "false"}:
            raise InputError(
                f"{label} says which completions are wanted, and all of them would be learned",
                where=source,
                found=f"{label}: true in some rows, false in others",
                expected="rows whose completions are wanted",
                fix=f"keep the rows where {label} is true; to learn all, write prompt and completion into the task",
            )


def _refuse_whole_conversations(examples: Sequence[Example], columns: dict[str, str], source: str) -> None:
    """Refuse preferences whose `chosen` is a conversation: as a list of turns, or with the question in its text."""
    chosen = columns["chosen"]
    has_turns = any(isinstance(row.fields[chosen], list) for row in examples[:SAMPLED_ROWS])
    asks = [name for name in columns.values() if column_roles.column_role(name).prompt_rank is not None]
    if has_turns or not asks:
        raise InputError(
            "chosen and rejected hold whole conversations, not the answers to a prompt",
            where=source,
            found="the columns " + ", ".join(columns.values()),
            expected="columns prompt, chosen and rejected with texts, of which chosen is learned",
            fix=f"write {chosen} into a file of its own as the field messages, a list of turns"
            if has_turns
            else f"part {chosen} into a column prompt and a column with the last answer",
        )


def suggested_lines(examples: Sequence[Example]) -> str:
    """The advice for rows without a matching template: the two lines to write, and how certain the guess is."""
    reading = guess_columns(examples, lists=True)
    if reading is None:
        return advice_without_guess(examples)
    prompt, completion = (
        _column_reference(reading.prompt, examples)
        if len(reading.prompt_columns) == 1
        else reading.prompt_template().replace("\n", "\\n"),
        _column_reference(reading.completion, examples),
    )
    return f'write into the task  prompt: "{prompt}"  and  completion: "{completion}"  ({reading.note})'


def guess_columns(examples: Sequence[Example], *, lists: bool = False) -> ColumnReading | None:
    """Read from names, order and values which columns are prompt and completion; None if no two columns could be.

    Args:
        examples: the rows; of many a sample is looked at.
        lists: whether a list of texts counts as a text.
    """
    sample = [examples[index] for index in range(0, len(examples), max(1, len(examples) // SAMPLED_ROWS))]
    contents = {
        name: column_content(
            [_joined(row.fields.get(name)) if lists else row.fields.get(name) for row in sample]
        )
        for name in common_columns(examples)
    }
    return read_columns(contents)


def _joined(value: Json) -> Json:
    """A list of texts as one text; other values as they are."""
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return ", ".join(map(str, value))
    return value


def is_text(value: Json, *, lists: bool) -> bool:
    """Whether a value is a text that is not empty or, with `lists`, a list with one."""
    if lists and isinstance(value, list):
        return any(isinstance(item, str) and item for item in value)
    return isinstance(value, str) and bool(value)


def advice_without_guess(examples: Sequence[Example]) -> str:
    """The advice for rows in which no two columns could be prompt and completion; it names existing columns only."""
    return _shape_advice(examples) or (
        "bring rows with two columns of text, one that asks and one that answers, or write prompt and completion"
    )


def _shape_advice(examples: Sequence[Example]) -> str:
    """The advice for a column whose values have a shape that nothing reads; "" where there is none."""
    first_row = examples[0].fields
    for name in common_columns(examples):
        value = first_row[name]
        if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
            with suppress(ValueError, RecursionError):
                json.loads(value)
                return f"{name} holds JSON in a text: write its content as JSON, not as a text"
        if isinstance(value, dict) and value and all(isinstance(part, list) for part in value.values()):
            return f"{name} holds its turns column by column: write them as a list of objects"
    return ""


def _describe_row_columns(examples: Sequence[Example]) -> str:
    """The three most common sets of columns, with the number of rows that have them."""
    counts = Counter(tuple(row.fields) for row in examples)
    shapes = [
        f"{', '.join(column_template_names)} in {count:,} rows"
        for column_template_names, count in counts.most_common(3)
    ]
    return "; ".join(shapes) + ("; ..." if len(counts) > 3 else "") or "no rows"


def _column_reference(name: str, examples: Sequence[Example]) -> str:
    """The placeholder for a column; a list is joined."""
    placeholder = reference(name)
    is_list = any(isinstance(row.fields.get(name), list) for row in examples[:200])
    return f"{placeholder[:-3]} | join(', ') }}}}" if is_list else placeholder
