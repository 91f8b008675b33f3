"""The time that chat templates read: the instant of the first start of a run or an evaluation, stored in its folder.

Without it, a template that writes the date would give other prompts for the same rows on another day. The file is written only
if a template has read the clock; nothing else in a folder depends on the time.
"""

from __future__ import annotations

from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from tutelage.core import files, hashing, regular
from tutelage.core.clock import Clock, Instant
from tutelage.core.errors import InputError, MachineError
from tutelage.results.run_folder import RunFolder

NAME = RunFolder(Path()).instant.name
"""The file of a folder that holds the instant, as ISO 8601 with its time zone."""


def clock_for(folder: Path, *, first: Instant | None = None, day: date | None = None) -> Clock:
    """The clock of the run or evaluation in a folder.

    Args:
        folder: the folder; it need not exist.
        first: the time of the clock if the folder stores no instant; now by default.
        day: the recipe's date; the clock then shows its midnight, whatever the folder stores.

    Raises:
        InputError: the folder's file holds no instant.
    """
    if day is not None:
        return Clock(Instant(datetime.combine(day, time()).astimezone()))
    return Clock(read_instant(folder) or first or Instant.now())


def read_instant(folder: Path) -> Instant | None:
    """Read the instant that a folder stores; None when it stores none.

    Raises:
        InputError: the file holds no instant.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    text = regular.read_regular(path, subject="the instant of the first start", fix="restore the file")
    try:
        return Instant.parse(text.decode("ascii").strip())
    except ValueError:
        raise InputError(
            "the file holds no instant",
            where=str(path),
            found=repr(text[:60].decode("ascii", "replace")),
            expected="the moment of the first start, such as 2026-01-31T09:30:00+00:00",
            fix="restore the file (data/card.json or evaluation.json names the instant), or name another folder with --out",
        ) from None


def keep_instant(folder: Path, clock: Clock) -> None:
    """Store the clock's instant in a folder that this process has locked: now if it was read, else when it is first read.

    Raises:
        MachineError: the folder stores another instant, because another process was first.
    """
    earlier = read_instant(folder)
    if earlier is not None and earlier != clock.instant:
        raise MachineError(
            "another process started in this folder meanwhile",
            where=str(folder),
            found=f"templates read {earlier} there and {clock.instant} here",
            fix="run the same command again: it goes on with the instant of the first start",
        )

    def write() -> None:
        if not (folder / NAME).exists():
            files.write_text(folder / NAME, f"{clock.instant}\n")

    if clock.reads:
        write()
    clock.on_read = write


def card_entry(clock: Clock) -> dict[str, Any]:
    """The clock's entry in data card and provenance; empty when no template has read it."""
    return {"template_clock": clock.as_json()} if clock.reads else {}


def with_instant(fingerprint: str, clock: Clock) -> str:
    """A model's fingerprint; where its template reads the clock, combined with the instant at which it is asked."""
    return hashing.of_json([fingerprint, str(clock.instant)]) if clock.reads else fingerprint
