"""Shows the progress of long commands on standard error: in place in a terminal, as plain lines otherwise."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TaskProgressColumn, TextColumn

from tutelage.cli.console import plain
from tutelage.cli.job_clock import JobClock, clock
from tutelage.job.stage_plan import StagePlan
from tutelage.training.events import (
    Event,
    ReferenceCopied,
    Resumed,
    SelfChecked,
    StartValidated,
    StepDone,
    Stopping,
    ValidationDone,
)

LINE_SECONDS = 10.0  # between two plain lines


class LiveProgress:
    """An `evaluation.progress.Listener` that shows progress to people. Use it in a `with` block."""

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
        self._stage_start = self._last_line = time.monotonic()
        self._done_before: int | None = None
        self._seconds = 0.0
        self._steps = 0
        self.job: JobClock | None = None

    def begin(self, plan: StagePlan, folder: Path) -> None:
        """Say where the run writes, and say of each of its stages which of how many it is."""
        self.job = JobClock(plan)
        self.say(f"run folder: {folder}")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def stage(self, name: str, note: str = "") -> None:
        """Begin a stage: a line, and a new bar."""
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
        self._stage = plain(name)
        self._stage_start = self._last_line = time.monotonic()
        self._done_before = None
        if self.job is not None and self.job.enter(name):
            self.say(self.job.heading())
        self.say(f"{name}{': ' + note if note else ''}")

    def advance(self, done: int, total: int) -> None:
        """Show how many questions are answered, how fast, and how long the rest will take.

        The first call of a stage says how many were answered before it; they count as done, but not for the speed.
        """
        if self.job is not None:
            self.job.advance(done, total)
        if self._done_before is None:
            self._done_before, self._stage_start = done, time.monotonic()
        new, seconds = done - self._done_before, time.monotonic() - self._stage_start
        note = (
            f"{new / seconds:.1f} a second  {clock(seconds / new * (total - done))} left"
            if new and seconds
            else ""
        )
        self._show(done, total, note, last=done == total)

    def event(self, event: Event) -> None:
        """Show a training step, or a line for another event."""
        match event:
            case StepDone():
                self._step(event)
            case StartValidated(loss):
                self.say(f"  step 0: validation loss {loss:.4f}, before training")
            case ValidationDone(step, loss, best):
                self.say(f"  step {step}: validation loss {loss:.4f}{', the best yet' if best else ''}")
            case Resumed(step, damaged, machine):
                if damaged:
                    self.say(f"  skipped damaged checkpoints: {', '.join(damaged)}")
                self.say(f"  resumes from step {step}")
                if machine:
                    self.say(
                        f"  the result may differ in its last digits from an uninterrupted one: {'; '.join(machine)}"
                    )
            case Stopping(step):
                self.say(f"  stopping: writing the checkpoint of step {step}; Ctrl-C again stops at once")
            case ReferenceCopied(size):
                self.say(f"  the base's trained weights are kept too: {size / 1e9:.2f} GB")
            case SelfChecked():
                self.say(f"  {_checked(event)}")

    def _step(self, event: StepDone) -> None:
        self._seconds += event.seconds
        self._steps += 1
        if self.job is not None:
            self.job.step(event)
        note = (
            f"loss {event.loss:.4f}  {event.tokens / event.seconds:.0f} tokens/s  "
            f"{clock(self._seconds / self._steps * (event.steps - event.step))} left  {event.memory / 1e9:.1f} GB"
        )
        self._show(event.step, event.steps, note, last=event.step == event.steps)

    def _show(self, done: int, total: int, note: str, *, last: bool) -> None:
        if self.job is not None:
            note = f"{note}  ({self.job.times()})".lstrip()
        if self.console.is_terminal:
            if self._task is None:
                self._task = self._bar.add_task("  " + self._stage, total=total, note=note)
            self._bar.update(self._task, completed=done, total=total, note=note)
        elif last or time.monotonic() - self._last_line >= LINE_SECONDS:
            self._last_line = time.monotonic()
            self.say(f"  {done}/{total}  {100 * done // max(total, 1)} %  {note}".rstrip())

    def say(self, line: str) -> None:
        """Print a line without control sequences: names of data and models may hold some."""
        self.console.print(plain(line), markup=False)


def _checked(event: SelfChecked) -> str:
    rows = f"{event.rows} rows" if event.rows > 1 else "1 row"
    form = "pack" if event.packed else "batch"
    batches = f"one {form}" if event.batches == 1 else f"{event.batches} batches"
    return (
        f"self-check: {rows} as {batches} and one by one: "
        f"loss differs by {event.loss:.0e}, gradient by {event.gradient:.0e}"
    )
