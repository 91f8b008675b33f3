"""Where the rows of a task of lm-evaluation-harness are: local files, by split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tutelage.benchmarks.lm_eval.harness_task import HarnessTask
from tutelage.core.errors import InputError

_ENDINGS: Mapping[str, tuple[str, ...]] = {
    "json": (".jsonl", ".json"),
    "csv": (".csv",),
    "parquet": (".parquet",),
}
"""Values of `dataset_path` that stand for a format, with the endings of its files."""
_COMPRESSED = (".gz", ".zst")


def split_files(task: HarnessTask) -> Iterator[tuple[str, Any]]:
    """The spec's `data`, and its `shots` where exemplars have a split.

    Args:
        task: the task; what is not supported is noted in it.
    """
    values = task.fields
    test = values.get("test_split") or values.get("validation_split")
    if not isinstance(test, str):
        task.refuse("test_split", "the split that is asked, here or in validation_split", value="none")
        return
    if (file := _file(task, test)) is not None:
        yield "data", {"path": file}
    yield from _exemplars(task, test)


def _exemplars(task: HarnessTask, test: str) -> Iterator[tuple[str, Any]]:
    values = task.fields
    settings = values.get("fewshot_config") or {}
    for name in settings if isinstance(settings, Mapping) else ():
        if name not in ("sampler", "split"):
            task.refuse(f"fewshot_config.{name}", "sampler or split", value=settings[name])
    if not isinstance(settings, Mapping):
        task.refuse("fewshot_config", "fields")
        return
    count = values.get("num_fewshot") or 0
    split = settings.get("split") or values.get("fewshot_split")
    sampler = settings.get("sampler", "default")
    if sampler not in ("first_n", "default"):
        task.refuse("fewshot_config.sampler", "first_n or default", value=sampler)
    if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= 1000:
        task.refuse("num_fewshot", "a whole number from 0")
        return
    if split is None and count == 0:
        return
    if not isinstance(split, str) or split == test:
        task.refuse("fewshot_split", f"the split of the examples, another than {test}", value=split or "none")
        return
    file = _file(task, split, needed=count > 0)
    if file is not None:
        yield "shots", {"path": file, "count": count, "draw": "first" if sampler == "first_n" else "lm-eval"}


def _file(task: HarnessTask, split: str, *, needed: bool = True) -> str | None:
    """The file of a split."""
    path = task.fields.get("dataset_path")
    keywords = task.fields.get("dataset_kwargs") or {}
    if path in _ENDINGS:
        return _of_format(task, str(path), keywords, split, needed=needed)
    folder = task.folder / str(path)
    if isinstance(path, str) and folder.is_dir():
        for name in keywords:
            task.refuse(f"dataset_kwargs.{name}", "none for a folder", value=keywords[name])
        return _of_folder(task, folder, split, needed=needed)
    expected = f"{', '.join(_ENDINGS)}, or a folder beside the task file with a file for each split"
    task.refuse("dataset_path", expected, value=path)
    return None


def _of_format(
    task: HarnessTask, kind: str, keywords: Mapping[str, Any], split: str, *, needed: bool
) -> str | None:
    for name in keywords:
        if name not in ("data_files", "trust_remote_code"):
            task.refuse(f"dataset_kwargs.{name}", "data_files", value=keywords[name])
    if task.fields.get("dataset_name") is not None:
        task.refuse("dataset_name", "none for files")
    files = keywords.get("data_files")
    files = {"train": files} if isinstance(files, str | list) else files
    of_split = files.get(split) if isinstance(files, Mapping) else None
    if isinstance(of_split, list) and len(of_split) == 1:
        (of_split,) = of_split
    if of_split is None and not needed:
        return None
    if not isinstance(of_split, str) or any(mark in of_split for mark in "*{") or "://" in of_split:
        task.refuse(
            "dataset_kwargs.data_files", f"the path of one file for {split}", value=of_split or "none"
        )
        return None
    bare = next((of_split.removesuffix(end) for end in _COMPRESSED if of_split.endswith(end)), of_split)
    if not bare.endswith(_ENDINGS[kind]):
        expected = f"a file that ends in {' or '.join(_ENDINGS[kind])}"
        task.refuse("dataset_kwargs.data_files", expected, value=of_split)
        return None
    return of_split


def _of_folder(task: HarnessTask, folder: Path, split: str, *, needed: bool) -> str | None:
    names = [f"{split}{ending}" for endings in _ENDINGS.values() for ending in endings]
    file = next((folder / name for name in names if (folder / name).is_file()), None)
    if file is None:
        if needed:
            task.mistakes.append(
                InputError(
                    "the folder has no file for the split",
                    where=task.places(("dataset_path",)),
                    found=f"no {', '.join(names)} in {folder}",
                    fix="name the files: dataset_path: json, and dataset_kwargs: {data_files: {SPLIT: FILE}}",
                )
            )
        return None
    return str(file.relative_to(task.folder))
