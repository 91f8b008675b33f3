"""diagnosis.json as a section of the page: what lost items are still known, and what came back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tutelage.comparison.wording import format_number
from tutelage.report import formatting
from tutelage.report.formatting import Text


@dataclass(frozen=True, slots=True)
class RescoredRow:
    """The lost items of a benchmark as a choice: numbers as they are shown."""

    name: str
    items: int
    left_out: int
    base: str
    tuned: str
    chance: str
    change: str


@dataclass(frozen=True, slots=True)
class RecoveryRow:
    """Points of a benchmark that were lost, came back and are still lost; `control` is "" where it was not asked for."""

    name: str
    items: int
    loss: str
    recovered: str
    remaining: str
    control: str


@dataclass(frozen=True, slots=True)
class LearnedRow:
    """One of the base's own answers that the copy learned."""

    prompt: Text
    completion: Text


@dataclass(frozen=True, slots=True)
class DiagnosisSection:
    """The section.

    Attributes:
        current: whether it is made of the results on the page; nothing else is shown if not.
        sentences: the outcome for people.
        rescored: a row for each benchmark with lost items that were answered in words.
        recovered: a row for each benchmark with a scale of 0 to 100.
        with_control: whether the base learned the rows too.
        learned: what was learned.
    """

    current: bool
    sentences: tuple[str, ...] = ()
    rescored: tuple[RescoredRow, ...] = ()
    recovered: tuple[RecoveryRow, ...] = ()
    with_control: bool = False
    learned: tuple[LearnedRow, ...] = ()


def section(diagnosis: Mapping[str, Any] | None, *, current: bool) -> DiagnosisSection | None:
    """Make the section; None for a run without a diagnosis.

    Args:
        diagnosis: the content of diagnosis.json.
        current: whether it was made of the results that the page shows.
    """
    if diagnosis is None:
        return None
    if not current:
        return DiagnosisSection(current=False)
    recovered = tuple(_recovery_row(name, each) for name, each in diagnosis["realigned"].items())
    return DiagnosisSection(
        current=True,
        sentences=tuple(diagnosis["sentences"]),
        rescored=tuple(_rescored_row(name, each) for name, each in diagnosis["rescored"].items()),
        recovered=recovered,
        with_control=any(row.control for row in recovered),
        learned=tuple(
            LearnedRow(formatting.text(row["prompt"]), formatting.text(row["completion"]))
            for row in diagnosis["rows"]
        ),
    )


def _rescored_row(name: str, rescored: Mapping[str, Any]) -> RescoredRow:
    return RescoredRow(
        formatting.plain(name),
        rescored["items"],
        rescored["left_out"],
        _share(rescored["base_first"], rescored["base_share"]),
        _share(rescored["tuned_first"], rescored["tuned_share"]),
        f"{100 * rescored['chance']:.0f} %",
        _nats(rescored["change"]),
    )


def _recovery_row(name: str, recovery: Mapping[str, Any]) -> RecoveryRow:
    return RecoveryRow(
        formatting.plain(name),
        recovery["items"],
        _points(recovery["loss"], sign=False),
        _points(recovery["recovered"], sign=True),
        _points(recovery["remaining"], sign=False),
        _points(recovery["control"], sign=True) if recovery.get("control") else "",
    )


def _share(count: int, share: Mapping[str, Any]) -> str:
    """A count with the interval of its share: `120 (63 to 77 %)`."""
    if share.get("low") is None or share.get("high") is None:
        return str(count)
    return f"{count} ({100 * share['low']:.0f} to {100 * share['high']:.0f} %)"


def _nats(change: Mapping[str, Any]) -> str:
    """A change of log-probability with its interval, with two decimals."""
    value, low, high = (change.get(end) for end in ("value", "low", "high"))
    text = f"{value:+.2f}"
    return text if low is None or high is None else f"{text} ({low:+.2f} to {high:+.2f})"


def _points(change: Mapping[str, float], *, sign: bool) -> str:
    value, low, high = (format_number(change[end], sign=sign) for end in ("value", "low", "high"))
    return f"{value} ({low} to {high})"
