"""Geometry of the charts, in percent of their width and height, so that they fit any screen without being scaled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

MOST_POINTS = 300


@dataclass(frozen=True, slots=True)
class Scale:
    """Values from `low` to `high` as 0 to 100 percent, with ticks as (percent, label)."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]

    def at(self, value: float) -> float:
        """Where a value stands, in percent; what lies outside stands at the edge."""
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return round(100 * min(1.0, max(0.0, share)), 3)


HUNDRED = Scale(0.0, 100.0, tuple((float(tick), str(tick)) for tick in (0, 25, 50, 75, 100)))


def fitted(values: Sequence[float], *, steps: int = 4) -> Scale:
    """A scale with round ticks that holds all values."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if high <= low:
        low, high = low - 0.5, high + 0.5
    width = _round_up((high - low) / steps)
    low, high = math.floor(low / width + 1e-9) * width, math.ceil(high / width - 1e-9) * width
    decimals = max(0, -math.floor(math.log10(width) + 1e-9))
    marks = [low + n * width for n in range(round((high - low) / width) + 1)]
    bare = Scale(low, high, ())
    return Scale(low, high, tuple((bare.at(mark), f"{mark:.{decimals}f}") for mark in marks))


def from_zero(high: float, *, steps: int = 6) -> Scale:
    """A scale from 0 to exactly `high`, with round ticks below it."""
    if high <= 0:
        return fitted([0.0])
    width = _round_up(high / steps)
    bare = Scale(0.0, high, ())
    marks = [n * width for n in range(math.floor(high / width + 1e-9) + 1)]
    return Scale(0.0, high, tuple((bare.at(mark), f"{mark:.0f}") for mark in marks))


def line(points: Sequence[tuple[float, float]], x: Scale, y: Scale) -> str:
    """A polyline's points in percent, y downwards. Long lines are drawn as the means of equal stretches."""
    return " ".join(f"{x.at(a):g},{100 - y.at(b):g}" for a, b in thinned(points))


def thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most 300 points: the means of equal stretches of a longer line."""
    if len(points) <= MOST_POINTS:
        return list(points)
    found = []
    for n in range(MOST_POINTS):
        part = points[n * len(points) // MOST_POINTS : (n + 1) * len(points) // MOST_POINTS]
        found.append((sum(a for a, _ in part) / len(part), sum(b for _, b in part) / len(part)))
    return found


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars in percent of the chart: (left, width, height) of each, and ticks below as (percent, label)."""

    bars: tuple[tuple[float, float, float], ...]
    ticks: tuple[tuple[float, str], ...]


def bars(start: int, width: int, counts: Sequence[int]) -> Bars:
    """A histogram whose bar i counts `start + i * width` and up to the next."""
    highest, step = max(counts, default=0) or 1, 100 / max(1, len(counts))
    end = start + width * len(counts)
    marks = sorted({0, len(counts) // 2, len(counts)})
    return Bars(
        tuple(
            (round(i * step, 3), round(step, 3), round(100 * n / highest, 3)) for i, n in enumerate(counts)
        ),
        tuple((round(i * step, 3), f"{min(end, start + i * width):,}") for i in marks),
    )


def _round_up(width: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(width))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= width * (1 - 1e-9))
