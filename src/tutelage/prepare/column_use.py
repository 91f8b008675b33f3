"""Settles what becomes of columns that a task's template does not read: used as system prompt or history, refused, or named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from typing import Any

from tutelage.config.task_block import Task
from tutelage.core import hashing
from tutelage.core.errors import InputError, raise_all
from tutelage.core.limits import MAX_MISTAKES
from tutelage.core.serialization import EXAMPLE
from tutelage.core.spill import spill_rows
from tutelage.core.strictjson import json_kind, shorten
from tutelage.core.types import Example, History, Json
from tutelage.data import DroppedRow, LoadedData
from tutelage.data.layouts.meanings import meaning_of, says_something
from tutelage.data.partition import normalize
from tutelage.data.splits import field_text
from tutelage.metrics.catalogue import expand, parse
from tutelage.prepare.split_choice import split_settings
from tutelage.prepare.styles import Template
from tutelage.templates import LibraryTemplate, column_template_named, reference

_ID = "id"
"""The row's own name, by which `inspect --row` finds it."""
_KEEPING_COLUMNS = ("plain", "classification", "self-instruct")
"""The layouts whose rows keep the columns of the file; in the others these stand beside what the layout makes."""
_ROLES = {"user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant", "system": "system"}


@dataclass(frozen=True, slots=True)
class ColumnUse:
    """The columns that hold something and that the template does not read.

    Attributes:
        split: the one that says which split a row belongs to, where the recipe does not name it.
        system, history: those that are the rows' system prompt and their earlier turns.
        unused: those that nothing reads; none where the recipe picks columns.
    """

    split: tuple[str, ...] = ()
    system: tuple[str, ...] = ()
    history: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()

    def card(self) -> dict[str, Any]:
        """The data card's entry `columns`; nothing if the template reads all that is there."""
        lists = {"split": self.split, "system": self.system, "history": self.history, "unused": self.unused}
        entry = {use: list(names) for use, names in lists.items() if names}
        return {"columns": entry} if entry else {}


def settle(task: Task, template: Template, loaded: LoadedData, where: str) -> tuple[LoadedData, ColumnUse]:
    """Put system prompts and earlier turns that stand in columns before their rows' prompts.

    Args:
        task: the task.
        template: its template.
        loaded: its rows.
        where: its place in the recipe, for errors.

    Returns:
        The rows with their history, and what became of the columns.

    Raises:
        InputError: the template was chosen by the columns' names, and a column that carries meaning is not read by it;
            InputErrors for all rows whose history cannot be read.
    """
    use = _use_of(task, template, loaded, where)
    if not use.system and not use.history:
        return loaded, use
    errors: list[InputError] = []
    openings = _openings(template, loaded.examples) if use.history else frozenset()

    def with_history() -> Iterator[Example]:
        for example in loaded.examples:
            try:
                yield _with_history(example, use, template, openings)
            except InputError as error:
                errors.append(error)

    examples = spill_rows(with_history(), EXAMPLE)
    if task.data.on_bad_row == "stop":
        raise_all(f"the rows of the task {task.name}", errors[:MAX_MISTAKES])
    dropped = (*loaded.dropped, *map(DroppedRow.of, errors))
    return replace(loaded, examples=examples, dropped=dropped), use


def _use_of(task: Task, template: Template, loaded: LoadedData, where: str) -> ColumnUse:
    names = [*loaded.columns, *task.data.columns]
    read = _columns_read(task, template)
    unread = [name for name in names if name not in read]
    split_column = split_settings(task, loaded.examples).column
    split = (split_column,) if split_column is not None and task.split.column is None else ()
    uses: dict[str, list[str]] = {"system": [], "history": [], "unused": []}
    chosen_by_names = task.prompt is None and not isinstance(template, LibraryTemplate)
    known = _known_columns(template.name) if chosen_by_names else ()
    for name in unread:
        if name in split:
            continue
        meaning = meaning_of("row", name)
        keeps_columns = loaded.source["layout"] in _KEEPING_COLUMNS and not isinstance(
            template, LibraryTemplate
        )
        if meaning is None or name in known or not keeps_columns:
            uses["unused"].append(name)
        elif meaning.use in uses:
            uses[meaning.use].append(name)
        elif chosen_by_names:
            others = {other for other in unread if _is_put_before(other)}
            keep = [other for other in names if other in read | {*split, *others}]
            raise _unread_error(name, keep, template, loaded, where)
        else:
            uses["unused"].append(name)
    if task.data.columns:  # the recipe says what is read
        uses["unused"] = []
    return ColumnUse(split, **{use: tuple(names) for use, names in uses.items()})


def _is_put_before(name: str) -> bool:
    """Whether a column of this name is a system prompt or earlier turns."""
    meaning = meaning_of("row", name)
    return meaning is not None and meaning.use in ("system", "history")


def _columns_read(task: Task, template: Template) -> set[str]:
    """The fields that the template, the split, the labels or the metrics read."""
    split, labels = task.split, task.data.labels
    named = (split.column, split.group_by, split.stratify, split.date, task.references)
    scored = [parse(metric).entry for metric in expand(task.metrics)]
    return {
        *template.prompt_fields,
        *template.completion_fields,
        *(name for name in named if name is not None),
        *([labels.column or "label"] if labels is not None else []),
        *(name for entry in scored for name in (*entry.reads, *entry.may_read)),
        *task.slices,
        _ID,
    }


