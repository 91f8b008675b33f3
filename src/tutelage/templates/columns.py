"""The library of templates by column names, and the detection of columns that say what they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import yaml

from tutelage.core.errors import InputError, nearest
from tutelage.core.nouns import Example
from tutelage.templates.sandbox import reference
from tutelage.templates.template import TaskTemplate


@dataclass(frozen=True, slots=True)
class Layout:
    """Columns that say what they are, and the template for them."""

    name: str
    columns: tuple[str, ...]
    optional: tuple[str, ...]
    prompt: str
    completion: str

    def covers(self, columns: Sequence[str]) -> frozenset[str]:
        """The columns that this layout would use; empty when it does not fit."""
        if not set(self.columns) <= set(columns):
            return frozenset()
        return frozenset({*self.columns, *(name for name in self.optional if name in columns)})

    def template(self, *, references: str | None = None, where: str = "template") -> TaskTemplate:
        """The layout as a task's template."""
        return TaskTemplate(self.prompt, self.completion, name=self.name, references=references, where=where)


@cache
def layouts() -> tuple[Layout, ...]:
    """All known layouts, from columns.yaml."""
    rows = yaml.safe_load(resources.files(__package__).joinpath("columns.yaml").read_text("utf-8"))
    return tuple(
        Layout(
            row["name"],
            tuple(row["columns"]),
            tuple(row.get("optional", ())),
            row["prompt"],
            row["completion"],
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


def fitting(columns: Sequence[str]) -> list[Layout]:
    """The layouts that fit some columns, without those that cover less than another one does."""
    covered = {layout: layout.covers(columns) for layout in layouts()}
    fits = {layout: found for layout, found in covered.items() if found}
    return [layout for layout, found in fits.items() if not any(found < other for other in fits.values())]


def detect(
    examples: Sequence[Example], *, references: str | None = None, where: str = "task"
) -> TaskTemplate:
    """The template for rows whose columns say by their names what they are.

    Raises:
        InputError: no layout fits, or several do; it spells the lines to write instead.
    """
    columns = columns_of(examples)
    found = fitting(columns)
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
    prompt, completion = guess(examples)
    return f'prompt: "{reference(prompt)}"  and  completion: "{reference(completion)}"'


def guess(examples: Sequence[Example]) -> tuple[str, str]:
    """The two columns with the longest texts, as names; place-holders where there are fewer."""
    columns = columns_of(examples)
    length = {
        name: sum(len(v) for row in examples[:200] if isinstance(v := row.fields[name], str))
        for name in columns
    }
    texts = sorted((name for name in columns if length[name]), key=lambda name: -length[name])
    first, second, *_ = [*texts, "question", "answer"] if len(texts) < 2 else texts
    return first, second
