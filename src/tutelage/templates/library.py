"""Which kinds of tasks there are: the library's by name, your own by path."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from tutelage.core.errors import InputError
from tutelage.core.suggestions import did_you_mean
from tutelage.templates import columns
from tutelage.templates.kind import Kind, Wording, read

RATIONALE = "rationale"
"""Stands for all wordings of a kind that ask for reasons first."""
_OWN = re.compile(r"(?P<file>.+\.ya?ml)(?:/(?P<which>[^/]*))?")


@dataclass(frozen=True, slots=True)
class Found:
    """A kind and the wordings of it that were asked for. `name` is what was asked for, the kind by its own name."""

    kind: Kind
    wordings: tuple[Wording, ...]
    name: str


@cache
def names() -> tuple[str, ...]:
    """The library's kinds, sorted."""
    return tuple(sorted(path.stem for path in _library().glob("*.yaml")))


@cache
def load(name: str) -> Kind:
    """A kind of the library."""
    return read(_library() / f"{name}.yaml", shown=f"{name}.yaml", foreign=False)


def find(asked: str, *, root: Path | None = None, where: str = "template") -> Found:
    """A kind, or one wording of it.

    Args:
        asked: `kind`, `kind/wording`, `kind/rationale`, or a path that ends in .yaml or .yml instead of the kind.
        root: what a path is relative to; the current folder when not given.
        where: the place in the recipe, for errors.

    Raises:
        InputError: there is none of that name (with the nearest), or a mistake in the file; InputErrors for several.
    """
    own = _OWN.fullmatch(asked)
    if own:
        kind = read(_path_of(own["file"], root), shown=own["file"], foreign=True)
        if kind.name in all_names():
            raise InputError(
                "the name belongs to a template of the library",
                where=f"{own['file']}: kind",
                found=kind.name,
                expected="a name of its own",
                fix=f"call it my-{kind.name}",
            )
        which = own["which"]
    else:
        name, _, which = asked.partition("/")
        if name not in names():
            raise _unknown(asked, name, where)
        kind = load(name)
    return Found(kind, _selected(kind, which, where), f"{kind.name}/{which}" if which else kind.name)


def all_names() -> list[str]:
    """What `template:` in a recipe may name: kinds, then layouts of columns."""
    return [*names(), *columns.names()]


def is_own(asked: str) -> bool:
    """Whether a template is a person's own file, which can only be looked at beside the recipe."""
    return _OWN.fullmatch(asked) is not None


def own_file(asked: str, root: Path | None = None) -> Path | None:
    """The file that a template's name points to; None for one of the library.

    Args:
        asked: as of `find`.
        root: what a path is relative to; the current folder when not given.
    """
    own = _OWN.fullmatch(asked)
    return _path_of(own["file"], root) if own else None


def _path_of(file: str, root: Path | None) -> Path:
    path = Path(file)
    with suppress(RuntimeError):  # nobody is called so: the file is not there
        path = path.expanduser()
    return (root or Path()) / path


def kind_part(asked: str) -> str:
    """The part of a template's name that names the kind, or the file: what stands before a wording's name."""
    own = _OWN.fullmatch(asked)
    return own["file"] if own else asked.partition("/")[0]


def _library() -> Path:
    return Path(str(resources.files("tutelage.templates"))) / "library"


def _selected(kind: Kind, which: str | None, where: str) -> tuple[Wording, ...]:
    if not which:
        return kind.of_group("wordings")
    reasons = kind.of_group("rationales")
    if which == RATIONALE and reasons:
        return reasons
    if which in kind.wordings:
        return (kind.wordings[which],)
    known = [*kind.wordings, *([RATIONALE] if reasons else [])]
    raise InputError(
        f"{kind.name} has no such wording",
        where=where,
        found=which,
        expected=", ".join(known),
        fix=did_you_mean(which, known, form=f"{kind.name}/{{}}")
        or f"see `tutelage templates show {kind.name}`",
    )


def _unknown(asked: str, name: str, where: str) -> InputError:
    return InputError(
        "there is no such template",
        where=where,
        found=asked,
        expected=", ".join(all_names()) + ", or the path of your own, such as ./my-templates.yaml",
        fix=did_you_mean(name, all_names()) or "take one of these, or write prompt and completion",
    )
