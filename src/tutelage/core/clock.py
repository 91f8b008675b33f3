"""The clock that templates read: it is fixed once, and records what was read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

MOST_FORMATS = 32
"""Formats that a clock notes; a template that reads more is taken to depend on the instant itself."""
EVERYTHING = "*"
"""Stands for a format where more were read than are noted."""
_EPOCH = re.compile(r"%%|%[-_0^#]*s")
"""A percent sign, or seconds since 1970, which the C library takes from the machine's time zone and not from the value."""


def now() -> datetime:
    """The time by this machine's clock and time zone; tests put another one in its place."""
    return datetime.now().astimezone()


@dataclass(frozen=True, slots=True)
class Instant:
    """A moment with its time zone, as templates see it.

    Attributes:
        moment: an aware datetime.
    """

    moment: datetime

    @classmethod
    def now(cls) -> Instant:
        """This moment."""
        return cls(now())

    @classmethod
    def parse(cls, text: str) -> Instant:
        """An instant from what `str` writes. Raises ValueError when the text is none."""
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError(f"no time zone: {text!r}")
        return cls(moment)

    def __str__(self) -> str:
        return self.moment.isoformat()

    def strftime(self, form: str) -> str:
        """The instant in its own time zone, as `datetime.now().strftime(form)` gives it at that moment and place."""
        if not isinstance(form, str):
            raise TypeError(f"strftime() argument must be str, not {type(form).__name__}")
        epoch = str(int(self.moment.timestamp()))
        plain = _EPOCH.sub(lambda match: match.group() if match.group() == "%%" else epoch, form)
        return self.moment.replace(tzinfo=None).strftime(plain)


class Clock:
    """An instant, and what templates have read of it.

    Args:
        instant: what the clock shows; None for the moment at which it is first read.
    """

    def __init__(self, instant: Instant | None = None) -> None:
        self._instant = instant
        self._reads: dict[str, str] = {}
        self.on_read: Callable[[], None] | None = None
        """Called when something new was read, before the text that contains it is used."""

    @property
    def instant(self) -> Instant:
        """What the clock shows; it never changes."""
        if self._instant is None:
            self._instant = Instant.now()
        return self._instant

    @property
    def reads(self) -> Mapping[str, str]:
        """Each format that was read with the text it gave; the instant itself where they were too many to note."""
        return {EVERYTHING: str(self.instant)} if len(self._reads) > MOST_FORMATS else dict(self._reads)

    def note(self, reads: Mapping[str, str]) -> None:
        """Note what a rendering read: texts by format."""
        if not reads.items() <= self._reads.items():
            self._reads.update(reads)
            if self.on_read is not None:
                self.on_read()

    def as_json(self) -> dict[str, object]:
        """The instant and what was read of it, for cards and provenance."""
        return {"instant": str(self.instant), "read": dict(self.reads)}
