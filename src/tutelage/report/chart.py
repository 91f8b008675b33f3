"""The geometry of charts, in percent of their width and height, so that they fit any screen without being scaled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

MAX_POINTS = 300


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis: values from `low` to `high` are 0 to 100 percent; ticks are (percent, label)."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]

    def at(self, value: float) -> float:
        """The position of a value in percent; values outside the scale are put on its edge."""
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return round(100 * min(1.0, max(0.0, share)), 3)


HUNDRED = Scale(0.0, 100.0, tuple((float(tick), str(tick)) for tick in (0, 25, 50, 75, 100)))


def fitted(values: Sequence[float], *, steps: int = 4) -> Scale:
    """Make a scale with round ticks that covers all values."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if high <= low:
        low, high = low - 0.5, high + 0.5
    width = _round_up((high - low) / steps)
    low, high = math.floor(low / width + 1e-9) * width, math.ceil(high / width - 1e-9) * width
    decimals = max(0, -math.floor(math.log10(width) + 1e-9))
    marks = [low + n * width for n in range(round((high - low) / width) + 1)]
    return _scale(low, high, marks, decimals)


def from_zero(high: float, *, steps: int = 6) -> Scale:
    """Make a scale from 0 to exactly `high`, with round ticks."""
    if high <= 0:
        return fitted([0.0])
    width = _round_up(high / steps)
    marks = [n * width for n in range(math.floor(high / width + 1e-9) + 1)]
    return _scale(0.0, high, marks, decimals=0)


def _scale(low: float, high: float, marks: Sequence[float], decimals: int) -> Scale:
    bare = Scale(low, high, ())
    return Scale(low, high, tuple((bare.at(mark), f"{mark:.{decimals}f}") for mark in marks))


def line(points: Sequence[tuple[float, float]], x: Scale, y: Scale) -> str:
    """The points of an SVG polyline, in percent with y downwards. Long lines are thinned."""
    return " ".join(f"{x.at(at):g},{100 - y.at(value):g}" for at, value in thinned(points))


def thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Reduce a line to at most 300 points: the means of equal stretches."""
    if len(points) <= MAX_POINTS:
        return list(points)
    means = []
    for n in range(MAX_POINTS):
        stretch = points[n * len(points) // MAX_POINTS : (n + 1) * len(points) // MAX_POINTS]
        means.append((sum(x for x, _ in stretch) / len(stretch), sum(y for _, y in stretch) / len(stretch)))
    return means


@dataclass(frozen=True, slots=True)
class HistogramBars:
    """The bars of a histogram in percent of the chart: (left, width, height) of each, and ticks as (percent, label)."""

    bars: tuple[tuple[float, float, float], ...]
    ticks: tuple[tuple[float, str], ...]


def bars(start: int, width: int, counts: Sequence[int]) -> HistogramBars:
    """Make the bars of a histogram whose bar i counts the values from `start + i * width` up to the next bar."""
    highest, step = max(counts, default=0) or 1, 100 / max(1, len(counts))
    end = start + width * len(counts)
    marks = sorted({0, len(counts) // 2, len(counts)})
    return HistogramBars(
        tuple(
            (round(i * step, 3), round(step, 3), round(100 * n / highest, 3)) for i, n in enumerate(counts)
        ),
        tuple((round(i * step, 3), f"{min(end, start + i * width):,}") for i in marks),
    )


def _round_up(width: float) -> float:
    """Round up to 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(width))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= width * (1 - 1e-9))
