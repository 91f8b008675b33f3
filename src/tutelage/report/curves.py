"""Curves over the steps of a tuning: losses, learning rate, throughput, memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from operator import itemgetter

from tutelage.report import formatting
from tutelage.report.chart import Scale, fitted, from_zero, line, thinned
from tutelage.report.formatting import Number

Log = Sequence[Mapping[str, float]]
Points = list[tuple[float, float]]

_OBJECTIVE_TERMS = {
    "minimised": ("Whole objective", "nats a token"),
    "prompt_loss": ("Loss of prompts", "nats a token"),
    "kl": ("KL divergence from the base", "nats a token"),
    "l2": ("Squared distance from the base's weights", ""),
    "token_weight": ("Mean weight of a token's loss", ""),
}


@dataclass(frozen=True, slots=True)
class Losses:
    """Training and validation loss over the steps, in percent of the chart, with their first, last and best numbers."""

    x: Scale
    y: Scale
    train: str
    validation: str
    validation_points: tuple[tuple[float, float], ...]
    first: Number
    last: Number
    start: Number | None
    best: Number | None
    best_step: int | None
    thinned: bool


@dataclass(frozen=True, slots=True)
class Curve:
    """One quantity over the steps: title, unit, a short summary of its values, and the line."""

    title: str
    unit: str
    summary: str
    x: Scale
    y: Scale
    line: str


def losses(steps: Log) -> Losses | None:
    """Draw the losses of a training log; None if nothing was trained."""
    train, validation = (_points(steps, itemgetter(key)) for key in ("loss", "validation_loss"))
    if not train:
        return None
    drawn = [*thinned(train), *validation]
    x, y = from_zero(max(step for step, _ in drawn)), fitted([0.0, *(loss for _, loss in drawn)])
    best = min((point for point in validation if point[0] > 0), key=lambda point: point[1], default=None)
    return Losses(
        x=x,
        y=y,
        train=line(train, x, y),
        validation=line(validation, x, y),
        validation_points=tuple((x.at(step), 100 - y.at(loss)) for step, loss in thinned(validation)),
        first=formatting.loss(train[0][1]),
        last=formatting.loss(train[-1][1]),
        start=formatting.loss(validation[0][1]) if validation and validation[0][0] == 0 else None,
        best=None if best is None else formatting.loss(best[1]),
        best_step=None if best is None else int(best[0]),
        thinned=len(thinned(train)) < len(train),
    )


def others(steps: Log) -> list[Curve]:
    """Draw further terms of the objective, learning rate, throughput and memory, each if the log has it."""
    curves = [
        *(
            _curve(title, unit, _points(steps, itemgetter(key)), _ends)
            for key, (title, unit) in _OBJECTIVE_TERMS.items()
        ),
        _curve("Gradient norm", "before clipping", _points(steps, itemgetter("norm")), _gradient),
        _curve("Learning rate", "", _points(steps, itemgetter("rate")), _rates),
        _curve(
            "Throughput",
            "tokens a second",
            _points(steps, lambda step: step["tokens"] / step["seconds"]),
            _mean,
        ),
        _curve("Memory", "GB resident", _points(steps, lambda step: step["memory"] / 1e9), _peak),
    ]
    return [curve for curve in curves if curve is not None]


def _points(steps: Log, value: Callable[[Mapping[str, float]], float]) -> Points:
    points = []
    for step in steps:
        with suppress(KeyError, ZeroDivisionError):  # not every step has every quantity
            points.append((float(step["step"]), value(step)))
    return points


def _curve(title: str, unit: str, points: Points, summarize: Callable[[Points], str]) -> Curve | None:
    if not points:
        return None
    x = from_zero(max(step for step, _ in points), steps=3)
    y = fitted([0.0, *(value for _, value in thinned(points))], steps=3)
    return Curve(title, unit, summarize(points), x, y, line(points, x, y))


def _ends(points: Points) -> str:
    return f"{points[0][1]:.3g} at first, {points[-1][1]:.3g} at the end"


def _gradient(points: Points) -> str:
    step, norm = max(points, key=itemgetter(1))
    return f"at most {norm:.3g}, at step {step:.0f}; {points[-1][1]:.3g} at the end"


def _rates(points: Points) -> str:
    step, rate = max(points, key=itemgetter(1))
    return f"at most {rate:.1e}, at step {step:.0f}; {points[-1][1]:.1e} at the end"


def _mean(points: Points) -> str:
    return f"{sum(value for _, value in points) / len(points):,.0f} on the average of the steps"


def _peak(points: Points) -> str:
    return f"{max(value for _, value in points):.2f} at most"
