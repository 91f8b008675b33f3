"""A kind's fields found in a task's rows: which column is which, and what each row says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tutelage.core.errors import InputError
from tutelage.core.strictjson import kind as json_kind
from tutelage.core.strictjson import shorten
from tutelage.core.suggestions import did_you_mean, nearest
from tutelage.core.types import Example, Json
from tutelage.templates import roles, values
from tutelage.templates.columns import columns_of
from tutelage.templates.kind import Field, Kind
from tutelage.templates.labels import Labels, LabelsGiven, labels_for
from tutelage.templates.values import ShapeError


@dataclass(frozen=True, slots=True)
class Same:
    """The same text in every row, such as the name of a language."""

    value: str


Source = str | tuple[str, ...] | Same
"""A column (or a part of it: `answers.text`), several columns that make a list, or a text."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What a row says.

    Attributes:
        fields: texts that stand in the row as they are, by the kind's names.
        extra: everything else that a wording reads.
        choices: the answers to choose from.
        right: which of them is right.
        answers: all right answers, where the row holds several.
    """

    fields: dict[str, Json] = field(default_factory=dict)
    extra: dict[str, Json] = field(default_factory=dict)
    choices: tuple[str, ...] = ()
    right: int | None = None
    answers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Binding:
    """Where each field of a kind is, among which columns. Optional ones that the rows do not have are left out."""

    kind: Kind
    sources: Mapping[str, Source]
    labels: Labels | None
    where: str
    known: frozenset[str]

    def columns(self, names: Sequence[str]) -> tuple[str, ...]:
        """The rows' columns that hold some of the kind's fields."""
        found: dict[str, None] = {}
        for name in names:
            source = self.sources.get(name)
            parts = source if isinstance(source, tuple) else (source,) if isinstance(source, str) else ()
            found.update((part if part in self.known else part.partition(".")[0], None) for part in parts)
        return tuple(found)

    def column(self, name: str) -> str:
        """How errors and spans call a field's place."""
        source = self.sources.get(name, name)
        return ", ".join(source) if isinstance(source, tuple) else source if isinstance(source, str) else name

    def row(self, example: Example) -> Bound:
        """What a row says. Raises InputError, with its line, for a field that is missing or of another shape."""
        found: dict[str, Any] = {"fields": {}, "extra": {}}
        later = ("label", "choice", "entities")  # these look at other fields of the row
        for one in sorted(self.kind.fields.values(), key=lambda one: one.type in later):
            try:
                self._field(one, example, found)
            except ShapeError as error:
                value = self._value(one, example)
                raise InputError(
                    f"the field {self.column(one.name)} is not as {self.kind.name} needs it",
                    where=str(example.origin),
                    found=shorten(value) if isinstance(value, str) else json_kind(value),
                    expected=str(error),
                    fix=f"correct the row, or name another column in {self.where}.fields",
                ) from None
        found.pop("names", None)
        return Bound(**found)

    def _field(self, one: Field, example: Example, found: dict[str, Any]) -> None:
        value = self._value(one, example)
        if value in (None, "") and one.optional:
            found["extra"][one.name] = ""
            return
        if one.type == "label":
            assert self.labels is not None
            word = self.labels.word(value, example, self.column(one.name), where=self.where)
            found["extra"][one.name] = word
            found.update(choices=self.labels.words, right=self.labels.words.index(word))
        elif one.type == "choices":
            found["choices"], found["names"] = values.choices_of(value)
            found["extra"][one.name] = list(found["choices"])
        elif one.type == "choice" and "choices" in found:
            found["right"] = values.which(value, found["choices"], found["names"])
            found["extra"][one.name] = found["choices"][found["right"]]
        elif one.type == "entities":
            tokens = next(
                (self._value(f, example) for f in self.kind.fields.values() if f.type == "tokens"), None
            )
            found["extra"][one.name] = values.entities_of(value, tokens)
        else:
            self._text(one, value, example, found)

    def _text(self, one: Field, value: Json, example: Example, found: dict[str, Any]) -> None:
        several = values.several_texts(value) if one.name == self.kind.answer else ()
        shapes = {"tokens": values.words_of, "record": values.record_of}
        text = several[0] if several else shapes.get(one.type, values.number_or_text)(value)
        if text is None:
            raise ShapeError("a text or a number")
        if not str(text).strip():
            raise InputError(
                f"the field {self.column(one.name)} is empty",
                where=str(example.origin),
                found=shorten(str(text)),
                expected=one.about,
                fix="fill it, or delete the row",
            )
        # Only what stands in the row as it is may be shortened when a prompt is too long.
        as_it_is = text is value and isinstance(self.sources[one.name], str)
        found["fields" if as_it_is else "extra"][one.name] = text
        if several:
            found["answers"] = several

    def _value(self, one: Field, example: Example) -> Json:
        source = self.sources.get(one.name)
        if source is None:
            return None
        if isinstance(source, Same):
            return source.value
        if isinstance(source, tuple):
            return [self._column(one, example, column) for column in source]
        return self._column(one, example, source)

    def _column(self, one: Field, example: Example, column: str) -> Json:
        value = look_up(example.fields, column)
        if value is MISSING and not one.optional:
            close = nearest(column, list(example.fields))
            raise InputError(
                f"the row has no field {column}",
                where=str(example.origin),
                found="the fields " + ", ".join(example.fields),
                expected=f"{column}: {one.about}",
                fix=f"did you mean {close}? Add the field, or delete the row"
                if close
                else "add it, or delete the row",
            )
        return None if value is MISSING else value


