"""Progress of a run or an evaluation: a listener, which the command line shows and tests record."""

from __future__ import annotations

from typing import Protocol

from tutelage.training.events import Event


class Listener(Protocol):
    """Receives the progress of a run or an evaluation."""

    def stage(self, name: str, note: str = "") -> None:
        """A stage begins, or `note` says something about it."""

    def advance(self, done: int, total: int) -> None:
        """`done` of `total` requests of the stage are answered."""

    def event(self, event: Event) -> None:
        """Something happened in the training loop."""


class SilentListener:
    """A listener that does nothing."""

    def stage(self, name: str, note: str = "") -> None:
        """Do nothing."""

    def advance(self, done: int, total: int) -> None:
        """Do nothing."""

    def event(self, event: Event) -> None:
        """Do nothing."""
