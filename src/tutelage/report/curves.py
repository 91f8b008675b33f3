"""Curves over the steps of tuning: losses, learning rate, throughput, memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter

from tutelage.report import formatting
from tutelage.report.chart import Scale, fitted, from_zero, line, thinned
from tutelage.report.formatting import Number

Log = Sequence[Mapping[str, float]]
Points = list[tuple[float, float]]

_PARTS = {
    "minimised": ("All that is minimised", "nats a token"),
    "prompt_loss": ("Loss of prompts", "nats a token"),
    "kl": ("KL divergence from the base", "nats a token"),
    "l2": ("Squared distance from the base's weights", ""),
}


@dataclass(frozen=True, slots=True)
class Losses:
    """Both losses over the steps, in percent of the chart, and their first, last and best numbers."""

    x: Scale
    y: Scale
    train: str
    validation: str
    validation_points: tuple[tuple[float, float], ...]
    first: Number
    last: Number
    best: Number | None
    best_step: int | None
    thinned: bool


@dataclass(frozen=True, slots=True)
class Curve:
    """One quantity over the steps: its title, what it is measured in, a sentence of its extent, and the line."""

    title: str
    unit: str
    said: str
    x: Scale
    y: Scale
    line: str


def losses(steps: Log) -> Losses | None:
    """The curve of a training log, None when nothing was trained."""
    train = [(float(step["step"]), step["loss"]) for step in steps if "loss" in step]
    held_out = [(float(step["step"]), step["validation_loss"]) for step in steps if "validation_loss" in step]
    if not train:
        return None
    drawn = [*thinned(train), *held_out]
    x, y = from_zero(max(a for a, _ in drawn)), fitted([0.0, *(b for _, b in drawn)])
    best = min(held_out, key=lambda point: point[1], default=None)
    return Losses(
        x=x,
        y=y,
        train=line(train, x, y),
        validation=line(held_out, x, y),
        validation_points=tuple((x.at(a), 100 - y.at(b)) for a, b in thinned(held_out)),
        first=formatting.loss(train[0][1]),
        last=formatting.loss(train[-1][1]),
        best=None if best is None else formatting.loss(best[1]),
        best_step=None if best is None else int(best[0]),
        thinned=len(thinned(train)) < len(train),
    )


def others(steps: Log) -> list[Curve]:
    """What is minimised beside the loss of completions, rate, throughput and memory, each where the log has it."""
    found = [
        *(
            _curve(title, unit, _points(steps, itemgetter(key)), _ends)
            for key, (title, unit) in _PARTS.items()
        ),
        _curve("Learning rate", "", _points(steps, lambda s: s["rate"]), _rates),
        _curve("Throughput", "tokens a second", _points(steps, lambda s: s["tokens"] / s["seconds"]), _mean),
        _curve("Memory", "GB resident", _points(steps, lambda s: s["memory"] / 1e9), _peak),
    ]
    return [curve for curve in found if curve is not None]


def _points(steps: Log, value: Callable[[Mapping[str, float]], float]) -> Points:
    found = []
    for step in steps:
        try:
            found.append((float(step["step"]), value(step)))
        except (KeyError, ZeroDivisionError):
            continue
    return found


def _curve(title: str, unit: str, points: Points, say: Callable[[Points], str]) -> Curve | None:
    if not points:
        return None
    x = from_zero(max(a for a, _ in points), steps=3)
    y = fitted([0.0, *(b for _, b in thinned(points))], steps=3)
    return Curve(title, unit, say(points), x, y, line(points, x, y))


def _ends(points: Points) -> str:
    return f"{points[0][1]:.3g} at first, {points[-1][1]:.3g} at the end"


def _rates(points: Points) -> str:
    highest = max(points, key=lambda point: point[1])
    return f"at most {highest[1]:.1e}, at step {highest[0]:.0f}; {points[-1][1]:.1e} at the end"


def _mean(points: Points) -> str:
    return f"{sum(b for _, b in points) / len(points):,.0f} on the average of the steps"


def _peak(points: Points) -> str:
    return f"{max(b for _, b in points):.2f} at most"
