"""Reads Parquet, Arrow and Feather files into rows of plain JSON values (see `arrow_values`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tutelage.core.errors import InputError
from tutelage.data.formats.arrow_values import (
    ArrowRowDecoder,
    damaged_file_error,
    unreadable_value_error,
)
from tutelage.data.formats.blocks import Blocks, open_data_file
from tutelage.data.formats.jsonl import RawRow

_BATCH = 1024
_FORMATS = {".parquet": ("Parquet", b"PAR1"), ".feather": ("Feather", b"ARROW1")}
"""By extension the format's name and the file's first bytes; any other is Arrow, a file or a stream."""


class ArrowFile:
    """One file, read once; `line` of its rows is the row's number. Only `columns` are read where the file has them all."""

    def __init__(self, path: Path, shown: str, columns: Sequence[str] = ()) -> None:
        self._picked = columns
        self.blocks = Blocks(path, shown, binary=True)
        self._path = path
        self._shown = shown
        self._name, self._magic = _FORMATS.get(path.suffix.lower(), ("Arrow", b""))

    def rows(self) -> Iterator[RawRow | InputError]:
        """The rows, each with its number from 1."""
        head = b""
        for block in self.blocks:  # hashed before Arrow maps the file, so that both see the same bytes
            head = head or block[:8]
        if not head.startswith(self._magic):
            raise self._damaged_error(0, f"a file that begins with the bytes {head[:4].hex(' ')}")
        number = 0
        with open_data_file(self._path, self._shown):
            batches = self._batches(head)
            while True:
                try:
                    batch = next(batches, None)
                except (OSError, ValueError, TypeError, KeyError, NotImplementedError, MemoryError) as error:
                    raise self._damaged_error(number, str(error) or type(error).__name__) from None
                if batch is None:
                    return
                for row in self._decode_batch(batch, number):
                    number += 1
                    yield row

    def _batches(self, head: bytes) -> Iterator[Any]:
        import pyarrow as pa

        if self._name == "Parquet":
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
        """The columns that can be read. Raises InputError if there are none, or two have the same name."""
        if self._picked and set(self._picked) <= set(schema.names):
            schema = _only(schema, self._picked)
        self._cells = ArrowRowDecoder(schema, self._shown)
        self.blocks.notes += self._cells.notes
        return self._cells.columns

    def _decode_batch(self, batch: Any, rows_before: int) -> Iterator[RawRow | InputError]:
        try:
            values = batch.to_pylist()
        except (ValueError, OverflowError):
            values = None
        for index in range(batch.num_rows):
            number = rows_before + index + 1
            result: RawRow | InputError
            try:
                row = values[index] if values is not None else batch.slice(index, 1).to_pylist()[0]
                result = RawRow(number, self._cells.fields(row, number))
            except InputError as error:
                result = error
            except (ValueError, OverflowError) as error:
                result = unreadable_value_error(f"{self._shown}, row {number}", error)
            yield result

    def _damaged_error(self, number: int, found: str) -> InputError:
        return damaged_file_error(f"{self._shown}, row {number + 1}", found, self._name)


def _only(schema: Any, columns: Sequence[str]) -> Any:
    """A schema with some of its columns alone, in its own order."""
    import pyarrow as pa

    return pa.schema([column for column in schema if column.name in columns], metadata=schema.metadata)
