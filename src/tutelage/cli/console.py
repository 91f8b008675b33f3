"""Prints what commands show: text, tables, or one JSON document.

Texts of data and models may hold escape sequences that move the cursor, change the title or paste into the shell. Everything that
commands print passes this module, which strips them.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any, Literal, TextIO

import typer

if TYPE_CHECKING:
    from rich.console import Console

# For every command: `json: Annotated[bool, console.Json] = False`.
Json = typer.Option(
    "--json", help="One JSON document on standard output; progress and logs on standard error."
)

UNWRAPPED = 24  # characters of a cell that a narrow table keeps on one line
WIDTH = 120  # of output into a file or a pipe
MAX_WIDTH = 200  # of a table there that needs it, so that names and numbers stay on one line

_real_stdout: list[TextIO] = []  # while a command with --json runs

SEQUENCES = re.compile(
    r"""
    (?:\x1b[P\]X^_]|[\x90\x98\x9d-\x9f])    # DCS, OSC, SOS, PM, APC: strings that a terminal obeys,
    [^\x07\x1b\x9c]*                        # their content,
    (?:\x07|\x1b\\|\x9c|$)                  # and their end;
    | (?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?     # CSI: colours, cursor, screen;
    | \x1b[ -/]*[0-~]?                      # two-character escapes
    """,
    re.VERBOSE,
)
CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 without tab and line feed, delete, C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"  # marks that turn the direction of what follows
)


def plain(text: str) -> str:
    """The text without escape sequences, control characters (but tab and line feed) and direction marks."""
    return CONTROLS.sub("", SEQUENCES.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))


def printable(text: str, encoding: str) -> str:
    """The text as `plain` gives it, with a question mark for every character that the encoding lacks."""
    return plain(text).encode(encoding, "replace").decode(encoding)


@contextmanager
def standard_output_for_json(as_json: bool) -> Iterator[None]:
    """Reserve standard output for `print_json`: whatever else is printed there goes to standard error."""
    if not as_json:
        yield
        return
    _real_stdout.append(sys.stdout)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _real_stdout.pop()


def print_json(document: Mapping[str, Any] | Sequence[Any]) -> None:
    """Print the command's one JSON document on standard output. Never NaN."""
    stream = _real_stdout[-1] if _real_stdout else sys.stdout
    stream.write(json.dumps(document, ensure_ascii=True, allow_nan=False, indent=1) + "\n")
    stream.flush()


def show_result(document: Mapping[str, Any], text: str, *, as_json: bool) -> None:
    """Print a result on standard output: as JSON, or as text for people."""
    if as_json:
        print_json(document)
    else:
        show(text)


def show(text: str = "") -> None:
    """Print text for people on standard output."""
    _write(sys.stdout, text)


def say(text: str = "") -> None:
    """Print a line on standard error: progress, a note, an error."""
    _write(sys.stderr, text)


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[int] = ()) -> None:
    """Print a table on standard output; `right` are the columns that are aligned at the right."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    cells = [[plain(cell) for cell in row] for row in rows]
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for position, column in enumerate(columns):
        one_line = position not in right and all(len(row[position]) <= UNWRAPPED for row in cells)
        justify: Literal["left", "right"] = "right" if position in right else "left"
        table.add_column(Text(plain(column)), justify=justify, overflow="fold", no_wrap=one_line)
    for row in cells:
        table.add_row(*map(Text, row))
    out = console()
    if _has_free_width(out):  # so that a row of the table is a line of the file
        from rich.measure import Measurement

        options = out.options.update(max_width=MAX_WIDTH)
        out.width = max(WIDTH, Measurement.get(out, options, table).maximum)
    out.print(table)


def console() -> Console:
    """A rich console that interprets no markup in texts and does not colour them. Pass what you print through `plain`."""
    from rich.console import Console

    out = Console(markup=False, highlight=False, emoji=False, soft_wrap=False)
    if _has_free_width(out):
        out.width = WIDTH
    return out


def _has_free_width(out: Console) -> bool:
    """Whether lines may have any width: in a file or a pipe, unless COLUMNS says otherwise."""
    return not out.is_terminal and "COLUMNS" not in os.environ


def _write(stream: Any, text: str) -> None:
    stream.write(printable(text, getattr(stream, "encoding", None) or "utf-8") + "\n")
    stream.flush()
