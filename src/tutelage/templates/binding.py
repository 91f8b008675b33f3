"""Binds a task kind's fields to a data set's columns, and reads the fields' values from each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tutelage.core.errors import InputError
from tutelage.core.strictjson import json_kind, shorten
from tutelage.core.suggestions import did_you_mean, nearest
from tutelage.core.types import Example, Json
from tutelage.templates import coercion, column_roles
from tutelage.templates.coercion import ShapeError
from tutelage.templates.columns import common_columns
from tutelage.templates.kind import Kind
from tutelage.templates.labels import LabelSpec, LabelWords, labels_for

MISSING: Any = object()
"""What `look_up` gives for a column that a row does not have."""
_DEPENDENT_TYPES = ("label", "choice", "entities")  # these look at other fields of the row


@dataclass(frozen=True, slots=True)
class ConstantField:
    """A field with the same text in every row, such as the name of a language."""

    value: str


FieldSource = str | tuple[str, ...] | ConstantField
"""A column (or a part of it: `answers.text`), several columns that make a list, or a constant text."""


def columns_of(source: FieldSource | None) -> tuple[str, ...]:
    """The columns that a source reads; none for a constant text."""
    if isinstance(source, tuple):
        return source
    return (source,) if isinstance(source, str) else ()


@dataclass(frozen=True, slots=True)
class BoundRow:
    """A row's values by the kind's field names.

    Attributes:
        fields: values copied unchanged from a column; only these may be shortened in a prompt that is too long.
        extra: all other values that wordings read.
        choices: the answer choices.
        correct_index: the index of the correct choice.
        answers: all correct answers, if the row has several.
    """

    fields: dict[str, Json] = field(default_factory=dict)
    extra: dict[str, Json] = field(default_factory=dict)
    choices: tuple[str, ...] = ()
    correct_index: int | None = None
    answers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Binding:
    """The column that each field of a kind is read from. Optional fields without a column are left out.

    Attributes:
        kind: the task kind.
        sources: the column, columns or constant of each field.
        labels: the label words, for a kind with labels.
        where: the task's place in the recipe, for errors.
        column_names: all columns of the rows.
    """

    kind: Kind
    sources: Mapping[str, FieldSource]
    labels: LabelWords | None
    where: str
    column_names: frozenset[str]

    def columns(self, names: Sequence[str]) -> tuple[str, ...]:
        """The columns that some of the kind's fields are read from."""
        parts = [part for name in names for part in columns_of(self.sources.get(name))]
        return tuple(
            dict.fromkeys(part if part in self.column_names else part.partition(".")[0] for part in parts)
        )

    def column(self, name: str) -> str:
        """A field's column, as errors and spans name it."""
        return ", ".join(columns_of(self.sources.get(name))) or name

    def bind_row(self, example: Example) -> BoundRow:
        """Read the kind's fields from a row. Raises InputError, with its line, for a missing field or a wrong type."""
        bound: dict[str, Any] = {"fields": {}, "extra": {}}
        for name in sorted(
            self.kind.fields, key=lambda name: self.kind.fields[name].type in _DEPENDENT_TYPES
        ):
            try:
                self._field(name, example, bound)
            except ShapeError as error:
                value = self._value(name, example)
                raise InputError(
                    f"the field {self.column(name)} is not as {self.kind.name} needs it",
                    where=str(example.origin),
                    found=shorten(value) if isinstance(value, str) else json_kind(value),
                    expected=str(error),
                    fix=f"correct the row, or name another column in {self.where}.fields",
                ) from None
        bound.pop("names", None)
        return BoundRow(**bound)

    def _field(self, name: str, example: Example, bound: dict[str, Any]) -> None:
        kind_field, value = self.kind.fields[name], self._value(name, example)
        if value in (None, "") and kind_field.optional:
            bound["extra"][name] = ""
            return
        if kind_field.type == "label":
            assert self.labels is not None
            label = self.labels.word_for(value, example, self.column(name), where=self.where)
            bound["extra"][name] = label
            bound.update(choices=self.labels.words, correct_index=self.labels.words.index(label))
        elif kind_field.type == "choices":
            bound["choices"], bound["names"] = coercion.choices_of(value)
            bound["extra"][name] = list(bound["choices"])
        elif kind_field.type == "choice" and "choices" in bound:
            bound["correct_index"] = coercion.choice_index(value, bound["choices"], bound["names"])
            bound["extra"][name] = bound["choices"][bound["correct_index"]]
        elif kind_field.type == "entities":
            tokens = next(
                (self._value(other, example) for other, f in self.kind.fields.items() if f.type == "tokens"),
                None,
            )
            bound["extra"][name] = coercion.entities_of(value, tokens)
        else:
            self._text(name, value, example, bound)

    def _text(self, name: str, value: Json, example: Example, bound: dict[str, Any]) -> None:
        kind_field = self.kind.fields[name]
        answers = coercion.answer_texts(value) if name == self.kind.answer else ()
        converters = {"tokens": coercion.joined_tokens, "record": coercion.record_text}
        text = answers[0] if answers else converters.get(kind_field.type, coercion.number_or_text)(value)
        if text is None:
            raise ShapeError("a text or a number")
        if not str(text).strip():
            raise InputError(
                f"the field {self.column(name)} is empty",
                where=str(example.origin),
                found=shorten(str(text)),
                expected=kind_field.about,
                fix="fill it, or delete the row",
            )
        # Only text copied unchanged from the row gets a span, and may be shortened in a prompt that is too long.
        is_verbatim = text is value and isinstance(self.sources[name], str)
        bound["fields" if is_verbatim else "extra"][name] = text
        if answers:
            bound["answers"] = answers

    def _value(self, name: str, example: Example) -> Json:
        source = self.sources.get(name)
        if isinstance(source, ConstantField):
            return source.value
        values = [self._column(name, example, column) for column in columns_of(source)]
        return values if isinstance(source, tuple) else next(iter(values), None)

    def _column(self, name: str, example: Example, column: str) -> Json:
        kind_field, value = self.kind.fields[name], look_up(example.fields, column)
        if value is MISSING and not kind_field.optional:
            suggestion = nearest(column, list(example.fields))
            raise InputError(
                f"the row has no field {column}",
                where=str(example.origin),
                found="the fields " + ", ".join(example.fields),
                expected=f"{column}: {kind_field.about}",
                fix=f"did you mean {suggestion}? Add the field, or delete the row"
                if suggestion
                else "add it, or delete the row",
            )
        return None if value is MISSING else value


