"""Parquet, Arrow and Feather files: typed columns to rows of plain JSON values.

Text, numbers, true or false, lists and objects are taken as they are. Dates and times become ISO 8601 text, decimals
become text, and class labels that the file itself names (as the hub's files do) become their names. Columns of bytes and of
other kinds are left out; a note says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from tutelage.core.errors import InputError
from tutelage.core.limits import MAX_JSON_DEPTH
from tutelage.core.nouns import Json
from tutelage.core.strictjson import kind, loads, shorten
from tutelage.data.formats import hidden
from tutelage.data.formats.blocks import Blocks, opened
from tutelage.data.formats.jsonl import Row

_BATCH = 1024
_PLAIN = (int, bool, type(None))
_MAGIC = {".parquet": (b"PAR1", "Parquet"), ".feather": (b"ARROW1", "Feather")}


class Columnar:
    """One file, read once; `line` of its rows is the row's number."""

    def __init__(self, path: Path, shown: str, ending: str) -> None:
        self.shown = shown
        self.notes: list[str] = []
        self._path = path
        self._ending = ending
        self._name = {".parquet": "Parquet", ".feather": "Feather"}.get(ending, "Arrow")
        self._blocks = Blocks(path, shown, binary=True)

    @property
    def sha256(self) -> str:
        """The hash of the file's bytes."""
        return self._blocks.sha256

    def rows(self) -> Iterator[Row | InputError]:
        """The rows, each with its number from 1."""
        head = b""
        for block in self._blocks:  # hashed before Arrow maps the file, so that both see the same bytes
            head = head or block[:8]
        magic = _MAGIC.get(self._ending)
        if magic and not head.startswith(magic[0]):
            raise self._damaged(0, f"a file that begins with the bytes {head[:4].hex(' ')}")
        number = 0
        with opened(self._path, self.shown):
            batches = self._batches(head)
            while True:
                try:
                    batch = next(batches, None)
                except (OSError, ValueError, TypeError, KeyError, NotImplementedError, MemoryError) as error:
                    raise self._damaged(number, str(error) or type(error).__name__) from None
                if batch is None:
                    return
                for row in self._plain(batch, number):
                    number += 1
                    yield row

    def _batches(self, head: bytes) -> Iterator[Any]:
        import pyarrow as pa

        if self._ending == ".parquet":
            from pyarrow.parquet import ParquetFile

            with ParquetFile(str(self._path)) as file:
                columns = self._columns(file.schema_arrow)
                yield from file.iter_batches(batch_size=_BATCH, columns=columns, use_threads=False)
            return
        with pa.memory_map(str(self._path)) as mapped:
            if head.startswith(b"ARROW1"):
                file = pa.ipc.open_file(mapped)
                batches = (file.get_batch(index) for index in range(file.num_record_batches))
            else:
                file = pa.ipc.open_stream(mapped)
                batches = iter(file)
            columns = self._columns(file.schema)
            for batch in batches:
                batch.validate(full=True)
                for start in range(0, batch.num_rows, _BATCH):
                    yield batch.slice(start, _BATCH).select(columns)

    def _columns(self, schema: Any) -> list[str]:
        """The columns that can be read; the file is refused when two have one name or none is left."""
        names = list(schema.names)
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise InputError(
                f"two columns are called {shorten(twice)}",
                where=self.shown,
                found=shorten(", ".join(names)),
                expected="every name once",
                fix="rename one of them",
            )
        taken = [field.name for field in schema if _readable(field.type)]
        left = [f"{field.name} ({field.type})" for field in schema if field.name not in taken]
        if left:
            self.notes.append("columns that hold no text or numbers were left out: " + ", ".join(left))
        if not taken:
            raise InputError(
                "no column holds text or numbers",
                where=self.shown,
                found=", ".join(left)[:200] or "no columns",
                expected="at least one column of text",
                fix="write the rows again with text columns",
            )
        self._classes = _classes(schema.metadata or {}, self.shown)
        for name in self._classes:
            if name in taken:
                self.notes.append(f"the numbers in {name} were read as the label names that the file gives")
        return taken

    def _quick(self, batch: Any, before: int) -> list[Row] | None:
        """The rows of a batch, checked column by column; None when a value is wrong, and which one has to be said."""
        plain = True
        columns: list[list[Any]] = []
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            try:
                found = None if name in self._classes else _simple(column)
                if found is None:
                    told = [
                        self._class(name, v, "") if name in self._classes else v for v in column.to_pylist()
                    ]
                    found = [_value(value, name, "") for value in told], False
            except (InputError, UnicodeDecodeError, ValueError, OverflowError):
                return None
            columns.append(found[0])
            plain = plain and found[1]
        names = batch.schema.names
        return [
            Row(number, dict(zip(names, values, strict=True)), 0, plain)
            for number, values in enumerate(zip(*columns, strict=True), before + 1)
        ]

    def _plain(self, batch: Any, before: int) -> Iterator[Row | InputError]:
        if (rows := self._quick(batch, before)) is not None:
            yield from rows
            return
        try:
            values = batch.to_pylist()
        except (UnicodeDecodeError, ValueError, OverflowError):
            values = None
        for index in range(batch.num_rows):
            where = f"{self.shown}, row {before + index + 1}"
            try:
                row = values[index] if values is not None else batch.slice(index, 1).to_pylist()[0]
            except UnicodeDecodeError as error:
                yield _bad(where, "the text is not UTF-8", str(error.reason), "UTF-8")
                continue
            except (ValueError, OverflowError) as error:
                yield _bad(where, "a value cannot be read", str(error), "text or a number")
                continue
            fields: dict[str, Json] = {}
            try:
                for name, value in row.items():
                    fields[name] = self._class(name, value, where) if name in self._classes else value
                    if ("\0" in value) if type(value) is str else type(value) not in _PLAIN:
                        fields[name] = _value(fields[name], name, where)
            except InputError as error:
                yield error
                continue
            yield Row(before + index + 1, fields)

    def _class(self, name: str, value: Any, where: str) -> Any:
        names = self._classes[name]
        if isinstance(value, list):
            return [self._class(name, item, where) for item in value]
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, int) and 0 <= value < len(names):
            return names[value]
        raise _bad(where, f"the field {name} names no label", str(value), f"0 to {len(names) - 1}")

    def _damaged(self, number: int, found: str) -> InputError:
        return InputError(
            f"the {self._name} file is damaged, or of a kind that cannot be read",
            where=f"{self.shown}, row {number + 1}",
            found=shorten(found.splitlines()[0] if found else "", 160),
            expected=f"a whole {self._name} file",
            fix="make or fetch it again, and check that its ending says what it is",
        )


