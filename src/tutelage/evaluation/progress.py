"""What a run tells while it goes: one listener, which the command line shows and tests record."""

from __future__ import annotations

from typing import Protocol

from tutelage.training.events import Event


class Listener(Protocol):
    """Told what happens."""

    def stage(self, name: str, note: str = "") -> None:
        """A stage begins (or is found done, which `note` says)."""

    def advance(self, done: int, total: int) -> None:
        """`done` of `total` questions of the stage are answered."""

    def event(self, event: Event) -> None:
        """Something happened in the training loop."""


class Silent:
    """Listens to nothing."""

    def stage(self, name: str, note: str = "") -> None:
        """Nothing."""

    def advance(self, done: int, total: int) -> None:
        """Nothing."""

    def event(self, event: Event) -> None:
        """Nothing."""
