"""A kind of task in many wordings: what its file in the library says, read and checked.

A person's own file goes through the same check; every mistake is told with file, line and field, all at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tutelage.core import files, yamltext
from tutelage.core.errors import InputError, raise_all
from tutelage.core.limits import MAX_MISTAKES, MAX_RECIPE_BYTES
from tutelage.templates import sandbox
from tutelage.templates.checking import Check
from tutelage.templates.layouts import LAYOUTS, LETTERED

TYPES = ("text", "tokens", "label", "choices", "choice", "entities", "record")
"""What a field may hold:
text: a text or a number; tokens: that, or a list of words; label: one of the task's labels; choices: a list of texts;
choice: one of them; entities: a list of {text, type}, or tags beside tokens; record: a text, an object or a list of facts."""
OPTIONS, LETTER = "options", "letter"
"""What a wording may read beside the fields: the choices laid out ('' when they are not listed), the right one's letter."""
GROUPS = ("wordings", "rationales", "inverted")


@dataclass(frozen=True, slots=True)
class Field:
    """What a kind needs of a row: what it holds, and the columns that often hold it."""

    name: str
    about: str
    type: str = "text"
    optional: bool = False
    often: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wording:
    """One way to ask. `group` is wordings, rationales (reasons first, then the answer) or inverted (turned around)."""

    name: str
    prompt: str
    completion: str
    layout: str | None = None
    group: str = "wordings"

    @property
    def lettered(self) -> bool:
        """Whether the answer is a letter, so that the options have to be listed."""
        return LETTER in sandbox.reads(self.completion)

    @property
    def completion_reads(self) -> frozenset[str]:
        """The fields that its answer consists of."""
        return frozenset(sandbox.reads(self.completion)) - {LETTER}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of task.

    Attributes:
        name: how recipes call it.
        title: in a few words.
        about: what it is for.
        fields: what it needs of a row, by name.
        answer: the field that is asked for.
        labels: the usual answers, where they are always the same.
        wordings: all of them, of every group, by name.
        file: where it stands, for errors.
        foreign: whether it is a person's own.
    """

    name: str
    title: str
    about: str
    fields: Mapping[str, Field]
    answer: str
    labels: tuple[str, ...]
    wordings: Mapping[str, Wording]
    file: str
    foreign: bool

    @property
    def has_choices(self) -> bool:
        """Whether the answer is one of a few."""
        return self.fields[self.answer].type in ("label", "choice")

    def of_group(self, group: str) -> tuple[Wording, ...]:
        """The wordings of one group, in the file's order."""
        return tuple(one for one in self.wordings.values() if one.group == group)


def read(path: Path, *, shown: str, foreign: bool) -> Kind:
    """Read and check a kind's file.

    Raises:
        InputError: a mistake with file, line and field; InputErrors for several.
    """
    content = files.read_bytes(
        path, what="the file of templates", fix="check the name; it is relative to the recipe"
    )
    if len(content) > MAX_RECIPE_BYTES:
        raise InputError(
            "the file is too large for templates",
            where=shown,
            found=f"{len(content):,} bytes",
            expected=f"at most {MAX_RECIPE_BYTES:,} bytes",
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            "the file is not UTF-8",
            where=f"{shown}:{content.count(10, 0, error.start) + 1}",
            fix="save it as UTF-8",
        ) from None
    document = yamltext.read(text, file=shown)
    check = Check(shown, document.lines)
    kind = _kind(check, document.value, foreign=foreign)
    if kind is not None:
        _contradictions(kind, check)
    raise_all(shown, check.errors[:MAX_MISTAKES])
    assert kind is not None
    return kind


def _kind(check: Check, value: Any, *, foreign: bool) -> Kind | None:
    allowed = ("kind", "title", "about", "fields", "answer", "labels", "completion", "rationale", *GROUPS)
    told = check.object((), value, allowed, needed=("kind", "title", "fields", "answer", "wordings"))
    name = check.name(("kind",), told.get("kind"))
    title = check.text(("title",), told.get("title"))
    about = check.text(("about",), told.get("about", ""), empty=True)
    fields = {one.name: one for one in _fields(check, told.get("fields"))}
    answer = check.one_of(("answer",), told.get("answer"), list(fields))
    labels = check.texts(("labels",), told.get("labels", []))
    whole = check.text(("completion",), told.get("completion", f"{{{{ {answer} }}}}"))
    reasoned = check.text(("rationale",), told.get("rationale", ""), empty=True)
    wordings: dict[str, Wording] = {}
    for group, default in zip(GROUPS, (whole, reasoned, ""), strict=True):
        for one in _wordings(check, group, told.get(group, {}), default):
            if one.name in wordings:
                check.wrong((group, one.name), "two wordings of one name", one.name, fix="rename one of them")
            wordings[one.name] = one
    if check.errors:
        return None
    return Kind(name, title, about, fields, answer, labels, wordings, check.file, foreign)