def _readable(kind_of: Any, depth: int = 0) -> bool:
    import pyarrow.types as t

    if depth > MAX_JSON_DEPTH:
        return False
    if t.is_list(kind_of) or t.is_large_list(kind_of) or t.is_fixed_size_list(kind_of):
        return _readable(kind_of.value_type, depth + 1)
    if t.is_struct(kind_of):
        names = [field.name for field in kind_of]
        return len(set(names)) == len(names) and all(_readable(f.type, depth + 1) for f in kind_of)
    if t.is_dictionary(kind_of):
        return _readable(kind_of.value_type, depth + 1)
    plain = (
        t.is_string, t.is_large_string, t.is_string_view, t.is_integer, t.is_floating, t.is_boolean, t.is_null,
        t.is_date, t.is_timestamp, t.is_time, t.is_decimal,
    )  # fmt: skip
    return any(is_so(kind_of) for is_so in plain)


def _simple(column: Any) -> tuple[list[Any], bool] | None:
    """The values of a column of text or of numbers, and whether nothing invisible stands in them.

    None for another kind, and when a value may be wrong.
    """
    import pyarrow.types as t

    if t.is_string(column.type) or t.is_large_string(column.type):
        column.validate(full=True)  # that it is UTF-8
        raw = _bytes(column)
        if b"\0" in raw:
            return None
        return column.to_numpy(zero_copy_only=False).tolist(), not hidden.among(raw)
    if column.null_count:
        return None
    if t.is_integer(column.type) or t.is_boolean(column.type):
        return column.to_numpy(zero_copy_only=False).tolist(), True
    if t.is_float32(column.type) or t.is_float64(column.type):
        numbers = column.to_numpy(zero_copy_only=False)
        return (numbers.tolist(), True) if np.isfinite(numbers).all() else None
    return None


def _bytes(column: Any) -> bytes:
    """All that stands in a column of text, one value behind the other."""
    _, places, content = column.buffers()
    if content is None or not len(column):
        return b""
    width = np.dtype(np.int64 if column.type == "large_string" else np.int32)
    offsets = np.frombuffer(places, width, len(column) + 1, column.offset * width.itemsize)
    return bytes(content.slice(int(offsets[0]), int(offsets[-1] - offsets[0])).to_pybytes())


def _value(value: Any, name: str, where: str) -> Json:
    """A value as plain JSON."""
    if isinstance(value, list):
        return [_value(item, name, where) for item in value]
    if isinstance(value, dict):
        return {str(key): _value(item, name, where) for key, item in value.items()}
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, str) and "\0" in value:
        raise _bad(where, f"a NUL character stands in the field {name}", "\\u0000", "text")
    if isinstance(value, float) and not math.isfinite(value):
        raise _bad(where, f"the field {name} is no finite number", str(value), "a finite number or null")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise _bad(where, f"the field {name} holds {kind(value)}", shorten(str(value), 40), "text or a number")


def _classes(metadata: dict[bytes, bytes], shown: str) -> dict[str, list[str]]:
    """The label names that the hub's library keeps in a file, by column."""
    told = metadata.get(b"huggingface")
    if told is None:
        return {}
    try:
        said = loads(told.decode("utf-8", "replace"), where=shown)
    except InputError:
        return {}
    info = said.get("info") if isinstance(said, dict) else None
    features = info.get("features") if isinstance(info, dict) else None
    found: dict[str, list[str]] = {}
    for name, feature in features.items() if isinstance(features, dict) else ():
        inner = feature.get("feature", feature) if isinstance(feature, dict) else None
        names = inner.get("names") if isinstance(inner, dict) and inner.get("_type") == "ClassLabel" else None
        if isinstance(names, list):
            found[name] = [str(label) for label in names]
    return found


def _bad(where: str, problem: str, found: str, expected: str) -> InputError:
    return InputError(
        problem, where=where, found=found, expected=expected, fix="correct the row, or leave it out"
    )
