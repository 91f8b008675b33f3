"""The library of templates by column names, and the detection of columns that say what they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from tutelage.core import yamltext
from tutelage.core.errors import InputError, nearest
from tutelage.core.nouns import Example, Json
from tutelage.templates.sandbox import reference
from tutelage.templates.template import TaskTemplate


@dataclass(frozen=True, slots=True)
class Layout:
    """Columns that say what they are, and the template for them.

    Attributes:
        name: what a recipe's `template` calls it.
        columns: those that it needs, the one to be answered last.
        optional: those that it uses where they are there.
        beside: those that must be there too, and are not used.
        ignored: those that may be there, and are not used.
        prompt, completion: the template.
        references: the field with all right answers, where the table has one.
    """

    name: str
    columns: tuple[str, ...]
    optional: tuple[str, ...]
    beside: tuple[str, ...]
    ignored: tuple[str, ...]
    prompt: str
    completion: str
    references: str | None

    def covers(self, columns: Sequence[str]) -> frozenset[str]:
        """The columns that this layout would use or knows to leave; empty when it does not fit."""
        needed = {*self.columns, *self.beside}
        if not needed <= set(columns):
            return frozenset()
        return frozenset(needed.union({*self.optional, *self.ignored} & set(columns)))

    def template(self, *, references: str | None = None, where: str = "template") -> TaskTemplate:
        """The layout as a task's template."""
        told = references or self.references
        return TaskTemplate(self.prompt, self.completion, name=self.name, references=told, where=where)


@cache
def layouts() -> tuple[Layout, ...]:
    """All known layouts, from columns.yaml."""
    rows = yamltext.table("tutelage.templates", "columns.yaml")
    lists = ("columns", "optional", "beside", "ignored")
    return tuple(
        Layout(
            name=row["name"],
            prompt=row["prompt"],
            completion=row["completion"],
            references=row.get("references"),
            **{key: tuple(row.get(key, ())) for key in lists},
        )
        for row in rows
    )


def names() -> list[str]:
    """The names that `template:` in a recipe may have."""
    return [layout.name for layout in layouts()]


def named(name: str, *, references: str | None = None, where: str = "template") -> TaskTemplate:
    """A template of the library. Raises InputError, with the nearest name, when there is none of that name."""
    for layout in layouts():
        if layout.name == name:
            return layout.template(references=references, where=where)
    close = nearest(name, names())
    raise InputError(
        "there is no such template",
        where=where,
        found=name,
        expected=", ".join(names()),
        fix=f"did you mean {close}?" if close else "take one of these, or write prompt and completion",
    )


def columns_of(examples: Sequence[Example]) -> list[str]:
    """The fields that every row has, in the first row's order."""
    common = set(examples[0].fields).intersection(*(row.fields for row in examples)) if examples else set()
    return [name for name in examples[0].fields if name in common] if examples else []


def usual_columns(examples: Sequence[Example]) -> list[str]:
    """The fields that more than half of the rows have, in the order in which they first appear."""
    counts = Counter(name for row in examples for name in row.fields)
    return [name for name, count in counts.items() if 2 * count > len(examples)]


def fitting(columns: Sequence[str]) -> list[Layout]:
    """The layouts that fit some columns, without those that cover less than another one does."""
    covered = {layout: layout.covers(columns) for layout in layouts()}
    fits = {layout: found for layout, found in covered.items() if found}
    return [layout for layout, found in fits.items() if not any(found < other for other in fits.values())]


def detect(
    examples: Sequence[Example], *, references: str | None = None, where: str = "task"
) -> TaskTemplate:
    """The template for rows whose columns say by their names what they are.

    Where no layout fits the columns that all rows have, those of most rows decide: the rows that lack one are then bad rows
    with a place, instead of hiding the column of all others.

    Raises:
        InputError: no layout fits, or several do; it spells the lines to write instead.
    """
    columns = columns_of(examples)
    found = fitting(columns)
    if not found:
        usual = usual_columns(examples)
        found = fitting(usual)
        columns = usual if found else columns
    if len(found) == 1:
        return found[0].template(references=references, where=where)
    source = examples[0].origin.file if examples else "the data"
    if found:
        raise InputError(
            "several columns could be the prompt and the completion",
            where=f"{source}, for {where}",
            found="the columns " + ", ".join(columns),
            expected="one of the templates " + ", ".join(layout.name for layout in found),
            fix=f"write into the task  template: {found[0].name}",
        )
    raise InputError(
        "the columns do not say which is the prompt and which the completion",
        where=f"{source}, for {where}",
        found="the columns " + ", ".join(columns),
        expected="columns such as " + ", ".join("/".join(layout.columns) for layout in layouts()[:5]),
        fix=f"write into the task  {mapping(examples)}",
    )


def mapping(examples: Sequence[Example]) -> str:
    """The two lines that a recipe needs for these rows, by the best guess: the longest text asks, the next answers."""
    prompt, completion = guess(examples, lists=True)
    return f'prompt: "{_put(prompt, examples)}"  and  completion: "{_put(completion, examples)}"'


def guess(examples: Sequence[Example], *, lists: bool = False) -> tuple[str, str]:
    """The two columns with the longest texts (or lists of texts), as names; place-holders where there are fewer."""
    columns = columns_of(examples)
    length = {name: sum(_length(row.fields[name], lists=lists) for row in examples[:200]) for name in columns}
    texts = sorted((name for name in columns if length[name]), key=lambda name: -length[name])
    first, second, *_ = [*texts, "question", "answer"] if len(texts) < 2 else texts
    return first, second


def _length(value: Json, *, lists: bool) -> int:
    if lists and isinstance(value, list):
        return sum(len(item) for item in value if isinstance(item, str))
    return len(value) if isinstance(value, str) else 0


def _put(name: str, examples: Sequence[Example]) -> str:
    """A column in a template: a list is joined."""
    said = reference(name)
    listed = any(isinstance(row.fields.get(name), list) for row in examples[:200])
    return f"{said[:-3]} | join(', ') }}}}" if listed else said
