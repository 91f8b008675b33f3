"""Gain and loss over the steps of a training: what samples of the tasks and of what is watched showed at some of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any

from tutelage.comparison import wording
from tutelage.comparison.task_comparison import Estimate, PairedScores, gain_in_points
from tutelage.metrics import paired_difference


@dataclass(frozen=True, slots=True)
class StepPoint:
    """One sample's score at one step.

    Attributes:
        step: optimizer steps done; 0 is the base.
        value: the primary metric; None where it has no value on these answers.
        difference: to step 0, paired, with its 95 % interval; None at step 0 and where either step has no value.
        gain: the difference toward better values, in points of 0 to 100; None also for a metric without that scale.
    """

    step: int
    value: float | None
    difference: Estimate | None = None
    gain: Estimate | None = None

    def as_json(self) -> dict[str, Any]:
        """The point as in results.json."""
        estimates = {"difference": self.difference, "gain": self.gain}
        return {
            "step": self.step,
            "value": self.value,
            **{name: each._asdict() for name, each in estimates.items() if each is not None},
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> StepPoint:
        """Read what `as_json` gave."""
        estimates = {name: Estimate(**value[name]) for name in ("difference", "gain") if name in value}
        return cls(value["step"], value["value"], **estimates)


@dataclass(frozen=True, slots=True)
class CurveLine:
    """The scores of one sample over the steps: `primary` is the metric, `n` the number of questions."""

    primary: str
    n: int
    points: tuple[StepPoint, ...]

    def with_point(self, point: StepPoint) -> CurveLine:
        """The line with one more point."""
        return replace(self, points=tuple(sorted((*self.points, point), key=attrgetter("step"))))

    def as_json(self) -> dict[str, Any]:
        """The line as in results.json."""
        return {"primary": self.primary, "n": self.n, "points": [point.as_json() for point in self.points]}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> CurveLine:
        """Read what `as_json` gave."""
        return cls(value["primary"], value["n"], tuple(map(StepPoint.from_json, value["points"])))


Lines = Mapping[str, CurveLine]


def step_point(step: int, scores: PairedScores, *, seed: int = 0) -> StepPoint:
    """Compare the answers of a step with those of step 0 by the primary metric.

    Args:
        step: the step.
        scores: of step 0 (`base`) and of this step (`tuned`).
        seed: for intervals that draw random numbers.
    """
    base, current = scores.base[scores.primary], scores.tuned[scores.primary]
    value = current.score.value
    if not math.isfinite(value):
        return StepPoint(step, None)
    if step == 0 or not math.isfinite(base.score.value):
        return StepPoint(step, value)
    difference = paired_difference(base, current, seed=seed)
    ends = Estimate(difference.value, difference.low, difference.high)
    gained = gain_in_points(scores, seed=seed)
    gain = None if gained is None else gained[0]
    return StepPoint(step, value, _if_finite(ends), None if gain is None else _if_finite(gain))


def _if_finite(estimate: Estimate) -> Estimate | None:
    return estimate if all(map(math.isfinite, estimate)) else None


def curve_sentence(tasks: Lines, watched: Lines) -> str:
    """When half of the loss was there, and how much of the gain was there by then.

    It speaks of the watched benchmark that lost most by the last step, if its interval excludes no loss; without one, of the gain.
    Gains are the mean over tasks. "" without any gain or loss in points.
    """
    losses = {name: gains for name, line in watched.items() if (gains := _gains(line))}
    certain = {name: gains for name, gains in losses.items() if _last(gains).high < 0}
    gains = _mean_gains([gains for line in tasks.values() if (gains := _gains(line))])
    if not certain:
        return _sentence_without_loss(gains, measured_loss=bool(losses))
    name = min(certain, key=lambda each: _last(certain[each]).value)
    half, loss = _half_step(certain[name]), wording.format_number(-_last(certain[name]).value)
    sentence = f"Half of the loss on {name} ({loss} points at the end) was there by step {half}"
    if half not in gains:
        return f"{sentence}."
    if _last(gains).low <= 0:
        return f"{sentence}; a gain at the end is not certain on these samples."
    return f"{sentence}, when the gain was {100 * gains[half].value / _last(gains).value:.0f} % of that at the end."


def _sentence_without_loss(gains: Mapping[int, Estimate], *, measured_loss: bool) -> str:
    parts = []
    if gains and _last(gains).low > 0:
        points = wording.format_number(_last(gains).value)
        parts.append(f"half of the gain ({points} points at the end) was there by step {_half_step(gains)}")
    elif gains:
        parts.append("a gain at the end is not certain on these samples")
    if measured_loss:
        parts.append("no loss at the end is certain on these samples")
    sentence = "; ".join(parts)
    return f"{sentence[:1].upper()}{sentence[1:]}." if sentence else ""


def _gains(line: CurveLine) -> dict[int, Estimate]:
    """The gain at each step that has one, if the last one has; else nothing."""
    if not line.points or line.points[-1].gain is None:
        return {}
    return {point.step: point.gain for point in line.points if point.gain is not None}


def _last(gains: Mapping[int, Estimate]) -> Estimate:
    return gains[max(gains)]


def _half_step(gains: Mapping[int, Estimate]) -> int:
    """The first step at which half of the last step's change, or more, was there."""
    return min(step for step, gain in gains.items() if gain.value / _last(gains).value >= 0.5)


def _mean_gains(lines: Sequence[Mapping[int, Estimate]]) -> dict[int, Estimate]:
    """By step the mean gain of the tasks, whose samples are independent; steps at which one of them has none are left out."""
    means = {}
    for step in set.intersection(*map(set, lines)) if lines else ():
        gains = [line[step] for line in lines]
        mean = sum(gain.value for gain in gains) / len(gains)
        down, up = (
            math.hypot(*(gain.value - getattr(gain, end) for gain in gains)) / len(gains)
            for end in ("low", "high")
        )
        means[step] = Estimate(mean, mean - down, mean + up)
    return means
