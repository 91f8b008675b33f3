"""Answers as rows of an output file: JSON lines, CSV, TSV or Parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tutelage.core import outputs
from tutelage.core.errors import InputError
from tutelage.core.types import Json

Record = dict[str, Json]
_DELIMITERS = {".csv": ",", ".tsv": "\t"}
SUFFIXES = (".jsonl", *_DELIMITERS, ".parquet")


@dataclass(frozen=True, slots=True)
class Table:
    """A file of rows that does not exist yet.

    Attributes:
        path: the file; its suffix says the format.
        inputs: files and folders that are read, which it may not be.
        option: how the command line names the file.
    """

    path: Path
    inputs: Sequence[Path] = ()
    option: str = "--out"

    def check(self, *, may_exist: bool = False) -> None:
        """Refuse a name without a known suffix, and a file that is there.

        Args:
            may_exist: whether the file may be there, because the same rows are written again.

        Raises:
            InputError: as said.
        """
        if self.path.suffix.lower() not in SUFFIXES:
            raise InputError(
                "the name does not say in which format the rows are written",
                where=self.option,
                found=str(self.path),
                expected=f"a name that ends in {', '.join(SUFFIXES)}",
                fix=f"{self.option} {self.path}.jsonl",
            )
        outputs.NewFile(self.path, self.inputs, f"name another file with {self.option}").check(
            may_exist=may_exist
        )

    def write(self, records: Sequence[Record], *, may_exist: bool = False) -> None:
        """Write the rows; the file is whole or absent.

        Raises:
            InputError: as `check`, or a column of a Parquet file holds values of several kinds.
            MachineError: the disk is full or fails.
        """
        self.check(may_exist=may_exist)
        suffix = self.path.suffix.lower()
        if suffix == ".parquet":
            content = _parquet(records, self.path)
        elif suffix == ".jsonl":
            content = "".join(line + "\n" for line in map(json_line, records)).encode("utf-8")
        else:
            content = _delimited(records, _DELIMITERS[suffix]).encode("utf-8")
        outputs.NewFile(self.path, self.inputs).write(content, may_exist=may_exist)


def json_line(record: Mapping[str, Json]) -> str:
    """A row as JSON in one line. Half a surrogate pair, which is no UTF-8, is written as an escape."""
    text = json.dumps(record, ensure_ascii=False, allow_nan=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(record, allow_nan=False)
    return text


def _delimited(records: Sequence[Record], delimiter: str) -> str:
    text = io.StringIO()
    # All texts are quoted: csv would write a lone carriage return bare, which readers take for the end of the row.
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    columns = _columns(records)
    writer.writerow(columns)
    for record in records:
        writer.writerow([_cell(record.get(column)) for column in columns])
    return text.getvalue().encode("utf-8", "replace").decode("utf-8")


def _cell(value: Json) -> str | int | float:
    """A value as text: lists and objects as JSON, null as nothing."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return json.dumps(value, ensure_ascii=False)
    return value


def _parquet(records: Sequence[Record], path: Path) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    columns: dict[str, object] = {}
    for name in _columns(records):
        values = [record.get(name) for record in records]
        try:
            # An object becomes a column of JSON text: its keys are data, such as the labels of a row, and no schema.
            texts = [
                json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value
                for value in values
            ]
            columns[name] = pa.array(texts)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError) as error:
            raise InputError(
                f"the column {name} cannot be written as Parquet",
                where=str(path),
                found=str(error).splitlines()[0],
                expected="values of one kind",
                fix="write a .jsonl file instead, or leave the column out",
            ) from error
    sink = io.BytesIO()
    parquet.write_table(pa.table(columns), sink)
    return sink.getvalue()


def _columns(records: Iterable[Record]) -> list[str]:
    return list(dict.fromkeys(name for record in records for name in record))