def _fields(check: Check, value: Any) -> Iterator[Field]:
    for name, inner in check.object(("fields",), value, None).items():
        path = ("fields", name)
        told = check.object(path, inner, ("about", "type", "optional", "often"), needed=("about",))
        if not name.isidentifier() or name in (OPTIONS, LETTER, sandbox.WHOLE_ROW):
            check.wrong(
                path, "not a field's name", name, "letters, digits and _, and none of options, letter, row"
            )
        yield Field(
            name,
            check.text((*path, "about"), told.get("about")),
            check.one_of((*path, "type"), told.get("type", "text"), TYPES),
            optional=check.truth((*path, "optional"), told.get("optional", False)),
            often=check.texts((*path, "often"), told.get("often", [])),
        )


def _wordings(check: Check, group: str, value: Any, default: str) -> Iterator[Wording]:
    for name, inner in check.object((group,), value, None).items():
        path = (group, name)
        check.name(path, name)
        needed = ("prompt",) if default else ("prompt", "completion")
        told = check.object(path, inner, ("prompt", "completion", "layout"), needed=needed)
        layout = told.get("layout")
        yield Wording(
            name,
            check.jinja((*path, "prompt"), told.get("prompt")),
            check.jinja((*path, "completion"), told.get("completion", default)),
            None if layout is None else check.one_of((*path, "layout"), layout, list(LAYOUTS)),
            group,
        )


def _contradictions(kind: Kind, check: Check) -> None:
    types = [one.type for one in kind.fields.values()]
    if kind.labels and kind.fields[kind.answer].type != "label":
        check.wrong(("labels",), "labels go with an answer of type label", ", ".join(kind.labels))
    if kind.fields[kind.answer].type == "choice" and types.count("choices") != 1:
        check.wrong(("answer",), "a choice needs one field of type choices", kind.answer)
    if kind.fields[kind.answer].optional:
        check.wrong(("fields", kind.answer, "optional"), "the answer is always needed", "true")
    if not kind.of_group("wordings"):
        check.wrong(("wordings",), "there is no wording", "nothing", "at least one")
    if "rationale" in kind.wordings:
        check.wrong(
            (kind.wordings["rationale"].group, "rationale"),
            "the name stands for all that give reasons",
            "rationale",
        )
    for one in kind.wordings.values():
        _of_wording(kind, one, check)


def _of_wording(kind: Kind, one: Wording, check: Check) -> None:
    path = (one.group, one.name)
    choosing = kind.has_choices and one.group != "inverted"
    known = {*kind.fields, *((OPTIONS, LETTER) if choosing else ())}
    for part, source in (("prompt", one.prompt), ("completion", one.completion)):
        if strange := [name for name in sandbox.reads(source) if name not in known]:
            check.wrong(
                (*path, part),
                "reads what is no field of the kind",
                ", ".join(strange),
                ", ".join(sorted(known)),
            )
    answers = set(sandbox.reads(one.completion))
    if one.group != "inverted" and not answers & {kind.answer, LETTER}:
        check.wrong(
            (*path, "completion"), "does not give the answer", one.completion, f"{{{{ {kind.answer} }}}}"
        )
    if not choosing:
        if one.layout is not None:
            check.wrong((*path, "layout"), "nothing is listed here", one.layout, fix="remove it")
        return
    listed = OPTIONS in sandbox.reads(one.prompt)
    if listed != (one.layout is not None):
        found, fix = (
            ("no layout", "add layout:") if listed else ("no {{ options }}", "put them into the prompt")
        )
        check.wrong(path, "options and their layout go together", found, fix=fix)
    if one.group == "wordings" and answers - {kind.answer, LETTER}:
        check.wrong((*path, "completion"), "an answer to choose reads nothing else", one.completion)
    if one.lettered and one.layout not in LETTERED:
        check.wrong(
            (*path, "layout"), "a letter needs options with letters", str(one.layout), " or ".join(LETTERED)
        )
