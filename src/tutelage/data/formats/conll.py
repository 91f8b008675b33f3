"""Reads CoNLL files: a token and its tags on each line, a blank line between sentences; each sentence is a row.

The first column is the token and the last its tag, unless `columns` names them. Columns are separated by tabs, or by spaces if the
first line has no tab. Skipped are `-DOCSTART-` lines and, in tab-separated files, lines that begin with # and have no tab.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from tutelage.core.errors import InputError
from tutelage.core.strictjson import shorten
from tutelage.data.formats.jsonl import RawRow
from tutelage.data.formats.lines import Line

TOKENS, TAGS = "tokens", "tags"
_SNIFFED = 64
"""Lines at the start of a .tsv file by which it is taken for CoNLL."""
_TAG = re.compile(r"O|[BIESLUM]-\S+")


def rows(
    lines: Iterable[Line | InputError], shown: str, *, columns: Sequence[str] = ()
) -> Iterator[RawRow | InputError]:
    """The sentences as rows of `tokens`, `tags`, and a list for each further column that `columns` names.

    A sentence with bad lines is one error, at its first bad line.
    """
    sentence = _Sentence(shown, columns)
    for line in lines:
        if isinstance(line, InputError):
            sentence.error = sentence.error or line
        elif line.text.strip():
            sentence.add(line)
        else:
            yield from sentence.close()
    yield from sentence.close()


def is_tagged(lines: Iterable[Line | InputError]) -> bool:
    """Whether the first lines of a file have tabs and end in a tag of an entity, or O, and not all in O."""
    tags = set()
    for line in islice(
        (line for line in lines if isinstance(line, InputError) or line.text.strip()), _SNIFFED
    ):
        cells = line.text.split("\t") if isinstance(line, Line) else []
        if len(cells) < 2 or not _TAG.fullmatch(cells[-1].strip()):
            return False
        tags.add(cells[-1].strip())
    return bool(tags - {"O"})


class _Sentence:
    """The sentence that is being read; separator and width are those of the file's first line."""

    def __init__(self, shown: str, columns: Sequence[str]) -> None:
        self._shown = shown
        self._columns = list(columns)
        self._tab: bool | None = None
        self._width = len(columns)
        self._line = 0
        self._cells: list[list[str]] = []
        self.error: InputError | None = None

    def add(self, line: Line) -> None:
        if self._tab is None:
            self._tab = "\t" in line.text
        if line.text.startswith("-DOCSTART-") or (
            self._tab and line.text.startswith("#") and "\t" not in line.text
        ):
            return
        cells = line.text.split("\t") if self._tab else line.text.split()
        self._width = self._width or len(cells)
        self.error = self.error or self._check_cells(cells, f"{self._shown}:{line.number}")
        self._line = self._line or line.number
        self._cells.append(cells)

    def close(self) -> Iterator[RawRow | InputError]:
        if self.error is not None:
            yield self.error
        elif self._cells:
            names = self._columns or [TOKENS, *[""] * (self._width - 2), TAGS]
            columns = zip(names, zip(*self._cells, strict=True), strict=True)
            yield RawRow(self._line, {name: list(cells) for name, cells in columns if name})
        self._line, self._cells, self.error = 0, [], None

    def _check_cells(self, cells: list[str], where: str) -> InputError | None:
        if self._width < 2 or len(cells) != self._width:
            return InputError(
                "the line has another number of columns than the first one"
                if self._width > 1
                else "the line has one column",
                where=where,
                found=f"{len(cells)}: {shorten(' '.join(cells))}",
                expected=f"{self._width} columns" if self._width > 1 else "a token and its tag",
                fix="a token and its tags stand on one line, split by a tab or by spaces, a blank line between sentences",
            )
        tag_column = self._columns.index(TAGS) if TAGS in self._columns else self._width - 1
        tag = cells[tag_column].strip()
        token_column = self._columns.index(TOKENS) if TOKENS in self._columns else 0
        cells[tag_column] = tag
        if not _TAG.fullmatch(tag):
            return InputError(
                "the field tags has a tag that names no part of an entity",
                where=where,
                found=shorten(tag),
                expected="O, or B-, I-, E-, S- and a type, such as B-PER",
                fix="correct the tag; columns: [tokens, pos, tags] in data says which column is which",
            )
        if not cells[token_column].strip() and tag != "O":
            return InputError(
                "the field tokens is empty, and the tag says that it is part of an entity",
                where=where,
                found=f'"" with {tag}',
                expected="a token",
                fix="write the token, or the tag O",
            )
        return None
