"""Local copies of the data sets that lm-eval's tasks name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FORMATS = ("json", "csv", "parquet", "arrow", "text")
"""Names of `dataset_path` that stand for a format, with the files in `data_files`."""


@contextmanager
def local_data(folder: Path | None) -> Iterator[None]:
    """Within the block, `datasets.load_dataset` takes a data set from a folder where its files are there.

    A data set OWNER/NAME with the configuration CONFIG is FOLDER/OWNER/NAME/CONFIG, with a file for each split, or the folder
    FOLDER/OWNER/NAME as it lies on the hub. A file of `data_files` that is not in the current folder is FOLDER/FILE. lm-eval's tasks
    have no field for this: groups and tasks in Python load their data by this call as well.

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
    """
    keywords = dict(keywords)
    if path in FORMATS:
        if files := keywords.get("data_files"):
            keywords["data_files"] = _located_files(folder, files)
        return path, name, keywords
    if name and (folder / path / name).is_dir():
        return str(folder / path / name), None, keywords
    copy = folder / path
    return (str(copy), name, keywords) if copy.is_dir() else (path, name, keywords)


def _located_files(folder: Path, files: Any) -> Any:
    if isinstance(files, Mapping):
        return {split: _located_files(folder, of_split) for split, of_split in files.items()}
    if isinstance(files, list | tuple):
        return [_located_files(folder, file) for file in files]
    file = folder / str(files)
    return str(file) if file.is_file() and not Path(str(files)).is_file() else files