def _known_columns(template: str) -> tuple[str, ...]:
    """The columns that a template for known column names knows and does not read."""
    known = column_template_named(template)
    return () if known is None else (*known.also_present, *known.ignored)


def _unread_error(
    name: str, keep: Sequence[str], template: Any, loaded: LoadedData, where: str
) -> InputError:
    """The error for a column that carries meaning and that the template does not read; `keep` are the columns that are used."""
    meaning = meaning_of("row", name)
    holds = "" if meaning is None else meaning.holds
    value = next(row.fields[name] for row in loaded.examples if says_something(row.fields.get(name)))
    leave_out = f"write into data  columns: [{', '.join(dict.fromkeys(keep))}]  to leave it out"
    placeholder = reference(name)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        placeholder = f"{placeholder[:-3]} | join(', ') }}}}"
    inner = placeholder[3:].partition(" ")[0]
    is_answer = holds == "a part of what is answered"
    part = f"{placeholder}\\n\\n" if is_answer else f"\\n\\n{placeholder}"
    part = f"{{% if {inner} is defined and {inner} %}}{part}{{% endif %}}"
    prompt, completion = _one_line(template.prompt), _one_line(template.completion)
    lines = (prompt, part + completion) if is_answer else (prompt + part, completion)
    read_it = f'write into the task  prompt: "{lines[0]}"  and  completion: "{lines[1]}"  ; or '
    is_text = isinstance(value, str | int | float) or "join" in placeholder
    return InputError(
        f"the column {name} holds {holds}, and the template {template.name} does not read it",
        where=f"{loaded.source.get('file') or loaded.source.get('hub')}, for {where}",
        found=f"{name}: {shorten(value) if isinstance(value, str) else json_kind(value)}",
        expected="a column that says something of the task to be read, or to be left out by the recipe",
        fix=(read_it if is_text else "") + leave_out,
    )


def _one_line(template: str) -> str:
    """A template as the inside of a quoted YAML text."""
    return template.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _openings(template: Template, examples: Sequence[Example]) -> frozenset[str]:
    """The hashes of all rows' prompts with their answers, as `_conversation` looks for them in the history of later turns."""
    return frozenset(_exchange(*_own_exchange(template, row)) for row in examples)


def _own_exchange(template: Template, example: Example) -> tuple[str, str]:
    return field_text(example, template.prompt_fields), field_text(example, template.completion_fields)


def _exchange(question: str, answer: str) -> str:
    return hashing.of_json([normalize(question), normalize(answer)])[:16]


def _conversation(turns: History, example: Example, template: Template, openings: frozenset[str]) -> str:
    """The first exchange before the row that is a row of its own, else the row's own: rows of one conversation share it."""
    for (_, question), (_, answer) in pairwise(turns):
        if (key := _exchange(question, answer)) in openings:
            return key
    return _exchange(*_own_exchange(template, example))


def _with_history(example: Example, use: ColumnUse, template: Template, openings: frozenset[str]) -> Example:
    """The row with the messages before its prompt; with earlier turns it says which conversation it belongs to."""
    turns = tuple(
        chain.from_iterable(_history(example.fields.get(name), name, example) for name in use.history)
    )
    system = tuple(
        ("system", text)
        for name in use.system
        if says_something(example.fields.get(name))
        for text in [_text(example.fields[name], name, example)]
    )
    fields = dict(example.fields)
    if (
        use.history
    ):  # as the layouts of conversations have it: a split keeps the turns of one conversation together
        history_json: list[Json] = [{"role": role, "content": text} for role, text in turns]
        key = _conversation(turns, example, template, openings)
        fields |= {"history": history_json, "conversation": key}
    return replace(example, fields=fields, history=(*system, *example.history, *turns))


def _text(value: Json, name: str, example: Example) -> str:
    if isinstance(value, str):
        return value
    raise InputError(
        f"the field {name} is no text",
        where=str(example.origin),
        found=json_kind(value),
        expected="the row's system prompt",
        fix=f"write it as text, or leave the column {name} out of data.columns",
    )


def _history(value: Json, name: str, example: Example) -> History:
    """Earlier turns: pairs of what was asked and answered, or messages with role and content (from and value)."""
    if not says_something(value):
        return ()
    turns: list[tuple[str, str]] = []
    for item in value if isinstance(value, list) else [None]:
        if isinstance(item, list) and len(item) == 2 and all(isinstance(text, str) for text in item):
            turns += [("user", str(item[0])), ("assistant", str(item[1]))]
            continue
        message = item if isinstance(item, dict) else {}
        role = _ROLES.get(str(message.get("role", message.get("from"))).lower())
        content = message.get("content", message.get("value"))
        if role is None or not isinstance(content, str) or not content.strip():
            raise InputError(
                f"the field {name} holds no turns that can be read",
                where=str(example.origin),
                found=shorten(str(item if item is not None else value), 40),
                expected='pairs such as [["asked", "answered"], ...], or messages with role and content',
                fix=f"write it so; or name the columns to read in data.columns, without {name}",
            )
        turns.append((role, content))
    return tuple(turns)