MISSING: Any = object()


def look_up(fields: Mapping[str, Json], column: str) -> Any:
    """A column's value, or that of a part of it: `answers.text`. MISSING when the row does not have it."""
    if column in fields:
        return fields[column]
    value: Any = fields
    for part in column.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return MISSING
        value = value[part]
    return value


def bind(
    kind: Kind,
    examples: Sequence[Example],
    *,
    needed: Sequence[str],
    fields: Mapping[str, Source] | None = None,
    labels: LabelsGiven | None = None,
    where: str = "task",
) -> Binding:
    """Find a kind's fields in rows: as the recipe says, else by their own names.

    Args:
        kind: what is needed.
        examples: the task's rows.
        needed: fields without which nothing can be asked.
        fields: from the recipe: the kind's field to a column, a list of columns, or one text.
        labels: from the recipe.
        where: the task's place in the recipe.

    Raises:
        InputError: a field is in no column (with the line to write), or labels are missing.
    """
    given = dict(fields or {})
    _check_given(kind, given, examples, where)
    here = {name for row in examples for name in row.fields}
    sources = {**{name: name for name in kind.fields if name in here}, **given}
    if missing := [name for name in needed if name not in sources]:
        raise _not_found(kind, missing, given, examples, where)
    answer = kind.fields[kind.answer]
    found = None
    if answer.type == "label":
        source = sources[answer.name]
        if not isinstance(source, str):
            raise InputError(
                "labels stand in one column",
                where=f"{where}.fields.{answer.name}",
                found="no column",
                fix="name it",
            )
        found = labels_for(labels, kind.labels, examples, source, where=where)
    elif labels is not None:
        raise InputError(
            f"{kind.name} has no labels",
            where=f"{where}.labels",
            found=", ".join(labels),
            expected="no labels: its answers stand in the rows",
            fix="remove labels",
        )
    return Binding(kind, sources, found, where, frozenset(here))


def _check_given(kind: Kind, given: Mapping[str, Source], examples: Sequence[Example], where: str) -> None:
    for name, source in given.items():
        if name not in kind.fields:
            raise InputError(
                f"{kind.name} has no field {name}",
                where=f"{where}.fields.{name}",
                found=name,
                expected="; ".join(f"{one.name}: {one.about}" for one in kind.fields.values()),
                fix=did_you_mean(name, list(kind.fields))
                or "the library's field comes first, the column second",
            )
        for column in source if isinstance(source, tuple) else (source,) if isinstance(source, str) else ():
            if all(look_up(row.fields, column) is MISSING for row in examples):
                columns = columns_of(examples)
                raise InputError(
                    f"no row has a column {column}",
                    where=f"{where}.fields.{name}",
                    found="the columns " + ", ".join(columns),
                    expected=kind.fields[name].about,
                    fix=did_you_mean(column, columns) or "name one of the columns",
                )


def _not_found(
    kind: Kind, missing: Sequence[str], given: Mapping[str, Source], examples: Sequence[Example], where: str
) -> InputError:
    columns = columns_of(examples)
    used = {
        part for source in given.values() for part in (source if isinstance(source, tuple) else (source,))
    }
    free = [name for name in columns if name not in used and name not in kind.fields]
    guesses: dict[str, str] = {}
    for name in sorted(missing, key=lambda name: name == kind.answer):
        column = _likely(kind, name, free)
        guesses[name] = column or "COLUMN"
        free = [one for one in free if one != column]
    line = {**{name: _written(source) for name, source in given.items()}, **guesses}
    told = ", ".join(f"{name}: {line[name]}" for name in kind.fields if name in line)
    return InputError(
        f"the rows do not say what {kind.name} needs: {', '.join(missing)}",
        where=f"{examples[0].origin.file if examples else 'the data'}, for {where}",
        found="the columns " + ", ".join(columns),
        expected="; ".join(f"{name}: {kind.fields[name].about}" for name in missing),
        fix=f"write into the task  fields: {{{told}}}",
    )


def _likely(kind: Kind, name: str, free: Sequence[str]) -> str | None:
    """The column that most likely holds a field: by its name, else by whether it asks or answers, else the next one."""
    often = [word.casefold() for word in (name, *kind.fields[name].often)]
    named = sorted((c for c in free if c.casefold() in often), key=lambda c: often.index(c.casefold()))
    close = nearest(name, free)
    texts = [column for column in free if not roles.role(column).skipped]
    answers = [column for column in texts if roles.role(column).answers is not None]
    others = [column for column in texts if column not in answers]
    ranked = [*answers, *others] if name == kind.answer else [*others, *answers]
    return next(iter([*named, *([close] if close else []), *ranked, *free]), None)


def _written(source: Source) -> str:
    """A source as a recipe says it."""
    if isinstance(source, Same):
        return f"{{value: {source.value}}}"
    return f"[{', '.join(source)}]" if isinstance(source, tuple) else source