def look_up(fields: Mapping[str, Json], column: str) -> Any:
    """The value of a column, or of a part of one (`answers.text`). MISSING if the row does not have it."""
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
    required: Sequence[str],
    fields: Mapping[str, FieldSource] | None = None,
    labels: LabelSpec | None = None,
    where: str = "task",
) -> Binding:
    """Find the column of each field: as the recipe says, else the column with the field's name.

    Args:
        kind: the task kind.
        examples: the task's rows.
        required: the fields that must have a column.
        fields: the recipe's mapping of the kind's fields to a column, a list of columns, or a constant text.
        labels: the recipe's labels.
        where: the task's place in the recipe.

    Raises:
        InputError: a required field has no column (the error gives the line to write), or labels are missing.
    """
    mapping = fields or {}
    _check_sources(kind, mapping, examples, where)
    present_columns = {name for row in examples for name in row.fields}
    sources = {**{name: name for name in kind.fields if name in present_columns}, **mapping}
    if missing := [name for name in required if name not in sources]:
        raise _missing_fields_error(kind, missing, mapping, examples, where)
    label_words = None
    if kind.fields[kind.answer].type == "label":
        source = sources[kind.answer]
        if not isinstance(source, str):
            raise InputError(
                "labels stand in one column",
                where=f"{where}.fields.{kind.answer}",
                found="no column",
                fix="name it",
            )
        label_words = labels_for(labels, kind.labels, examples, source, where=where)
    elif labels is not None:
        raise InputError(
            f"{kind.name} has no labels",
            where=f"{where}.labels",
            found=", ".join(labels),
            expected="no labels: its answers stand in the rows",
            fix="remove labels",
        )
    return Binding(kind, sources, label_words, where, frozenset(present_columns))


