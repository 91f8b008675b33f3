"""`--live`: writes the page of a run every few seconds while it is at work, as the progress of its stages comes in."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tutelage.cli.live import LiveProgress
from tutelage.core.errors import TutelageError
from tutelage.report import live_page
from tutelage.results.run_folder import RunFolder
from tutelage.training.events import Event

PAGE_SECONDS = 4.0
"""At least so long between two pages."""
SHARE = 0.05
"""At most this share of a run's time goes into its pages: a long one is written less often."""


class LivePage:
    """A listener that passes everything on, and writes the page of the run between two events.

    It reads what the run has written and touches nothing else: a run that is watched gives the same weights and answers.

    Args:
        shown: takes the events; it knows the stage and the times.
        folder: the run's folder.
    """

    def __init__(self, shown: LiveProgress, folder: Path) -> None:
        self._shown, self._folder = shown, folder
        self._next = 0.0
        self._is_on = True

    def stage(self, name: str, note: str = "") -> None:
        """Pass a stage on."""
        self._shown.stage(name, note)

    def advance(self, done: int, total: int) -> None:
        """Pass progress on, and write the page where it is time."""
        self._shown.advance(done, total)
        self._write_in_time()

    def event(self, event: Event) -> None:
        """Pass an event of the training on, and write the page where it is time."""
        self._shown.event(event)
        self._write_in_time()

    def close(self) -> None:
        """Write the page of a run that stopped before its end once more, without reloading."""
        if self._next and self._is_on:
            self._write(reload=None)

    def _write_in_time(self) -> None:
        start = time.monotonic()
        if not self._is_on or start < self._next or not RunFolder(self._folder).store.is_file():
            return
        self._write(reload=PAGE_SECONDS)  # the first page is said before `_next` is set
        now = time.monotonic()
        self._next = now + max(PAGE_SECONDS, (now - start) / SHARE)

    def _write(self, *, reload: float | None) -> None:
        job = self._shown.job
        status = None if job is None or reload is None else job.heading()
        try:
            path = live_page.write(self._folder, status=status, reload=reload)
        except TutelageError as error:
            self._is_on = False
            self._shown.say(f"  the live page is not written any more: {error.problem}")
            return
        if not self._next:
            self._shown.say(f"  live page: {path.absolute()}")


@contextmanager
def watched(progress: LiveProgress, folder: Path) -> Iterator[LivePage]:
    """Write the live page of a run while the block runs; of one that stops before its end it says so at last."""
    page = LivePage(progress, folder)
    try:
        yield page
    except BaseException:
        page.close()
        raise
