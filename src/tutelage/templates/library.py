"""Finds task kinds and their wordings: the library's by name, a user's own by path."""

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
from tutelage.templates.kind import Kind, Wording, read_kind

RATIONALE = "rationale"
"""The name for all wordings of a kind that ask for reasons before the answer."""
_FILE_REFERENCE = re.compile(r"(?P<file>.+\.ya?ml)(?:/(?P<wording>[^/]*))?")


@dataclass(frozen=True, slots=True)
class TemplateSelection:
    """A kind and the selected wordings; `name` is the kind's name, with the wording's if one was named."""

    kind: Kind
    wordings: tuple[Wording, ...]
    name: str


@cache
def kind_names() -> tuple[str, ...]:
    """The names of the library's kinds, sorted."""
    return tuple(sorted(path.stem for path in _library().glob("*.yaml")))


@cache
def load(name: str) -> Kind:
    """Load a kind of the library by name."""
    return read_kind(_library() / f"{name}.yaml", shown=f"{name}.yaml", untrusted=False)


def find(reference: str, *, root: Path | None = None, where: str = "template") -> TemplateSelection:
    """Find a kind and the wordings that a reference selects.

    Args:
        reference: `kind`, `kind/wording`, `kind/rationale`, or a path that ends in .yaml or .yml instead of the kind.
        root: the folder that relative paths start from; the current folder if not given.
        where: the place in the recipe, for errors.

    Raises:
        InputError: there is no such kind or wording (with the nearest name), or the file has a mistake; InputErrors for several.
    """
    match = _FILE_REFERENCE.fullmatch(reference)
    if match:
        kind = read_kind(_path_of(match["file"], root), shown=match["file"], untrusted=True)
        if kind.name in template_names():
            raise InputError(
                "the name belongs to a template of the library",
                where=f"{match['file']}: kind",
                found=kind.name,
                expected="a name of its own",
                fix=f"call it my-{kind.name}",
            )
        wording_name = match["wording"]
    else:
        name, _, wording_name = reference.partition("/")
        if name not in kind_names():
            raise InputError(
                "there is no such template",
                where=where,
                found=reference,
                expected=f"{', '.join(template_names())}, or the path of your own, such as ./my-templates.yaml",
                fix=did_you_mean(name, template_names())
                or "take one of these, or write prompt and completion",
            )
        kind = load(name)
    return TemplateSelection(
        kind,
        _select_wordings(kind, wording_name, where),
        f"{kind.name}/{wording_name}" if wording_name else kind.name,
    )


def template_names() -> list[str]:
    """All names that a recipe's `template:` takes: kinds, then column templates."""
    return [*kind_names(), *columns.column_template_names()]


def is_template_file(reference: str) -> bool:
    """Whether a reference names a user's own file, by a path relative to the recipe."""
    return _FILE_REFERENCE.fullmatch(reference) is not None


def template_file(reference: str, root: Path | None = None) -> Path | None:
    """The file that a reference names; None for a template of the library.

    Args:
        reference: as for `find`.
        root: the folder that relative paths start from; the current folder if not given.
    """
    match = _FILE_REFERENCE.fullmatch(reference)
    return _path_of(match["file"], root) if match else None


def _path_of(file: str, root: Path | None) -> Path:
    path = Path(file)
    with suppress(RuntimeError):  # no such user: the file will be reported as missing
        path = path.expanduser()
    return (root or Path()) / path


def kind_name(reference: str) -> str:
    """The part of a reference that names the kind or the file, without the wording's name."""
    match = _FILE_REFERENCE.fullmatch(reference)
    return match["file"] if match else reference.partition("/")[0]


def _library() -> Path:
    return Path(str(resources.files("tutelage.templates"))) / "library"


def _select_wordings(kind: Kind, wording_name: str | None, where: str) -> tuple[Wording, ...]:
    if not wording_name:
        return kind.of_group("wordings")
    rationales = kind.of_group("rationales")
    if wording_name == RATIONALE and rationales:
        return rationales
    if wording_name in kind.wordings:
        return (kind.wordings[wording_name],)
    names = [*kind.wordings, *([RATIONALE] if rationales else [])]
    raise InputError(
        f"{kind.name} has no such wording",
        where=where,
        found=wording_name,
        expected=", ".join(names),
        fix=did_you_mean(wording_name, names, form=f"{kind.name}/{{}}")
        or f"see `tutelage templates show {kind.name}`",
    )