def _check_sources(
    kind: Kind, sources: Mapping[str, FieldSource], examples: Sequence[Example], where: str
) -> None:
    for name, source in sources.items():
        if name not in kind.fields:
            raise InputError(
                f"{kind.name} has no field {name}",
                where=f"{where}.fields.{name}",
                found=name,
                expected="; ".join(
                    f"{field_name}: {kind_field.about}" for field_name, kind_field in kind.fields.items()
                ),
                fix=did_you_mean(name, list(kind.fields))
                or "the library's field comes first, the column second",
            )
        for column in columns_of(source):
            if all(look_up(row.fields, column) is MISSING for row in examples):
                columns = common_columns(examples)
                raise InputError(
                    f"no row has a column {column}",
                    where=f"{where}.fields.{name}",
                    found="the columns " + ", ".join(columns),
                    expected=kind.fields[name].about,
                    fix=did_you_mean(column, columns) or "name one of the columns",
                )


def _missing_fields_error(
    kind: Kind,
    missing: Sequence[str],
    sources: Mapping[str, FieldSource],
    examples: Sequence[Example],
    where: str,
) -> InputError:
    columns = common_columns(examples)
    used_columns = {column for source in sources.values() for column in columns_of(source)}
    free_columns = [name for name in columns if name not in used_columns and name not in kind.fields]
    guesses: dict[str, str] = {}
    for name in sorted(missing, key=lambda name: name == kind.answer):
        column = _likely_column(kind, name, free_columns)
        guesses[name] = column or "COLUMN"
        free_columns = [candidate for candidate in free_columns if candidate != column]
    suggestion = {**{name: _source_yaml(source) for name, source in sources.items()}, **guesses}
    mapping = ", ".join(f"{name}: {suggestion[name]}" for name in kind.fields if name in suggestion)
    return InputError(
        f"the rows do not say what {kind.name} needs: {', '.join(missing)}",
        where=f"{examples[0].origin.file if examples else 'the data'}, for {where}",
        found="the columns " + ", ".join(columns),
        expected="; ".join(f"{name}: {kind.fields[name].about}" for name in missing),
        fix=f"write into the task  fields: {{{mapping}}}",
    )


def _likely_column(kind: Kind, name: str, free_columns: Sequence[str]) -> str | None:
    """A field's most likely column: by its name, else by whether it holds prompts or answers, else the next free one."""
    usual_names = [word.casefold() for word in (name, *kind.fields[name].often)]
    by_name = sorted(
        (c for c in free_columns if c.casefold() in usual_names),
        key=lambda c: usual_names.index(c.casefold()),
    )
    nearest_name = nearest(name, free_columns)
    text_columns = [column for column in free_columns if not column_roles.column_role(column).is_ignored]
    answers = [
        column for column in text_columns if column_roles.column_role(column).completion_rank is not None
    ]
    other_columns = [column for column in text_columns if column not in answers]
    ranked = [*answers, *other_columns] if name == kind.answer else [*other_columns, *answers]
    return next(iter([*by_name, *([nearest_name] if nearest_name else []), *ranked, *free_columns]), None)


def _source_yaml(source: FieldSource) -> str:
    """A source as a recipe writes it."""
    if isinstance(source, ConstantField):
        return f"{{value: {source.value}}}"
    return f"[{', '.join(source)}]" if isinstance(source, tuple) else source
