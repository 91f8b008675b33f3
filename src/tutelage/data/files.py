"""Expands a recipe's `path` (a file, several, a glob or a folder) into data files."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from tutelage.core import globs, regular
from tutelage.core.errors import InputError
from tutelage.core.suggestions import did_you_mean
from tutelage.data.formats import EXTENSIONS, advice_for, blocks, format_of
from tutelage.data.formats.blocks import extension, is_compressed, require_data_file
from tutelage.data.layouts.tasks import languages

METADATA_FILES = {
    "dataset_info.json",
    "dataset_infos.json",
    "dataset_dict.json",
    "state.json",
    "package.json",
}
"""Files that libraries write beside the data; they hold no rows."""
_SPLITS = {"train", "validation", "valid", "val", "dev", "test"}
_MAX_LISTED = 8


def expand_paths(
    root: Path, names: Sequence[str], *, where: str = "data.path", fix: str = blocks.FIX_PATH
) -> list[Path]:
    """Expand paths into files, in the given order; the files of a glob or a folder are sorted.

    Args:
        root: the folder that relative paths start from.
        names: the paths as the recipe has them.
        where: their place in the recipe, for errors.
        fix: the advice for a missing file.

    Raises:
        InputError: a file is missing or not a regular file, or a glob or folder has no data files or files of several
            formats.
    """
    paths: list[Path] = []
    for name in names:
        if name.partition("://")[0].lower() in regular.SCHEMES and "://" in name:
            raise _address_error(name, where)
        path = root / name
        if _is_folder(path):
            paths += _files_in_folder(path, name)
        elif globs.has_magic(name) and not os.path.lexists(path):
            paths += _files_matching(root, name, where)
        else:
            _require_file(path, name, root, fix)
            paths.append(path)
    repeated = [path for path, count in Counter(paths).items() if count > 1]
    if repeated:
        raise InputError(
            "a file is named twice",
            where=where,
            found=str(repeated[0]),
            expected="every file once",
            fix="name it once: its rows would stand in training and in test",
        )
    return paths


def _address_error(name: str, where: str) -> InputError:
    """The error for a URL in place of a path."""
    on_hub = re.match(r"(?:hf://|https://huggingface\.co/)datasets/([^/@]+/[^/@]+)", name)
    return InputError(
        "data.path is a URL, not a path",
        where=where,
        found=name,
        expected="a file or folder on this machine, or a dataset of the hub",
        fix=f"write  hub: {on_hub[1]}  instead" if on_hub else "download it first, and name the file",
    )


def _is_folder(path: Path) -> bool:
    """Whether the path is a folder; False for an invalid name, which opening it will report."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _require_file(path: Path, name: str, root: Path, fix: str) -> None:
    """Raise unless the path is a regular file; the error mentions a file of that name in the current folder."""
    if not os.path.lexists(path) and not os.path.isabs(name) and os.path.isfile(name):  # noqa: PTH113, PTH117 - any text
        fix = f"a path is relative to {root.absolute()}: write {os.path.relpath(name, root)}"
    regular.require_regular(path, subject=blocks.WHAT, shown=str(path), fix=fix)


def parallel_columns(paths: Sequence[Path], columns: Sequence[str]) -> tuple[str, ...] | None:
    """The column names of line-parallel text files, one a file; None if the files are not line-parallel.

    Raises:
        InputError: there are several files of no known format, and neither `columns` nor their endings say what they are.
    """
    if len(paths) < 2 or any(format_of(path) is not None for path in paths):
        return None
    if len(columns) == len(paths):
        return tuple(columns)
    suffixes = [extension(path).removeprefix(".") for path in paths]
    if not columns and len(set(suffixes)) == len(paths) and all(suffix in languages() for suffix in suffixes):
        return tuple(suffixes)
    names = next(
        (names for names in (suffixes, [path.stem for path in paths]) if len({*names, ""}) > len(paths)), []
    )
    suggestion = ", ".join(names or (f"text{n}" for n, _ in enumerate(paths, 1)))
    raise InputError(
        "the formats of these files are not known",
        where="data.path",
        found=", ".join(path.name for path in paths[:_MAX_LISTED]),
        expected="a column name for each file, if line n of every file is the same text",
        fix=f"write into data  columns: [{suggestion}]",
    )


