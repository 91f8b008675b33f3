"""Selects the files of a dataset repository that hold a split, by the README's `configs:` or by the files' names."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from tutelage.core import globs, regular, yamltext
from tutelage.core.errors import InputError
from tutelage.core.limits import MAX_README_BYTES
from tutelage.core.suggestions import did_you_mean, nearest
from tutelage.data.formats import EXTENSIONS, format_of

README = "README.md"
_MAX_PATTERNS = 200
"""Glob patterns that a README may give for one split."""
_ONLY_SPLIT = "train"
"""The split of a dataset whose one file is named after none, as the library `datasets` has it."""
_NAMES_A_SPLIT = re.compile(
    r"(?:^|[-._ 0-9/])(?:train|training|validation|valid|dev|val|test|testing|eval|evaluation)(?:[-._ 0-9/]|$)"
    r"|-\d+-of-\d+",
    re.IGNORECASE,
)
"""A file's name, or a folder's, that assigns it to a split: by the words that `datasets` knows, or as a shard."""
_DESCRIPTIONS = ("config.json", "dataset_info.json", "dataset_infos.json", "dataset_dict.json")
"""Files that describe a dataset and hold no rows."""


class _Config(NamedTuple):
    """One configuration in a README: its name, each split's patterns, its folder, and whether it is the default."""

    name: str
    splits: dict[str, list[str]]
    folder: str
    default: bool


def select_files(
    names: Sequence[str], split: str, *, where: str, config: str | None = None, readme: str = ""
) -> list[str]:
    """The data files that hold one split.

    Args:
        names: all files of the repository.
        split: the split's name.
        where: the dataset's name, for errors.
        config: the configuration's name, if the dataset has several.
        readme: the README's text; its `configs:` take precedence over the files' names.

    Raises:
        InputError: there is no such file, or more than one candidate.
    """
    shown = f"the data set {where}"
    configs = _parse_configs(readme, shown)
    if configs:
        selected = _select_config(configs, config, shown)
        data = [name for name in names if _is_data(name) and name.startswith(selected.folder)]
        if not selected.splits:
            return _files_named_after(data, split, shown)
        if split not in selected.splits:
            raise _no_split_error(split, list(selected.splits), shown)
        chosen = _files_matching(data, selected, split, shown)
        if not chosen:
            raise InputError(
                f"the README names files for the split {split}, and none of them is a data file that is there",
                where=shown,
                found=", ".join(selected.splits[split])[:200],
                expected="files that end in one of " + " ".join(EXTENSIONS),
                fix="fetch the file you want and name it as path",
            )
        return chosen
    data = [name for name in names if _is_data(name)]
    if config is None:
        return _files_named_after(data, split, shown, everything=names)
    folders = sorted({name.partition("/")[0] for name in data if "/" in name})
    if config not in folders:
        raise _no_config_error(config, folders, shown)
    return _files_named_after([name for name in data if name.startswith(f"{config}/")], split, shown)


def _files_matching(data: Sequence[str], config: _Config, split: str, shown: str) -> list[str]:
    """The data files that match a split's patterns."""
    where = f"{shown}, {README}"
    patterns = {config.folder + pattern.removeprefix("./") for pattern in config.splits[split]}
    compiled = [globs.Glob(pattern, where=where) for pattern in sorted(patterns) if globs.has_magic(pattern)]
    if len(compiled) > _MAX_PATTERNS:
        raise InputError(
            "the README names too many patterns for one split",
            where=where,
            found=f"{len(compiled):,} for {split}",
            expected=f"at most {_MAX_PATTERNS:,}",
            fix="fetch the files you want and name them as path",
        )
    return sorted({name for name in data if name in patterns or any(glob.matches(name) for glob in compiled)})


def _files_named_after(
    data: Sequence[str], split: str, shown: str, *, everything: Sequence[str] = ()
) -> list[str]:
    """The files named after the split, such as `train.jsonl` or `data/train-00000-of-00002.parquet`.

    One file that is named after no split is the training split.
    """
    stems = {name: _stem_of(name) for name in data}
    shard = re.compile(re.escape(split) + r"-\d+-of-\d+(-[0-9a-f]+)?")
    split_word = re.compile(rf"(?<![a-z]){re.escape(split)}(?![a-z])", re.IGNORECASE)
    shards = [name for name in data if shard.fullmatch(stems[name])]
    candidates = (
        [name for name in data if stems[name] == split] or shards or [n for n in data if split_word.search(n)]
    )
    if len(candidates) == 1 or (
        candidates and candidates == shards and len({_folder_of(name) for name in candidates}) == 1
    ):
        return sorted(candidates)
    if not candidates:
        rows = [name for name in data if PurePosixPath(name).name not in _DESCRIPTIONS]
        if split == _ONLY_SPLIT and len(rows) == 1 and not _NAMES_A_SPLIT.search(rows[0]):
            return rows
        raise _no_split_error(split, [*stems.values()], shown, data or everything)
    folders = sorted({_folder_of(name) for name in candidates})
    raise InputError(
        f"several files could be the split {split}",
        where=shown,
        found=", ".join(sorted(candidates)[:10]),
        expected=f"{split} as one of " + " ".join(EXTENSIONS),
        fix=f"say which configuration: hub_config: {folders[0].partition('/')[0]}"
        if len(folders) > 1 and all(folders)
        else "set hub_split, or fetch the file you want and name it as path",
    )


