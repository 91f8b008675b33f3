"""The strict reader: JSONL, CSV and TSV files to examples with file and physical line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tutelage.core.errors import InputError, raise_all
from tutelage.core.limits import MAX_ERRORS
from tutelage.core.nouns import Example, Origin
from tutelage.data import jsonl, tables
from tutelage.data.lines import Lines, empty, require_file

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_JSON_LINES = (".jsonl", ".ndjson", ".json")
EXTENSIONS = (*_JSON_LINES, *_DELIMITERS)


def read(path: Path, *, shown: str | None = None) -> Iterator[Example]:
    """Read a data file row by row.

    Args:
        path: a .jsonl, .ndjson, .json (one object a line), .csv or .tsv file; UTF-8; any of them with .gz behind it.
        shown: the file's name in errors and origins; `path` when not given.

    Yields:
        The examples in the file's order, up to the first mistake.

    Raises:
        InputError: a mistake, or InputErrors with the first 20, when the file was read.
    """
    yield from Reader(path, shown or str(path))


class Reader:
    """One file to be read once; after the last row `sha256` and `notes` say what was read."""

    def __init__(self, path: Path, shown: str) -> None:
        self.shown = shown
        self._lines = Lines(path, shown)

    @property
    def sha256(self) -> str:
        """The hash of the bytes read."""
        return self._lines.sha256

    @property
    def notes(self) -> tuple[str, ...]:
        """What was unusual about the file and harmless."""
        return tuple(self._lines.notes)

    def __iter__(self) -> Iterator[Example]:
        errors: list[InputError] = []
        count = 0
        for row in self._rows():
            if isinstance(row, InputError):
                errors.append(row)
                if len(errors) == MAX_ERRORS:
                    break
                continue
            count += 1
            if not errors:
                # The name and line, not the content: two rows may be equal and are still two rows.
                identity = f"{Path(self.shown).name}:{row.line}"
                yield Example(identity, row.fields, Origin(self.shown, row.line))
        raise_all(self.shown, errors)
        if not count:
            raise empty(self.shown, "no rows")

    def _rows(self) -> Iterator[jsonl.Row | InputError]:
        path = self._lines.path
        suffix = (path.with_suffix("") if path.suffix.lower() == ".gz" else path).suffix.lower()
        if suffix in _DELIMITERS:
            return tables.rows(self._lines, self.shown, delimiter=_DELIMITERS[suffix])
        if suffix in _JSON_LINES:
            return jsonl.rows(self._lines, self.shown)
        require_file(path, self.shown)
        raise InputError(
            "the kind of file is not known",
            where=self.shown,
            found=f"a name that ends in {suffix}" if suffix else "a name without an ending",
            expected="one of " + " ".join(EXTENSIONS) + ", or one of them with .gz behind it",
            fix="unpack or convert the file, and give it the ending that says what it is",
        )