def require_one_format(paths: Sequence[Path], where: str, folder: tuple[Path, str] | None = None) -> None:
    """Raise InputError if the files have several formats; `folder` is the one that has them all, with its name in the recipe."""
    kinds: dict[str, list[str]] = {}
    for path in paths:
        kinds.setdefault(format_of(path) or extension(path) or "no ending", []).append(path.name)
    if len(kinds) > 1:
        raise InputError(
            "the files have several formats",
            where=where,
            found="; ".join(
                f"{kind}: {', '.join(names[:3])}{' ...' if len(names) > 3 else ''}"
                for kind, names in kinds.items()
            ),
            expected="files of one format",
            fix="name those of one format, the others in a task of their own"
            if folder is None
            else f"name those of one format with a glob: {_suggest_glob(paths, *folder)}",
        )


def name_several_splits(paths: Sequence[Path]) -> bool:
    """Whether files are named after training and another split; read together, their rows are split anew."""
    split_names = _SPLITS & {word for path in paths for word in re.split(r"[^a-z]+", path.name.lower())}
    return "train" in split_names and len(split_names) > 1


def short_names(paths: Sequence[Path]) -> list[str]:
    """The files' names, each with as many parent folders as make them distinct; row ids begin with them."""
    for depth in range(1, 1 + max((len(path.parts) for path in paths), default=1)):
        names = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(names)) == len(names):
            break
    return names


def _files_in_folder(folder: Path, name: str) -> list[Path]:
    """The data files below a folder, without hidden ones."""
    try:
        entries = sorted(globs.entries(folder))
    except OSError as error:
        raise regular.unreadable(folder, error, subject="the folder of data", shown=str(folder)) from error
    files = [
        path
        for path in entries
        if path.name not in METADATA_FILES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    data = [path for path in files if format_of(path) is not None]
    if not data:
        names = [str(path.relative_to(folder)) for path in files[:_MAX_LISTED]]
        raise InputError(
            "the folder has no data file",
            where=str(folder),
            found=", ".join(names) or "no files",
            expected="files that end in one of " + " ".join(EXTENSIONS),
            fix=next(
                (f"{path.name}: {advice}" for path in files if (advice := advice_for(path)) is not None),
                "name a file in it, or another folder",
            ),
        )
    for path in data:
        require_data_file(path, str(path))
    require_one_format(data, str(folder), (folder, name))
    return data


def _files_matching(root: Path, name: str, where: str) -> list[Path]:
    pattern = root / name
    try:
        paths = globs.matching(root, name, where=where)
    except OSError as error:
        raise regular.unreadable(pattern.parent, error, subject="the folder of data") from error
    if not paths:
        raise _no_match_error(pattern, name)
    for path in paths:
        require_data_file(path, str(path))
    folder_name = name.rpartition("/")[0]
    plain = not globs.has_magic(folder_name)
    require_one_format(paths, str(pattern), (root / folder_name, folder_name) if plain else None)
    return paths


def _no_match_error(pattern: Path, name: str) -> InputError:
    """The error for a glob without matches; it lists what its folder holds."""
    folder = pattern.parent
    while globs.has_magic(folder.name):
        folder = folder.parent
    if not _is_folder(folder):
        nearby = regular.near_names(folder)
        return InputError(
            "no file matches the pattern",
            where=str(pattern),
            found=f"no such folder: {folder.absolute()}",
            expected=f"files that {name} fits",
            fix=f"did you mean {folder.with_name(nearby[0])}?" if nearby else blocks.FIX_PATH,
        )
    try:
        siblings = [entry.name for entry in islice(folder.iterdir(), regular.MAX_NAMES)]
    except OSError:
        siblings = []
    return InputError(
        "no file matches the pattern",
        where=str(pattern),
        found=f"in {folder.absolute()}: " + (", ".join(sorted(siblings)[:_MAX_LISTED]) or "nothing"),
        expected=f"files that {name} fits",
        fix=did_you_mean(pattern.name, siblings)
        or "check the pattern; it is relative to the recipe's folder",
    )


def _suggest_glob(paths: Sequence[Path], folder: Path, name: str) -> str:
    """The glob for the most frequent ending among a folder's files, as the recipe writes it."""
    endings = [extension(path) + (path.suffix if is_compressed(path) else "") for path in paths]
    ending = Counter(endings).most_common(1)[0][0]
    chosen = [path for path, other in zip(paths, endings, strict=True) if other == ending]
    below = "" if all(path.parent == folder for path in chosen) else "**/"
    prefix = "" if name.rstrip("/") in ("", ".") else f"{name.rstrip('/')}/"
    return f"path: {prefix}{below}*{ending}" if prefix or below else f'path: "*{ending}"'
