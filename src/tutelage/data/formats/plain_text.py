"""Reads plain text: a row for each paragraph, or for each line where no blank line parts them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tutelage.core.errors import InputError
from tutelage.data.formats.jsonl import RawRow
from tutelage.data.formats.lines import Line

FIELD = "text"


def has_paragraphs(lines: Iterable[Line | InputError]) -> bool:
    """Whether a blank line stands between two that are not."""
    seen_text = seen_blank = False
    for line in lines:
        is_blank = isinstance(line, Line) and not line.text.strip()
        if seen_blank and not is_blank:
            return True
        seen_text = seen_text or not is_blank
        seen_blank = seen_text and is_blank
    return False


def rows(lines: Iterable[Line | InputError], *, paragraphs: bool) -> Iterator[RawRow | InputError]:
    """The rows of a text, each with the field `text` and the number of its first line; blank lines are in none.

    Args:
        lines: the lines of the file.
        paragraphs: whether lines without a blank line between them are one row.
    """
    start, parts = 0, list[str]()
    for line in lines:
        text = "" if isinstance(line, InputError) else line.text.rstrip()
        if parts and not (paragraphs and text):
            yield RawRow(start, {FIELD: "\n".join(parts)})
            parts = []
        if isinstance(line, InputError):
            yield line
        elif text:
            start = start if parts else line.number
            parts.append(text)
    if parts:
        yield RawRow(start, {FIELD: "\n".join(parts)})
