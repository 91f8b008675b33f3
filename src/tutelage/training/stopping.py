"""Ctrl-C and SIGTERM during a tuning: noted, so that the loop can stop where a checkpoint can be written."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

from tutelage.core.errors import Stopped, Terminated

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopper:
    """Notes the first such signal while its `with` block runs; the second one does what it did before the block.

    Only a process's main thread is told of signals, so in another thread nothing is noted. A signal that the process
    was started to ignore stays ignored.
    """

    def __init__(self) -> None:
        self._noted: int | None = None
        self._before: dict[signal.Signals, Any] = {}

    @property
    def asked(self) -> bool:
        """Whether a stop was asked for."""
        return self._noted is not None

    def stopped(self, problem: str) -> Stopped:
        """The error to stop with; its exit code is the signal's."""
        kind = Terminated if self._noted == signal.SIGTERM else Stopped
        return kind(problem, fix="start the same again: it goes on from there")

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()
        if error is None and self.asked:
            # Nobody looked any more, and what comes after the block must not begin.
            raise self.stopped("stopped: what was finished is kept")

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self._noted is not None:
            self._restore()
            signal.raise_signal(number)
        self._noted = number

    def _restore(self) -> None:
        while self._before:
            signal.signal(*self._before.popitem())
