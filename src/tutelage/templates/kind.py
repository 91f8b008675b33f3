"""Reads and checks the file of a task kind: its fields, its answer, and its wordings.

The library's files and a user's own file are checked the same way; all mistakes are reported together, with file, line and field.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator

from tutelage.core import regular
from tutelage.core.errors import InputError, raise_all
from tutelage.core.limits import MAX_MISTAKES, MAX_RECIPE_BYTES
from tutelage.core.strictjson import shorten
from tutelage.core.suggestions import unknown_name
from tutelage.core.validation import (
    Block,
    NonBlank,
    Places,
    checked,
    checked_by,
    mistake,
    not_a_choice,
    read_document,
)
from tutelage.templates import sandbox
from tutelage.templates.option_layouts import LAYOUTS, LETTERED

FieldType = Literal["text", "tokens", "label", "choices", "choice", "entities", "record"]
"""What a field may hold:
text: a text or a number; tokens: that, or a list of words; label: one of the task's labels; choices: a list of texts;
choice: one of them; entities: a list of {text, type}, or tags beside tokens; record: a text, an object or a list of facts."""
OPTIONS, LETTER = "options", "letter"
"""Names that a wording may read besides the fields: the formatted choices ('' if they are not listed), the correct one's letter."""
_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
GROUPS = ("wordings", "rationales", "inverted")


@dataclass(frozen=True, slots=True)
class Wording:
    """One wording of a kind. `group` is wordings, rationales (reasons before the answer) or inverted (answer to question)."""

    name: str
    prompt: str
    completion: str
    layout: str | None = None
    group: str = "wordings"

    @property
    def lettered(self) -> bool:
        """Whether the answer is the letter of an option, so that the options must be listed."""
        return LETTER in sandbox.fields_read(self.completion)

    @property
    def completion_reads(self) -> frozenset[str]:
        """The fields that the completion reads."""
        return frozenset(sandbox.fields_read(self.completion)) - {LETTER}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of task.

    Attributes:
        name: its name in recipes.
        title: a short description.
        about: what it is for.
        fields: the fields that it reads from a row, by name.
        answer: the field with the answer.
        labels: the usual labels, if they are always the same.
        wordings: the wordings of all groups, by name.
        file: its file, for errors.
        untrusted: whether it is a user's own.
    """

    name: str
    title: str
    about: str
    fields: Mapping[str, KindField]
    answer: str
    labels: tuple[str, ...]
    wordings: Mapping[str, Wording]
    file: str
    untrusted: bool

    @property
    def has_choices(self) -> bool:
        """Whether the answer is one of several choices or labels."""
        return self.fields[self.answer].type in ("label", "choice")

    def of_group(self, group: str) -> tuple[Wording, ...]:
        """The wordings of one group, in the file's order."""
        return tuple(wording for wording in self.wordings.values() if wording.group == group)


def read_kind(path: Path, *, shown: str, untrusted: bool) -> Kind:
    """Read and check a kind's file.

    Raises:
        InputError: a mistake with file, line and field; InputErrors for several.
    """
    text = regular.read_text(
        path,
        subject="the file of templates",
        fix="check the name; it is relative to the recipe",
        limit=MAX_RECIPE_BYTES,
        shown=shown,
    )
    value, places = read_document(
        text,
        file=shown,
        subject="a file of templates",
        fields=("kind", "title", "fields", "answer", "wordings"),
        fix="see `docs/templates.md` for a small one to start from",
    )
    block = checked(_KindBlock, value, places)
    raise_all(shown, list(_name_mistakes(block, places)))
    kind = _to_kind(block, shown, untrusted=untrusted)
    raise_all(shown, list(_contradictions(kind, places))[:MAX_MISTAKES])
    return kind


def _short_name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise mistake(
            "not a name", found=text, expected="small letters, digits and -", fix="rename it, or remove it"
        )
    return text


def _field_name(text: str) -> str:
    if not text.isidentifier() or text in (OPTIONS, LETTER, sandbox.WHOLE_ROW):
        expected = "letters, digits and _, and none of options, letter, row"
        raise mistake("not a field's name", found=text, expected=expected, fix="rename it, or remove it")
    return text


def _layout(name: str) -> str:
    if name not in LAYOUTS:
        raise not_a_choice(name, LAYOUTS)
    return name


def _distinct(texts: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(texts)) < len(texts):
        found = ", ".join(texts)
        raise mistake("the same text twice", found=found, expected="each once", fix="remove the repetition")
    return texts


_ShortName = Annotated[str, AfterValidator(_short_name)]
_Template = Annotated[NonBlank, checked_by(partial(sandbox.check, where=""))]
_Texts = Annotated[tuple[NonBlank, ...], AfterValidator(_distinct)]


class KindField(Block):
    """A field that a kind reads from a row: what it is, its type, and column names that often hold it."""

    about: NonBlank
    type: FieldType = "text"
    optional: bool = False
    often: _Texts = ()


class _WordingBlock(Block):
    prompt: _Template
    completion: _Template | None = None
    layout: Annotated[str, AfterValidator(_layout)] | None = None


