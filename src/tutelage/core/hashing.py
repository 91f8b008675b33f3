"""Content hashes; they decide whether a stage was done already."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO


def of_json(value: Any) -> str:
    """The sha256 of a JSON value, whatever the order of its keys."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def of_each(values: Iterable[Any]) -> str:
    """One sha256 over a stream of JSON values, in their order."""
    digest = hashlib.sha256()
    for value in values:
        digest.update(of_json(value).encode("ascii"))
    return digest.hexdigest()


def of_rows(rows: Iterable[tuple[Any, ...]]) -> str:
    """One sha256 over a table's rows in their order: texts, numbers, bytes and None."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(repr(row).encode("utf-8", "surrogatepass") + b"\n")
    return digest.hexdigest()


def of_text(text: str) -> str:
    """The sha256 of a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def of_bytes(content: bytes) -> str:
    """The sha256 of bytes."""
    return hashlib.sha256(content).hexdigest()


def of_file(path: Path) -> str:
    """The sha256 of a file's bytes, read in pieces."""
    with path.open("rb") as file:
        return of_stream(file)


def of_stream(file: BinaryIO) -> str:
    """The sha256 of the rest of an open file."""
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # any reader will do
