"""The progress of long commands: in place on a terminal, plain lines when piped; always on standard error."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TaskProgressColumn, TextColumn

from tutelage.cli.console import plain
from tutelage.training.events import BaseKept, Event, Resumed, SelfChecked, Step, Stopping, Validation

EVERY = 10.0  # seconds between two plain lines


class Live:
    """A `recipe.progress.Listener` for people. Use it in a `with` block."""

    def __init__(self, *, console: Console | None = None) -> None:
        self.console = console or Console(file=sys.stderr, highlight=False, soft_wrap=True)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=28),
            TaskProgressColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self._task: TaskID | None = None
        self._stage = ""
        self._began = self._told = time.monotonic()
        self._already: int | None = None
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
        self._stage = plain(name)
        self._began = self._told = time.monotonic()
        self._already = None
        self._say(f"{name}{': ' + note if note else ''}")

    def advance(self, done: int, total: int) -> None:
        """How many questions are answered, how fast, and how long the rest will take.

        The first call of a stage says how many were answered before it; they count as done, not as fast.
        """
        if self._already is None:
            self._already, self._began = done, time.monotonic()
        fresh, spent = done - self._already, time.monotonic() - self._began
        left = (
            f"{fresh / spent:.1f} a second  {clock(spent / fresh * (total - done))} left"
            if fresh and spent
            else ""
        )
        self._show(done, total, left, last=done == total)

    def event(self, event: Event) -> None:
        """A training step, or a line for what comes before and between them."""
        match event:
            case Step():
                self._step(event)
            case Validation(step, loss, best):
                self._say(f"  step {step}: validation loss {loss:.4f}{', the best yet' if best else ''}")
            case Resumed(step, passed_over, machine):
                if passed_over:
                    self._say(f"  damaged and passed over: {', '.join(passed_over)}")
                self._say(f"  goes on from step {step}")
                if machine:
                    told = "; ".join(machine)
                    self._say(
                        f"  the result may differ in its last digits from one that was not stopped: {told}"
                    )
            case Stopping(step):
                self._say(f"  stopping: writing the checkpoint of step {step}; Ctrl-C again stops at once")
            case BaseKept(size):
                self._say(f"  the base's trained weights are kept too: {size / 1e9:.2f} GB")
            case SelfChecked():
                self._say(f"  {_checked(event)}")

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
            self._say(f"  {done}/{total}  {100 * done // max(total, 1)} %  {note}".rstrip())

    def _say(self, line: str) -> None:
        """A line without what a terminal might obey: names of data and models stand in it."""
        self.console.print(plain(line), markup=False)


def _checked(event: SelfChecked) -> str:
    rows = f"{event.rows} rows" if event.rows > 1 else "1 row"
    form = "pack" if event.packed else "batch"
    together = f"one {form}" if event.batches == 1 else f"{event.batches} batches"
    return (
        f"self-check: {rows} as {together} and one by one: "
        f"loss differs by {event.loss:.0e}, gradient by {event.gradient:.0e}"
    )


def clock(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss."""
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
