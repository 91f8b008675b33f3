"""The library of templates by column names, and the detection of columns that say what they are."""

from __future__ import annotations

import json
import re
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
from tutelage.templates.column_roles import ColumnGuess
from tutelage.templates.sandbox import reference
from tutelage.templates.task_template import TaskTemplate

_NUMBER = re.compile(r"[+-]?\d+([.,:/-]\d+)*%?")


@dataclass(frozen=True, slots=True)
class ColumnTemplate:
    """Columns that say what they are, and the template for them.

    Attributes:
        name: what a recipe's `template` calls it.
        columns: those that it needs, the one to be answered last.
        optional: those that it uses where they are there.
        also_present: those that must be there too, and are not used.
        ignored: those that may be there, and are not used.
        prompt, completion: the template.
        references: the field with all right answers, where the table has one.
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
        """The columns that this layout would use or knows to leave; empty when it does not fit."""
        needed = {*self.columns, *self.also_present}
        if not needed <= set(columns):
            return frozenset()
        return frozenset(needed.union({*self.optional, *self.ignored} & set(columns)))

    def template(self, *, references: str | None = None, where: str = "template") -> TaskTemplate:
        """The layout as a task's template."""
        references_field = references or self.references
        return TaskTemplate(
            self.prompt, self.completion, name=self.name, references=references_field, where=where
        )


@cache
def column_templates() -> tuple[ColumnTemplate, ...]:
    """All known layouts, from columns.yaml."""
    rows = yamltext.table("tutelage.templates", "columns.yaml")
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
    """The names that `template:` in a recipe may have."""
    return [layout.name for layout in column_templates()]


def column_template(name: str, *, references: str | None = None, where: str = "template") -> TaskTemplate:
    """A template of the library. Raises InputError, with the nearest name, when there is none of that name."""
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
    """The layouts that fit some columns, without those that cover less than another one does."""
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
    """The template for rows whose columns say by their names what they are.

    Where no layout fits the columns that all rows have, those of most rows decide: the rows that lack one are then bad rows
    with a place, instead of hiding the column of all others.

    Raises:
        InputError: no layout fits, or several do; it spells the lines to write instead.
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
        fix=suggested_lines(examples),
    )


def refuse_unlearnable_rows(examples: Sequence[Example], *, where: str) -> None:
    """Refuse rows whose columns say that they cannot be learned one by one, whatever their texts are called.

    Raises:
        InputError: rows that go on from other rows by a parent_id, or that a label says are wanted or not.
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


def suggested_lines(examples: Sequence[Example]) -> str:
    """What to write into a recipe for these rows: the two lines, and how sure they are."""
    columns_guess = guess_columns(examples, lists=True)
    if columns_guess is None:
        return _advice_without_guess(examples)
    prompt, completion = (
        _column_reference(columns_guess.prompt, examples),
        _column_reference(columns_guess.completion, examples),
    )
    return f'write into the task  prompt: "{prompt}"  and  completion: "{completion}"  ({columns_guess.note})'


def guess_columns(examples: Sequence[Example], *, lists: bool = False) -> ColumnGuess | None:
    """The column that asks and the one that answers, among those with texts (or lists of texts); None where there are none."""
    sample = examples[:200]
    columns = common_columns(examples)
    text_columns = [
        name for name in columns if any(_is_text(row.fields[name], lists=lists) for row in sample)
    ]
    return column_roles.guess_columns(
        text_columns,
        uninformative=[name for name in text_columns if _is_uninformative([row.fields[name] for row in sample])],
    )


def _is_text(value: Json, *, lists: bool) -> bool:
    if lists and isinstance(value, list):
        return any(isinstance(item, str) and item for item in value)
    return isinstance(value, str) and bool(value)


def _is_uninformative(values: Sequence[Json]) -> bool:
    """Whether a column's values are numbers, or the same in all of several rows."""
    texts = [value for value in values if isinstance(value, str) and value.strip()]
    is_constant = len(texts) > 2 and len(set(texts)) == 1
    return is_constant or (bool(texts) and all(_NUMBER.fullmatch(text.strip()) for text in texts))


def _advice_without_guess(examples: Sequence[Example]) -> str:
    """What to do with rows in which no two columns could be prompt and completion; it names only columns that are there."""
    first = examples[0].fields
    for name in common_columns(examples):
        value = first[name]
        if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
            with suppress(ValueError, RecursionError):
                json.loads(value)
                return f"{name} holds JSON in a text: write its content as JSON, not as a text"
        if isinstance(value, dict) and value and all(isinstance(part, list) for part in value.values()):
            return f"{name} holds its turns column by column: write them as a list of objects"
    return "bring rows with two columns of text, one that asks and one that answers, or write prompt and completion"


def _describe_row_columns(examples: Sequence[Example]) -> str:
    """Which columns stand in how many rows, the most usual first."""
    counts = Counter(tuple(row.fields) for row in examples)
    shapes = [
        f"{', '.join(column_template_names)} in {count:,} rows"
        for column_template_names, count in counts.most_common(3)
    ]
    return "; ".join(shapes) + ("; ..." if len(counts) > 3 else "") or "no rows"


def _column_reference(name: str, examples: Sequence[Example]) -> str:
    """A column in a template: a list is joined."""
    placeholder = reference(name)
    is_list = any(isinstance(row.fields.get(name), list) for row in examples[:200])
    return f"{placeholder[:-3]} | join(', ') }}}}" if is_list else placeholder
