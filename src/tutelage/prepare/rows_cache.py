"""A task's rows in words, kept from one run to the next: a second run reads them instead of making them again.

    CACHE/rows/KEY/card.json       what the card says of one task's rows
    CACHE/rows/KEY/train.rows      its training rows, one a line; validation.rows and test.rows as well
    CACHE/rows/KEY/manifest.json   sizes and sha256; an entry without it, or that differs from it, is made anew

CACHE is `core.caches.root`. KEY is a hash of everything that the rows depend on, of content alone: the data files'
bytes and what rows call them, the task's block, the content of a file of templates, label names, and the program with the libraries that
render, split and read. TUTELAGE_NO_CACHE=1 turns it off; TUTELAGE_ROWS_CACHE_MB says how large it may be. Only rows that were
found good are kept, and a cache that cannot be read or written costs time and nothing else.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

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
from tutelage.models import cache as store

SCHEMA = 2
CARD = "card.json"
DEFAULT_MB = 2000
WAIT = 60.0
"""Seconds to wait for another process that writes; after them nothing is kept."""
_PARTS = ("core", "data", "templates", "mixture", "config", "prepare", "metrics")
_LIBRARIES = ("jinja2", "numpy", "pyarrow", "pyyaml")
_KEY = re.compile("[0-9a-f]{64}")  # an entry's name
_SPLITS = ("train", "validation", "test")


def folder() -> Path:
    """Where the entries stand."""
    return caches.root() / "rows"


def max_bytes() -> int:
    """The bytes that all entries may have together."""
    return caches.most("TUTELAGE_ROWS_CACHE_MB", DEFAULT_MB)


def key_of(task: Task, found: SourceFiles, *, where: str, root: Path, held_out: bool = False) -> str:
    """The hash of all that a task's rows depend on; one that is held out keeps its test rows alone."""
    return hashing.of_json(
        {
            "schema": SCHEMA,
            "program": [*caches.program(_PARTS, _LIBRARIES), sys.version],
            "task": task.model_dump_json(),  # as a text: labels and fields have an order, which `of_json` ignores
            "where": where,
            "held_out": held_out,
            "files": [_hashed(path, shown) for path, shown in zip(found.paths, found.shown, strict=True)],
            "shown": list(found.shown),
            "names": [path.name for path in found.paths],
            "said": found.description,
            "labels": None if found.options.labels is None else list(found.options.labels.names.items()),
            "template": _own_template(task, root),
        }
    )


def _own_template(task: Task, root: Path) -> str | None:
    """The hash of a person's own file of templates; None without one, and where reading it will say what is wrong."""
    path = None if task.template is None else templates.template_file(task.template, root)
    return hashing.of_file(path) if path is not None and path.is_file() else None


def _hashed(path: Path, shown: str) -> str:
    """A data file's hash. Raises InputError, as the reader does, when there is no such file."""
    with blocks.open_data_file(path, shown) as file:
        return hashing.of_stream(file)


def get(key: str, say: Callable[[str], None]) -> dict[str, Any] | None:
    """An entry's content with its rows as `Prompted`; None when there is none, or a damaged one, which is said."""
    entry = folder() / key
    if not entry.is_dir():
        return None
    try:
        found = _read(entry) if store.whole(entry, {"key": key}, thorough=True) else None
    except (OSError, ValueError, KeyError, TypeError):
        found = None
    if found is None:
        say("rows in the cache are damaged: they are made anew")
        return None
    with suppress(OSError):
        os.utime(entry / store.MANIFEST)  # when it was used last
    return found


def put(key: str, entry: dict[str, Any]) -> None:
    """Keep an entry: `card` and `content`, and the rows of each split."""
    place = folder()
    with (
        suppress(MachineError, OSError, _NotKept),
        locked(place / ".lock", what="the cache of rows", wait=WAIT),
    ):
        sweep_parts(place)
        if not store.whole(place / key, {"key": key}, thorough=True):
            with new_folder(place / key) as made:
                _write(made, entry)
                store.write_manifest(made, {"key": key})
        _make_room(place, key)


class _NotKept(Exception):
    """An entry that is too large, or that would not be read as it was written."""


def _make_room(place: Path, latest: str) -> None:
    """Remove the entries that were used longest ago while all together are too large."""
    entries = []
    for entry in place.iterdir():
        with suppress(OSError):
            if _KEY.fullmatch(entry.name) and entry.is_dir():  # anything else is not this cache's
                sizes = sum(file.stat().st_size for file in entry.iterdir())
                manifest = entry / store.MANIFEST
                used = manifest.stat().st_mtime_ns if manifest.is_file() else 0
                entries.append((entry.name == latest, used, sizes, entry))
    total = sum(size for _, _, size, _ in entries)
    for _, _, size, entry in sorted(entries):
        if total <= max_bytes():
            break
        (entry / store.MANIFEST).unlink(missing_ok=True)  # what is half removed is not whole
        shutil.rmtree(entry, ignore_errors=True)
        total -= size


def _write(place: Path, entry: dict[str, Any]) -> None:
    """Write an entry's files.

    Raises:
        _NotKept: JSON would not give back the very same rows, or there are too many bytes of them.
    """
    left = max_bytes()
    for split in _SPLITS:
        with (place / f"{split}.rows").open("wb") as file:
            for row in entry[split]:
                line = _line(row)
                left -= len(line)
                if left < 0:
                    raise _NotKept
                file.write(line)
    card = {name: value for name, value in entry.items() if name not in _SPLITS}
    (place / CARD).write_bytes(json.dumps(card, allow_nan=False, separators=(",", ":")).encode("ascii"))


def _line(row: Prompted) -> bytes:
    try:
        written = PROMPTED.write(row)
        same = PROMPTED.read(written) == row
    except (TypeError, ValueError):
        same = False
    if not same:
        raise _NotKept
    return written + b"\n"


def _read(entry: Path) -> dict[str, Any]:
    card: dict[str, Any] = json.loads((entry / CARD).read_bytes())
    return {**card, **{split: spill.opened(entry / f"{split}.rows", PROMPTED) for split in _SPLITS}}
