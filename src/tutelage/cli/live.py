"""The progress of long commands: in place on a terminal, plain lines when piped; always on standard error."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from tutelage.training.events import Event, Resumed, Step, Validation

EVERY = 10.0  # seconds between two plain lines


class Live:
    """A `recipe.progress.Listener` for people. Use it in a `with` block."""

    def __init__(self, *, console: Console | None = None) -> None:
        self.console = console or Console(file=sys.stderr, highlight=False, soft_wrap=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self._task: TaskID | None = None
        self._stage = ""
        self._began = self._told = time.monotonic()
        self._trained = 0.0
        self._steps = 0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def stage(self, name: str, note: str = "") -> None:
        """A line for the stage, and a fresh bar."""
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
        self._stage = name
        self._began = self._told = time.monotonic()
        self.console.print(f"{name}{': ' + note if note else ''}", markup=False)

    def advance(self, done: int, total: int) -> None:
        """How many questions are answered, and how long the rest will take."""
        spent = time.monotonic() - self._began
        left = f"{clock(spent / done * (total - done))} left" if done else ""
        self._show(done, total, left, last=done == total)

    def event(self, event: Event) -> None:
        """A training step, a validation, or a resumption."""
        match event:
            case Step():
                self._step(event)
            case Validation(step, loss, best):
                self.console.print(
                    f"  step {step}: validation loss {loss:.4f}{', the best yet' if best else ''}",
                    markup=False,
                )
            case Resumed(step, passed_over):
                if passed_over:
                    self.console.print(f"  damaged and passed over: {', '.join(passed_over)}", markup=False)
                self.console.print(f"  goes on from step {step}", markup=False)

    def _step(self, event: Step) -> None:
        self._trained += event.seconds
        self._steps += 1
        left = self._trained / self._steps * (event.steps - event.step)
        note = (
            f"loss {event.loss:.4f}  {event.tokens / event.seconds:.0f} tokens/s  "
            f"{clock(left)} left  {event.memory / 1e9:.1f} GB"
        )
        self._show(event.step, event.steps, note, last=event.step == event.steps)

    def _show(self, done: int, total: int, note: str, *, last: bool) -> None:
        if self.console.is_terminal:
            if self._task is None:
                self._task = self._bar.add_task("  " + self._stage, total=total, note=note)
            self._bar.update(self._task, completed=done, total=total, note=note)
        elif last or time.monotonic() - self._told >= EVERY:
            self._told = time.monotonic()
            self.console.print(f"  {done}/{total}  {note}".rstrip(), markup=False)


def clock(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss."""
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
