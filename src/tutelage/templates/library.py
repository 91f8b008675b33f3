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
from tutelage.templates.kind import Kind, Wording, read_kind

RATIONALE = "rationale"
"""Stands for all wordings of a kind that ask for reasons first."""
_FILE_REFERENCE = re.compile(r"(?P<file>.+\.ya?ml)(?:/(?P<which>[^/]*))?")


@dataclass(frozen=True, slots=True)
class TemplateSelection:
    """A kind and the wordings of it that were asked for. `name` is what was asked for, the kind by its own name."""

    kind: Kind
    wordings: tuple[Wording, ...]
    name: str


@cache
def kind_names() -> tuple[str, ...]:
    """The library's kinds, sorted."""
    return tuple(sorted(path.stem for path in _library().glob("*.yaml")))


@cache
def load(name: str) -> Kind:
    """A kind of the library."""
    return read_kind(_library() / f"{name}.yaml", shown=f"{name}.yaml", untrusted=False)


def find(reference: str, *, root: Path | None = None, where: str = "template") -> TemplateSelection:
    """A kind, or one wording of it.

    Args:
        reference: `kind`, `kind/wording`, `kind/rationale`, or a path that ends in .yaml or .yml instead of the kind.
        root: what a path is relative to; the current folder when not given.
        where: the place in the recipe, for errors.

    Raises:
        InputError: there is none of that name (with the nearest), or a mistake in the file; InputErrors for several.
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
        wording_name = match["which"]
    else:
        name, _, wording_name = reference.partition("/")
        if name not in kind_names():
            raise _unknown_template_error(reference, name, where)
        kind = load(name)
    return TemplateSelection(
        kind,
        _select_wordings(kind, wording_name, where),
        f"{kind.name}/{wording_name}" if wording_name else kind.name,
    )


def template_names() -> list[str]:
    """What `template:` in a recipe may name: kinds, then layouts of columns."""
    return [*kind_names(), *columns.column_template_names()]


def is_template_file(reference: str) -> bool:
    """Whether a template is a person's own file, which can only be looked at beside the recipe."""
    return _FILE_REFERENCE.fullmatch(reference) is not None


def template_file(reference: str, root: Path | None = None) -> Path | None:
    """The file that a template's name points to; None for one of the library.

    Args:
        reference: as of `find`.
        root: what a path is relative to; the current folder when not given.
    """
    match = _FILE_REFERENCE.fullmatch(reference)
    return _path_of(match["file"], root) if match else None


def _path_of(file: str, root: Path | None) -> Path:
    path = Path(file)
    with suppress(RuntimeError):  # nobody is called so: the file is not there
        path = path.expanduser()
    return (root or Path()) / path


def kind_name(reference: str) -> str:
    """The part of a template's name that names the kind, or the file: what stands before a wording's name."""
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


def _unknown_template_error(reference: str, name: str, where: str) -> InputError:
    return InputError(
        "there is no such template",
        where=where,
        found=reference,
        expected=", ".join(template_names()) + ", or the path of your own, such as ./my-templates.yaml",
        fix=did_you_mean(name, template_names()) or "take one of these, or write prompt and completion",
    )
