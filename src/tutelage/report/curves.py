"""The loss curve: what training and validation rows cost the model as it learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tutelage.report import shown
from tutelage.report.chart import Scale, fitted, from_zero, line, thinned
from tutelage.report.shown import Number


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


def losses(steps: Sequence[Mapping[str, float]]) -> Losses | None:
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
        first=shown.loss(train[0][1]),
        last=shown.loss(train[-1][1]),
        best=None if best is None else shown.loss(best[1]),
        best_step=None if best is None else int(best[0]),
        thinned=len(thinned(train)) < len(train),
    )
