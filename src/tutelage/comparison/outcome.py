"""What was measured with two models on the same items, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tutelage.comparison import wording
from tutelage.comparison.budgets import exceeds, undetected_loss
from tutelage.core.errors import InputError
from tutelage.metrics import holm, paired_difference
from tutelage.metrics.score import ScoreDifference, ItemScores, Score

ALPHA = 0.05
DEFAULT_BUDGET = 5.0


@dataclass(frozen=True, slots=True)
class PairedScores:
    """One task or benchmark scored with two models on the same rows.

    Attributes:
        primary: the metric that decides.
        base, tuned: every metric's score for the first and the second model.
        parts: the same for each part (a subject, a kind of question).
    """

    primary: str
    base: Mapping[str, ItemScores]
    tuned: Mapping[str, ItemScores]
    parts: Mapping[str, PairedScores] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A task or benchmark compared: scores of both models and their paired differences, by metric.

    `newly` counts the items that only the second model, and only the first one, has right; None where the primary metric does
    not say right or wrong of an item.
    """

    name: str
    primary: str
    higher_is_better: bool
    base: Mapping[str, Score]
    tuned: Mapping[str, Score]
    difference: Mapping[str, ScoreDifference]
    parts: Mapping[str, Outcome] = field(default_factory=dict)
    newly: tuple[int, int] | None = None

    @property
    def main(self) -> ScoreDifference:
        """The primary metric's difference."""
        return self.difference[self.primary]

    @property
    def significant(self) -> bool:
        """Whether chance is excluded within the family that the outcome was compared in."""
        return self.main.p_adjusted is not None and self.main.p_adjusted < ALPHA

    @property
    def rose(self) -> bool:
        """Better, and not by chance."""
        return self.significant and self._toward_better(self.main.value) > 0

    @property
    def fell(self) -> bool:
        """Worse, and not by chance."""
        return self.significant and self._toward_better(self.main.value) < 0

    @property
    def loss_points(self) -> float | None:
        """How much was lost, in points of 0 to 100 (negative: gained); None when the metric has no such scale."""
        return self._as_points(-self._toward_better(self.main.value))

    @property
    def worst_loss_points(self) -> float | None:
        """The largest loss that the 95 % interval leaves possible, in points."""
        return self._as_points(max(-self._toward_better(self.main.low), -self._toward_better(self.main.high)))

    def excludes(self, budget: float) -> bool:
        """Whether a loss above the budget is excluded: by the interval, and by enough items."""
        worst = self.worst_loss_points
        return worst is not None and not exceeds(worst, budget) and not self.too_few(budget)

    def too_few(self, budget: float) -> bool:
        """Whether so few items cannot exclude a loss above the budget, whatever they show."""
        loss = self.loss_points
        independent = self.main.n if self.main.units is None else self.main.units
        return loss is None or exceeds(undetected_loss(independent, -loss), budget)

    def as_json(self) -> dict[str, Any]:
        """The outcome as results.json holds it."""
        return {
            "primary": self.primary,
            "base": {metric: score.as_json() for metric, score in self.base.items()},
            "tuned": {metric: score.as_json() for metric, score in self.tuned.items()},
            "difference": {metric: difference.as_json() for metric, difference in self.difference.items()},
            "parts": {name: part.as_json() for name, part in self.parts.items()},
            **(
                {"newly_right": self.newly[0], "newly_wrong": self.newly[1]} if self.newly is not None else {}
            ),
        }

    def _toward_better(self, value: float) -> float:
        return value if self.higher_is_better else -value

    def _as_points(self, value: float) -> float | None:
        points = wording.metric_wording(self.primary).points
        return None if points is None else value * points


def outcome(name: str, measured: PairedScores, *, seed: int) -> Outcome:
    """Pair every metric of one task or benchmark, parts included.

    A metric that counts none of the items (n is 0) was not measured and is left out, and so is a part whose primary
    metric counts none of its items.

    Raises:
        InputError: the two sides were not scored alike, or the primary metric counts no item.
    """
    base, tuned = _counted(measured.base), _counted(measured.tuned)
    if set(base) != set(tuned) or measured.primary not in base:
        raise InputError(
            "the two models were not scored alike, or the primary metric counts no item",
            where=name,
            found=f"{', '.join(base)} against {', '.join(tuned)}; primary {measured.primary}",
            expected="the same metrics on both sides, the primary one among them",
            fix="score both again with the same recipe",
        )
    return Outcome(
        name=name,
        primary=measured.primary,
        higher_is_better=base[measured.primary].higher_is_better,
        base={metric: scored.score for metric, scored in base.items()},
        tuned={metric: tuned[metric].score for metric in base},
        difference={
            metric: paired_difference(scored, tuned[metric], seed=seed) for metric, scored in base.items()
        },
        parts={
            part: outcome(f"{name}: {part}", inner, seed=seed)
            for part, inner in measured.parts.items()
            if inner.primary in _counted(inner.base) or inner.primary in _counted(inner.tuned)
        },
        newly=_newly(base[measured.primary], tuned[measured.primary]),
    )


def _newly(base: ItemScores, tuned: ItemScores) -> tuple[int, int] | None:
    """How many items turned right, and how many wrong; None where a value is neither 0 nor 1."""
    before, after = base.items, tuned.items
    if not all(((side == 0) | (side == 1)).all() for side in (before, after)):
        return None
    return int((after > before).sum()), int((after < before).sum())


def _counted(scored: Mapping[str, ItemScores]) -> dict[str, ItemScores]:
    return {metric: value for metric, value in scored.items() if value.score.n > 0}


def adjusted(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """The outcomes with `p_adjusted`: Holm over their primary metrics as one family, and over all their parts as another.

    Metrics beside the primary one are not tested and keep no adjusted p.
    """
    implementation = list(outcomes)
    inner = iter(_holm([part for one in implementation for part in one.parts.values()]))
    with_parts = [replace(one, parts={name: next(inner) for name in one.parts}) for one in implementation]
    return _holm(with_parts)


def _holm(implementation: list[Outcome]) -> list[Outcome]:
    if not implementation:
        return []
    found = holm([one.main.p for one in implementation])
    return [
        replace(one, difference={**one.difference, one.primary: replace(one.main, p_adjusted=p)})
        for one, p in zip(implementation, found, strict=True)
    ]