class _KindBlock(Block):
    """A file of templates, as it is written."""

    kind: _ShortName
    title: NonBlank
    about: str = ""
    fields: Mapping[Annotated[str, AfterValidator(_field_name)], KindField]
    answer: str
    labels: _Texts = ()
    completion: _Template | None = None
    rationale: _Template | None = None
    wordings: Mapping[_ShortName, _WordingBlock]
    rationales: Mapping[_ShortName, _WordingBlock] = {}
    inverted: Mapping[_ShortName, _WordingBlock] = {}

    def default_completion(self, group: str) -> str:
        """The completion of a group's wordings that have none of their own; "" where each needs one."""
        if group == "wordings":
            return self.completion or f"{{{{ {self.answer} }}}}"
        return (self.rationale or "") if group == "rationales" else ""


def _name_mistakes(block: _KindBlock, places: Places) -> Iterator[InputError]:
    """Errors for repeated or unknown names, and for missing completions."""
    if block.answer not in block.fields:
        yield unknown_name("not one of the choices", block.answer, block.fields, where=places(("answer",)))
    names: set[str] = set()
    for group in GROUPS:
        for name, wording in getattr(block, group).items():
            if name in names:
                yield _mistake(
                    places((group, name)), "two wordings of one name", name, fix="rename one of them"
                )
            names.add(name)
            if wording.completion is None and not block.default_completion(group):
                yield _mistake(
                    places((group, name, "completion")),
                    "the field completion is missing",
                    "the fields " + ", ".join(wording.model_fields_set),
                    fix="write  completion:  and its value",
                )


def _to_kind(block: _KindBlock, file: str, *, untrusted: bool) -> Kind:
    wordings = {
        name: Wording(
            name,
            wording.prompt,
            block.default_completion(group) if wording.completion is None else wording.completion,
            wording.layout,
            group,
        )
        for group in GROUPS
        for name, wording in getattr(block, group).items()
    }
    return Kind(
        block.kind,
        block.title,
        block.about,
        block.fields,
        block.answer,
        block.labels,
        wordings,
        file,
        untrusted,
    )


def _mistake(where: str, problem: str, found: str, expected: str = "", fix: str = "") -> InputError:
    return InputError(
        problem,
        where=where,
        found=shorten(found)[1:-1],
        expected=expected or None,
        fix=fix or "correct it, or remove it",
    )


def _contradictions(kind: Kind, places: Places) -> Iterator[InputError]:
    types = [field.type for field in kind.fields.values()]
    if kind.labels and kind.fields[kind.answer].type != "label":
        yield _mistake(places(("labels",)), "labels go with an answer of type label", ", ".join(kind.labels))
    if kind.fields[kind.answer].type == "choice" and types.count("choices") != 1:
        yield _mistake(places(("answer",)), "a choice needs one field of type choices", kind.answer)
    if kind.fields[kind.answer].optional:
        yield _mistake(places(("fields", kind.answer, "optional")), "the answer is always needed", "true")
    if not kind.of_group("wordings"):
        yield _mistake(places(("wordings",)), "there is no wording", "nothing", "at least one")
    if "rationale" in kind.wordings:
        yield _mistake(
            places((kind.wordings["rationale"].group, "rationale")),
            "the name stands for all that give reasons",
            "rationale",
        )
    for wording in kind.wordings.values():
        yield from _wording_contradictions(kind, wording, places)


def _wording_contradictions(kind: Kind, wording: Wording, places: Places) -> Iterator[InputError]:
    path = (wording.group, wording.name)
    is_choice = kind.has_choices and wording.group != "inverted"
    readable = {*kind.fields, *((OPTIONS, LETTER) if is_choice else ())}
    for part, source in (("prompt", wording.prompt), ("completion", wording.completion)):
        if unknown := [name for name in sandbox.fields_read(source) if name not in readable]:
            yield _mistake(
                places((*path, part)),
                "reads what is no field of the kind",
                ", ".join(unknown),
                ", ".join(sorted(readable)),
            )
    names_read = set(sandbox.fields_read(wording.completion))
    if wording.group != "inverted" and not names_read & {kind.answer, LETTER}:
        yield _mistake(
            places((*path, "completion")),
            "does not give the answer",
            wording.completion,
            f"{{{{ {kind.answer} }}}}",
        )
    if not is_choice:
        if wording.layout is not None:
            yield _mistake(
                places((*path, "layout")), "nothing is listed here", wording.layout, fix="remove it"
            )
        return
    lists_options = OPTIONS in sandbox.fields_read(wording.prompt)
    if lists_options != (wording.layout is not None):
        found, fix = (
            ("no layout", "add layout:")
            if lists_options
            else ("no {{ options }}", "put them into the prompt")
        )
        yield _mistake(places(path), "options and their layout go together", found, fix=fix)
    if wording.group == "wordings" and names_read - {kind.answer, LETTER}:
        yield _mistake(
            places((*path, "completion")), "an answer to choose reads nothing else", wording.completion
        )
    if wording.lettered and wording.layout not in LETTERED:
        yield _mistake(
            places((*path, "layout")),
            "a letter needs options with letters",
            str(wording.layout),
            " or ".join(LETTERED),
        )
