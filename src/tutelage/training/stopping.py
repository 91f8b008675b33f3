"""Ctrl-C and SIGTERM during a tuning: the loop stops where a checkpoint can be written."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

from tutelage.core.errors import Stopped, Terminated

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopper:
    """Records the first such signal inside its `with` block; the second one has the effect that it has outside the block.

    Signals reach the main thread only, so in another thread nothing is recorded. A signal that the process ignores stays
    ignored.
    """

    def __init__(self) -> None:
        self._signal: int | None = None
        self._handlers: dict[signal.Signals, Any] = {}

    @property
    def requested(self) -> bool:
        """Whether a stop was requested."""
        return self._signal is not None

    def stopped(self, problem: str) -> Stopped:
        """The error to stop with, which has the signal's exit code."""
        kind = Terminated if self._signal == signal.SIGTERM else Stopped
        return kind(problem, fix="start the same again: it resumes from there")

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._handlers[number] = signal.signal(number, self._record)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()
        if error is None and self.requested:
            # The loop had ended already, and what comes after the block must not begin.
            raise self.stopped("stopped: what was finished is kept")

    def _record(self, number: int, _frame: FrameType | None) -> None:
        if self._signal is not None:
            self._restore()
            signal.raise_signal(number)
        self._signal = number

    def _restore(self) -> None:
        while self._handlers:
            signal.signal(*self._handlers.popitem())
