"""An answer that is being generated."""

from __future__ import annotations

from dataclasses import dataclass, field

from tutelage.core.types import Request


@dataclass(slots=True)
class Generation:
    """A generation in progress; `finish` is `stop` or `length` once it has ended."""

    request: Request
    ids: list[int] = field(default_factory=list)
    finish: str = ""