def resolve_snapshot(folder: Path, revision: str | None) -> tuple[Path, str | None]:
    """The folder with the files and the commit of a local copy, laid out like the hub's cache or like a repository.

    Raises:
        InputError: the cache does not have that revision, or it has several and none is named.
    """
    snapshots = folder / "snapshots"
    if not snapshots.is_dir():
        return folder, None
    ref = folder / "refs" / (revision or "main")
    commit = revision
    if ref.is_file():
        content = regular.read_regular(ref, subject="the cached revision", limit=1000)
        commit = content.decode("utf-8", "replace").strip()
    revisions = sorted(entry.name for entry in snapshots.iterdir() if entry.is_dir())
    if commit is None and len(revisions) == 1:
        commit = revisions[0]
    if commit not in revisions:
        raise InputError(
            "the cached dataset does not have that revision",
            where=str(folder),
            found=", ".join(revisions) or "no revision",
            expected=revision or "refs/main, or one revision alone",
            fix="write the revision behind the name: owner/name@revision",
        )
    return snapshots / commit, commit


def readme_of(folder: Path) -> str:
    """The beginning of a folder's README with its YAML; "" if there is no README."""
    path = folder / README
    if not os.path.lexists(path) or path.is_dir():
        return ""
    with regular.open_regular(path, subject="the README") as file:
        return file.read(MAX_README_BYTES).decode("utf-8", "replace")


def _is_data(name: str) -> bool:
    return format_of(Path(name)) is not None


def _stem_of(name: str) -> str:
    base = PurePosixPath(name).name
    return (
        base[: base.lower().rindex(next(e for e in EXTENSIONS if e in base.lower()))]
        if _is_data(name)
        else base
    )


def _folder_of(name: str) -> str:
    parent = PurePosixPath(name).parent.as_posix()
    return "" if parent == "." else parent


def _parse_configs(readme: str, shown: str) -> list[_Config]:
    front_matter = _front_matter(readme, shown)
    if not front_matter:
        return []
    try:
        value = yamltext.read_foreign(front_matter, file=f"{shown}, {README}")
    except InputError as error:
        raise InputError(
            "the YAML at the top of the README, which may assign files to splits, cannot be read",
            where=error.where,
            found=error.problem + (f": {error.found}" if error.found else ""),
            expected=error.expected,
            fix="fetch the file you want and name it as path",
        ) from None
    configs = value.get("configs") if isinstance(value, dict) else None
    return (
        [_parse_config(item) for item in configs if isinstance(item, dict)]
        if isinstance(configs, list)
        else []
    )


def _front_matter(readme: str, shown: str) -> str:
    """The YAML between the first two lines of dashes; "" if there is none."""
    lines = re.compile(r"\r?\n").split(readme.removeprefix("\ufeff"))
    if lines[0] != "---":
        return ""
    end = next((n for n, line in enumerate(lines[1:], 1) if line.startswith("---")), None)
    if end is None and len(readme) >= MAX_README_BYTES:
        raise InputError(
            "the YAML at the top of the README is too long",
            where=f"{shown}, {README}",
            found=f"no end in its first {MAX_README_BYTES:,} bytes",
            fix="fetch the file you want and name it as path",
        )
    return "" if end is None else "\n" + "\n".join(lines[1:end])


def _parse_config(declared: dict[str, Any]) -> _Config:
    files = declared.get("data_files")
    splits: dict[str, list[str]] = {}
    for entry in files if isinstance(files, list) else [files]:
        if isinstance(entry, dict) and "split" in entry:
            paths = entry.get("path")
            splits[str(entry["split"])] = [str(p) for p in (paths if isinstance(paths, list) else [paths])]
        elif isinstance(entry, str):
            splits.setdefault("train", []).append(entry)
    folder = str(declared.get("data_dir") or "").strip("/").removeprefix("./")
    name = str(declared.get("config_name", "default"))
    return _Config(name, splits, f"{folder}/" if folder else "", declared.get("default") is True)


def _select_config(configs: Sequence[_Config], name: str | None, shown: str) -> _Config:
    names = [config.name for config in configs]
    if name is not None:
        if name not in names:
            raise _no_config_error(name, names, shown)
        return configs[names.index(name)]
    defaults = [config for config in configs if config.default] or [
        config for config in configs if config.name == "default"
    ]
    if len(configs) == 1 or defaults:
        return (defaults or list(configs))[0]
    raise InputError(
        "the dataset has several configurations",
        where=shown,
        found=", ".join(names)[:200],
        expected="the one to read",
        fix=f"write into data  hub_config: {names[0]}",
    )


def _no_config_error(name: str, names: Sequence[str], shown: str) -> InputError:
    return InputError(
        "the dataset has no such configuration",
        where=shown,
        found=name,
        expected=", ".join(names)[:200] or "none: leave hub_config out",
        fix=did_you_mean(name, names, form="hub_config: {}") or "take one of these, or leave hub_config out",
    )


def _no_split_error(
    split: str, candidates: Sequence[str], shown: str, files: Sequence[str] = ()
) -> InputError:
    suggestion = nearest(split, candidates)
    return InputError(
        f"no data file for the split {split}",
        where=shown,
        found=", ".join(sorted(files or candidates)[:10]) or "no files",
        expected=f"{split} as one of " + " ".join(EXTENSIONS),
        fix=f"did you mean hub_split: {suggestion}?"
        if suggestion and suggestion != split
        else "set hub_split, or fetch the file you want and name it as path",
    )
