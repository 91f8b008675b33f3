"""A cache of a task's rendered rows: a second run reads them instead of rendering them again.

    CACHE/rows/KEY/card.json       the task's entry in the data card
    CACHE/rows/KEY/train.rows      its training rows, one a line; validation.rows and test.rows as well, and with
                                   `test_wordings: all` validation-in-all-wordings.rows and test-in-all-wordings.rows
    CACHE/rows/KEY/manifest.json   sizes and sha256; an entry without it, or that differs from it, is made anew

CACHE is `core.caches.root`. KEY is a hash of everything that the rows depend on, by content alone: the data files' bytes and the
names that rows have for them, the task's block, the content of a file of templates, label names, and the program with the
libraries that render, split and read. TUTELAGE_NO_CACHE=1 turns it off; TUTELAGE_ROWS_CACHE_MB bounds its size. Only rows without
mistakes are stored, and a cache that cannot be read or written costs time and nothing else.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from tutelage import templates
from tutelage.config.task_block import Task
from tutelage.core import caches, hashing, spill
from tutelage.core.errors import MachineError
from tutelage.core.files import new_folder, sweep_parts
from tutelage.core.locks import locked
from tutelage.core.serialization import PROMPTED
from tutelage.core.types import Prompted
from tutelage.data import SourceFiles
from tutelage.data.formats import blocks
from tutelage.data.partition import SPLITS
from tutelage.models import cache as store
from tutelage.prepare.task_rows import TaskRows

SCHEMA = 2
_IN_ALL_WORDINGS = "-in-all-wordings"
"""Behind a split's name: the file of its rows in each wording."""
CARD = "card.json"
DEFAULT_MB = 2000
WAIT = 60.0
"""Seconds to wait for another process that writes; then nothing is stored."""
_PARTS = ("core", "data", "templates", "mixture", "config", "prepare", "metrics")
_LIBRARIES = ("jinja2", "numpy", "pyarrow", "pyyaml")
_KEY = re.compile("[0-9a-f]{64}")  # an entry's name


def max_bytes() -> int:
    """The most bytes that all entries may have together."""
    return caches.size_limit("TUTELAGE_ROWS_CACHE_MB", DEFAULT_MB)


def key_of(task: Task, files: SourceFiles, *, where: str, root: Path, held_out: bool = False) -> str:
    """The hash of all that a task's rows depend on; a held-out task has its test rows alone."""
    return hashing.of_json(
        {
            "schema": SCHEMA,
            "program": [*caches.code_version(_PARTS, _LIBRARIES), sys.version],
            "task": task.model_dump_json(),  # as a text: labels and fields have an order, which `of_json` ignores
            "where": where,
            "held_out": held_out,
            "files": [_file_hash(path, shown) for path, shown in zip(files.paths, files.shown, strict=True)],
            "shown": list(files.shown),
            "names": [path.name for path in files.paths],
            "said": files.description,
            "labels": None if files.options.labels is None else list(files.options.labels.names.items()),
            "template": _template_hash(task, root),
        }
    )


def _template_hash(task: Task, root: Path) -> str | None:
    """The hash of a user's own file of templates; None without one, and where reading it will raise the error."""
    path = None if task.template is None else templates.template_file(task.template, root)
    return hashing.of_file(path) if path is not None and path.is_file() else None


def _file_hash(path: Path, shown: str) -> str:
    """A data file's hash. Raises InputError, as the reader does, when there is no such file."""
    with blocks.open_data_file(path, shown) as file:
        return hashing.of_stream(file)


def get(key: str, task: Task, say: Callable[[str], None]) -> TaskRows | None:
    """A task's rows in the cache; None when there are none, or damaged ones, which `say` reports."""
    entry = caches.root() / "rows" / key
    if not entry.is_dir():
        return None
    rows = None
    with suppress(OSError, ValueError, KeyError, TypeError):
        rows = _read(entry, task) if store.is_complete(entry, {"key": key}, thorough=True) else None
    if rows is None:
        say("rows in the cache are damaged: they are made anew")
        return None
    with suppress(OSError):
        os.utime(entry / store.MANIFEST)  # the time of its last use
    return rows


def put(key: str, rows: TaskRows) -> None:
    """Store a task's rows, if the disk allows and JSON gives them back as they are."""
    folder = caches.root() / "rows"
    with (
        suppress(MachineError, OSError, _NotStored),
        locked(folder / ".lock", subject="the cache of rows", wait=WAIT),
    ):
        sweep_parts(folder)
        if not store.is_complete(folder / key, {"key": key}, thorough=True):
            with new_folder(folder / key) as entry:
                _write(entry, rows)
                store.write_manifest(entry, {"key": key})
        _delete_oldest(folder, newest=key)


class _NotStored(Exception):
    """An entry that is too large, or that would not be read as it was written."""


def _delete_oldest(folder: Path, *, newest: str) -> None:
    """Delete the entries that were used longest ago while all together are too large."""
    entries = []
    for entry in folder.iterdir():
        with suppress(OSError):
            if _KEY.fullmatch(entry.name) and entry.is_dir():  # other files are not this cache's
                size = sum(file.stat().st_size for file in entry.iterdir())
                manifest = entry / store.MANIFEST
                last_use = manifest.stat().st_mtime_ns if manifest.is_file() else 0
                entries.append((entry.name == newest, last_use, size, entry))
    total = sum(size for _, _, size, _ in entries)
    for _, _, size, entry in sorted(entries):
        if total <= max_bytes():
            break
        (entry / store.MANIFEST).unlink(missing_ok=True)  # first: a half-deleted entry is then not whole
        shutil.rmtree(entry, ignore_errors=True)
        total -= size


def _write(folder: Path, rows: TaskRows) -> None:
    """Write an entry's files.

    Raises:
        _NotStored: JSON would not give back the very same rows, or they take too many bytes.
    """
    remaining = max_bytes()
    files: dict[str, Sequence[Prompted]] = {split: getattr(rows, split) for split in SPLITS}
    files |= {f"{split}{_IN_ALL_WORDINGS}": worded for split, worded in rows.in_all_wordings.items()}
    for name, split_rows in files.items():
        with (folder / f"{name}.rows").open("wb") as file:
            for row in split_rows:
                line = _line(row)
                remaining -= len(line)
                if remaining < 0:
                    raise _NotStored
                file.write(line)
    card = {"card": rows.card, "content": rows.content_fields, "held_out": rows.held_out}
    (folder / CARD).write_bytes(json.dumps(card, allow_nan=False, separators=(",", ":")).encode("ascii"))


def _line(row: Prompted) -> bytes:
    try:
        line = PROMPTED.write(row)
        is_same = PROMPTED.read(line) == row
    except (TypeError, ValueError) as error:
        raise _NotStored from error
    if not is_same:
        raise _NotStored
    return line + b"\n"


def _read(entry: Path, task: Task) -> TaskRows:
    train, validation, test = (spill.open_rows(entry / f"{split}.rows", PROMPTED) for split in SPLITS)
    in_all_wordings: dict[str, Sequence[Prompted]] = {
        split: spill.open_rows(path, PROMPTED)
        for split in SPLITS
        if (path := entry / f"{split}{_IN_ALL_WORDINGS}.rows").exists()
    }
    card = json.loads((entry / CARD).read_bytes())
    return TaskRows(
        task,
        train,
        validation,
        test,
        card["card"],
        tuple(card["content"]),
        card["held_out"],
        in_all_wordings,
    )
