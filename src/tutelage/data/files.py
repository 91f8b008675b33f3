"""What a recipe's `path` names: a file, several, a glob, or a folder."""

from __future__ import annotations

import glob
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tutelage.core.errors import InputError, nearest
from tutelage.data.formats import EXTENSIONS, format_of
from tutelage.data.formats.blocks import ending, packed
from tutelage.data.layouts.tasks import languages

_BESIDE = {"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json", "package.json"}
"""Files that libraries write beside data, and that are none."""
_SPLITS = {"train", "validation", "valid", "val", "dev", "test"}
_SHOWN = 8


def expand(root: Path, named: Sequence[str]) -> list[Path]:
    """The files that some paths name, in their order; those of a glob or a folder are sorted.

    Raises:
        InputError: a glob or folder has no data file, or files of several kinds.
    """
    found: list[Path] = []
    for name in named:
        path = root / name
        if path.is_dir():
            found += _inside(path)
        elif glob.has_magic(name) and not path.exists():
            found += _matching(path, name)
        else:
            found.append(path)
    twice = next((path for path in found if found.count(path) > 1), None) if len(found) < 1000 else None
    if twice is not None:
        raise InputError(
            "a file is named twice",
            where="data.path",
            found=str(twice),
            expected="every file once",
            fix="name it once: its rows would stand in training and in test",
        )
    return found


def parallel_columns(paths: Sequence[Path], columns: Sequence[str]) -> tuple[str, ...] | None:
    """The columns of files that belong together line by line; None when the files are no such ones.

    Raises:
        InputError: they are several files of no known kind, and nothing says what they are.
    """
    if len(paths) < 2 or any(format_of(path) is not None for path in paths):
        return None
    if len(columns) == len(paths):
        return tuple(columns)
    suffixes = [ending(path).removeprefix(".") for path in paths]
    if not columns and len(set(suffixes)) == len(paths) and all(suffix in languages() for suffix in suffixes):
        return tuple(suffixes)
    said = ", ".join(suffix or f"text{n}" for n, suffix in enumerate(suffixes, 1))
    raise InputError(
        "several files of no known kind are named",
        where="data.path",
        found=", ".join(path.name for path in paths[:_SHOWN]),
        expected="a column for each, when line n of every file says the same",
        fix=f"write into data  columns: [{said}]",
    )


def one_kind(paths: Sequence[Path], where: str) -> None:
    """Raise when files are of several kinds."""
    kinds: dict[str, list[str]] = {}
    for path in paths:
        kinds.setdefault(format_of(path) or ending(path) or "no ending", []).append(path.name)
    if len(kinds) < 2:
        return
    raise InputError(
        "the files are of several kinds",
        where=where,
        found="; ".join(
            f"{kind}: {', '.join(names[:3])}{' ...' if len(names) > 3 else ''}"
            for kind, names in kinds.items()
        ),
        expected="files of one kind",
        fix="name those you want with a glob, such as " + _glob_for(paths),
    )


def of_several_splits(paths: Sequence[Path]) -> bool:
    """Whether files are called after training and another split: read together, their rows are split anew."""
    said = [re.split(r"[^a-z]+", path.name.lower()) for path in paths]
    named = {word for words in said for word in words if word in _SPLITS}
    return "train" in named and len(named) > 1


def short_names(paths: Sequence[Path]) -> list[str]:
    """What the files' rows are called by: the files' names, with as many folders as tell them apart."""
    for depth in range(1, 1 + max((len(path.parts) for path in paths), default=1)):
        names = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(names)) == len(names):
            break
    return names


def _inside(folder: Path) -> list[Path]:
    entries = [p for p in sorted(folder.rglob("*")) if not _hidden(p.relative_to(folder))]
    files = [path for path in entries if path.is_file() and path.name not in _BESIDE]
    data = [path for path in files if format_of(path) is not None]
    if not data:
        names = [str(path.relative_to(folder)) for path in files[:_SHOWN]]
        raise InputError(
            "the folder holds no data file",
            where=str(folder),
            found=", ".join(names) or "no files",
            expected="files that end in one of " + " ".join(EXTENSIONS),
            fix="name a file in it, or another folder",
        )
    one_kind(data, str(folder))
    return data


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _matching(pattern: Path, name: str) -> list[Path]:
    found = [Path(entry) for entry in sorted(glob.glob(str(pattern), recursive=True))]  # noqa: PTH207 - absolute too
    files = [path for path in found if path.is_file()]
    if not files:
        beside = [entry.name for entry in pattern.parent.iterdir()] if pattern.parent.is_dir() else []
        close = nearest(pattern.name, beside)
        raise InputError(
            "no file has such a name",
            where=str(pattern),
            found=", ".join(sorted(beside)[:_SHOWN]) or "no such folder",
            expected=f"files that {name} fits",
            fix=f"did you mean {close}?"
            if close
            else "check the pattern; it is relative to the recipe's folder",
        )
    one_kind(files, str(pattern))
    return files


def _glob_for(paths: Sequence[Path]) -> str:
    suffixes = Counter(ending(path) + (path.suffix if packed(path) else "") for path in paths)
    return f"{paths[0].parent.name}/*{suffixes.most_common(1)[0][0]}"
