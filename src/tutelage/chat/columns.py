"""Answers side by side in a terminal, drawn as they come."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Self

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tutelage.chat.text import encodable, visible

MIN_WIDTH = 80
"""Characters of a line that two answers side by side need."""

REDRAW_SECONDS = 1 / 20


def fits(console: Console | None) -> bool:
    """Whether answers fit side by side: in a terminal that is wide enough and can be drawn on."""
    return (
        console is not None
        and console.is_terminal
        and not console.is_dumb_terminal
        and console.width >= MIN_WIDTH
    )


class AnswerColumns:
    """One column for each model's answer, drawn in place inside a `with` block.

    While answers come, the newest lines that fit on the screen are shown; at the end of the block, all of them.
    """

    def __init__(self, labels: Sequence[str], console: Console) -> None:
        self._texts = dict.fromkeys(labels, "")
        self._console = console
        self._drawn = 0.0
        self._live = Live(
            self._table(), console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._live.update(self._table(complete=True))
        self._live.stop()

    def add(self, label: str, text: str) -> None:
        """Append to a column."""
        self._texts[label] += text
        if time.monotonic() - self._drawn >= REDRAW_SECONDS:
            self._drawn = time.monotonic()
            self._live.update(self._table(), refresh=True)

    def _table(self, *, complete: bool = False) -> Table:
        width = max(self._console.width // len(self._texts) - 4, 10)
        table = Table(
            box=SIMPLE_HEAD,
            expand=True,
            show_edge=False,
            pad_edge=False,
            padding=(0, 3, 0, 0),
            header_style="bold",
        )
        cells = []
        for label, text in self._texts.items():
            table.add_column(Text(self._safe(" ".join(label.split()))), ratio=1, overflow="fold")
            lines = self._lines(text, width)
            shown = lines if complete else lines[-max(self._console.height - 5, 3) :]
            cells.append(
                Text("\n").join(shown) if shown else Text("(no answer)" if complete else "...", "dim")
            )
        table.add_row(*cells)
        return table

    def _lines(self, text: str, width: int) -> list[Text]:
        shown = Text(self._safe(text.strip("\n")).expandtabs(4))
        return list(shown.wrap(self._console, width)) if text else []

    def _safe(self, text: str) -> str:
        return encodable(visible(text), self._console.encoding)
