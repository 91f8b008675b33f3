"""Local copies of the data sets that lm-eval's tasks name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tutelage.core.errors import InputError
from tutelage.data.files import METADATA_FILES

FORMATS = {
    "json": (".jsonl", ".json"),
    "csv": (".csv",),
    "parquet": (".parquet",),
    "arrow": (".arrow",),
    "text": (".txt",),
}
"""Names of `dataset_path` that stand for a format, with the files in `data_files`; and the endings of such files."""
_SHARD = re.compile(r"-\d{5}-of-\d{5}$")
"""What the hub writes behind a split's name."""


@contextmanager
def local_data(folder: Path | None) -> Iterator[None]:
    """Within the block, `datasets.load_dataset` takes a data set from a folder where its files are there.

    A data set OWNER/NAME with the configuration CONFIG is FOLDER/OWNER/NAME/CONFIG, with files that are named after splits
    (test.jsonl, train-00000-of-00001.parquet), or the folder FOLDER/OWNER/NAME as it lies on the hub. A file of `data_files` that is not
    in the current folder is FOLDER/FILE. lm-eval's tasks have no field for this, and groups and tasks in Python load their data by this
    call as well.

    Args:
        folder: the folder; None changes nothing.
    """
    import datasets

    original = datasets.load_dataset

    def load_dataset(path: str, name: str | None = None, **keywords: Any) -> Any:
        if folder is not None:
            path, name, keywords = located(folder, path, name, keywords)
        return original(path, name, **keywords)

    datasets.load_dataset = load_dataset
    try:
        yield
    finally:
        datasets.load_dataset = original


def located(
    folder: Path, path: str, name: str | None, keywords: Mapping[str, Any]
) -> tuple[str, str | None, dict[str, Any]]:
    """The arguments of `datasets.load_dataset`, with local files where there are some.

    Args:
        folder: where to look.
        path: a data set's name, or one of `FORMATS`.
        name: its configuration.
        keywords: further arguments.

    Raises:
        InputError: a data set's folder has files of several formats.
    """
    keywords = dict(keywords)
    if path in FORMATS:
        if files := keywords.get("data_files"):
            keywords["data_files"] = _located_files(folder, files)
        return path, name, keywords
    copy = folder / path
    if formats := _split_files(copy / name if name else copy):
        ((kind, splits),) = formats.items()
        return kind, None, {**keywords, "data_files": splits}
    return (str(copy), name, keywords) if copy.is_dir() else (path, name, keywords)


def _split_files(folder: Path) -> dict[str, dict[str, list[str]]]:
    """The format of a folder's data files, and their paths by split; empty without data files.

    The split is what the file's name says: `datasets` itself takes dev for validation.
    """
    formats: dict[str, dict[str, list[str]]] = {}
    for file in sorted(folder.glob("*")):
        for kind, endings in FORMATS.items():
            if file.suffix in endings and file.is_file() and file.name not in METADATA_FILES:
                formats.setdefault(kind, {}).setdefault(_SHARD.sub("", file.stem), []).append(str(file))
    if len(formats) > 1:
        formats.pop("text", None)  # a licence or notes beside the data
    if len(formats) > 1:
        raise InputError(
            "the local copy of a data set has files of several formats",
            where=str(folder),
            found=", ".join(Path(files[0]).name for splits in formats.values() for files in splits.values()),
            expected="one format, and a file for each split, such as test.jsonl",
            fix="move the files that are not meant to another folder",
        )
    return formats


def _located_files(folder: Path, files: Any) -> Any:
    if isinstance(files, Mapping):
        return {split: _located_files(folder, of_split) for split, of_split in files.items()}
    if isinstance(files, list | tuple):
        return [_located_files(folder, file) for file in files]
    file = folder / str(files)
    return str(file) if file.is_file() and not Path(str(files)).is_file() else files
