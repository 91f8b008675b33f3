"""One task or benchmark scored with two models, and their paired differences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from tutelage.comparison import wording
from tutelage.comparison.budgets import exceeds, undetected_loss
from tutelage.comparison.reach import ReachWord
from tutelage.core.errors import InputError
from tutelage.metrics import ItemScores, Score, ScoreDifference, holm, paired_difference
from tutelage.metrics.answer_log_probability import AnswerLogProbabilities, NatsLoss

ALPHA = 0.05
DEFAULT_BUDGET = 5.0


class CutAnswers(NamedTuple):
    """How many answers of the first and of the second model ended at the limit of tokens, of how many; false where none did."""

    base: int = 0
    tuned: int = 0
    of: int = 0

    def __bool__(self) -> bool:
        return self.base > 0 or self.tuned > 0


NONE_CUT = CutAnswers()


@dataclass(frozen=True, slots=True)
class PairedScores:
    """One task or benchmark scored with two models on the same rows.

    Attributes:
        primary: the metric that decides.
        base, tuned: every metric's scores of the first and the second model.
        parts: the same for each part (a subject, a kind of question).
        answer_log_probabilities: both models' log-probabilities of the right answers, on the same items; None where answers have none.
        cut: the answers that ended at the limit of tokens.
    """

    primary: str
    base: Mapping[str, ItemScores]
    tuned: Mapping[str, ItemScores]
    parts: Mapping[str, PairedScores] = field(default_factory=dict)
    answer_log_probabilities: tuple[AnswerLogProbabilities, AnswerLogProbabilities] | None = None
    cut: CutAnswers = NONE_CUT


class Estimate(NamedTuple):
    """A value with both ends of its 95 % interval."""

    value: float
    low: float
    high: float


def gain(metric: str, base: Estimate, tuned: Estimate, difference: Estimate) -> Estimate | None:
    """The change of a metric toward better values, negative where they got worse; None without a direction.

    Toward a target it is how much nearer the value came. While both values lie on one side of the target that is the
    difference or its negative. On two sides the difference says nothing about nearness, so the interval reaches from the
    worst to the best that the two scores' own intervals allow.
    """
    words = wording.metric_wording(metric)
    if words.better == "none":
        return None
    less_is_better = words.better == "lower"
    if words.target is not None:
        if (base.value - words.target) * (tuned.value - words.target) < 0:
            return _gain_across(words.target, base, tuned)
        less_is_better = max(base.value, tuned.value) > words.target
    value, low, high = difference
    return Estimate(-value, -high, -low) if less_is_better else difference


def _gain_across(target: float, base: Estimate, tuned: Estimate) -> Estimate:
    """The gain in nearness of two scores on different sides of a target."""

    def distances(score: Estimate) -> tuple[float, float]:
        ends = abs(score.low - target), abs(score.high - target)
        return (0.0 if score.low <= target <= score.high else min(ends)), max(ends)

    (base_nearest, base_farthest), (tuned_nearest, tuned_farthest) = distances(base), distances(tuned)
    value = abs(base.value - target) - abs(tuned.value - target)
    return Estimate(value, base_nearest - tuned_farthest, base_farthest - tuned_nearest)


def gain_in_points(scores: PairedScores, *, seed: int = 0) -> tuple[Estimate, int] | None:
    """The primary metric's gain in points, and on how many independent items it rests; None without a scale of 0 to 100.

    Args:
        scores: of both models.
        seed: for intervals and tests that draw random numbers.
    """
    points = wording.budget_points(scores.primary)
    if points is None:
        return None
    base, tuned = scores.base[scores.primary], scores.tuned[scores.primary]
    difference = paired_difference(base, tuned, seed=seed)
    ends = (Estimate(each.value, each.low, each.high) for each in (base.score, tuned.score, difference))
    change = gain(scores.primary, *ends)
    assert change is not None  # metrics with points have a direction
    return Estimate(*(points * number for number in change)), difference.independent


@dataclass(frozen=True, slots=True)
class TaskComparison:
    """A task or benchmark compared: scores of both models and their paired differences, by metric.

    `flips` counts the items that only the second model, and only the first one, has right; None where the primary metric
    does not say right or wrong of an item. `nats` is the loss of the right answers' log-probability, where the budget is in nats.
    `reach` has the tuned model's scores against the targets that the recipe states; `facts` stand behind the numbers of the verdict.
    `cut` counts the answers that ended at the limit of tokens.
    """

    name: str
    primary: str
    base: Mapping[str, Score]
    tuned: Mapping[str, Score]
    difference: Mapping[str, ScoreDifference]
    parts: Mapping[str, TaskComparison] = field(default_factory=dict)
    flips: tuple[int, int] | None = None
    nats: NatsLoss | None = None
    reach: tuple[ReachWord, ...] = ()
    facts: tuple[str, ...] = ()
    cut: CutAnswers = NONE_CUT

    @property
    def primary_difference(self) -> ScoreDifference:
        """The primary metric's difference."""
        return self.difference[self.primary]

    @property
    def significant(self) -> bool:
        """Whether chance is excluded within the family of tests that this one belongs to."""
        p = self.primary_difference.p_adjusted
        return p is not None and p < ALPHA

    @property
    def gain(self) -> Estimate | None:
        """The primary metric's change toward better values; None for a metric without a direction."""
        numbers = self.base[self.primary], self.tuned[self.primary], self.primary_difference
        return gain(self.primary, *(Estimate(number.value, number.low, number.high) for number in numbers))

    @property
    def improved(self) -> bool:
        """Better, and not by chance."""
        return self.significant and self.gain is not None and self.gain.low > 0

    @property
    def worsened(self) -> bool:
        """Worse, and not by chance."""
        return self.significant and self.gain is not None and self.gain.high < 0

    @property
    def loss_points(self) -> float | None:
        """The loss in points of 0 to 100 (negative: a gain); None when the metric has no such scale."""
        points = wording.budget_points(self.primary)
        return None if points is None or self.gain is None else -self.gain.value * points

    @property
    def worst_loss_points(self) -> float | None:
        """The largest loss that the 95 % interval leaves possible, in points."""
        points = wording.budget_points(self.primary)
        return None if points is None or self.gain is None else -self.gain.low * points

    def excludes_loss_above(self, budget: float) -> bool:
        """Whether a loss above the budget is excluded: by the interval, and by enough items."""
        worst = self.worst_loss_points
        return worst is not None and not exceeds(worst, budget) and not self.too_few_for(budget)

    def too_few_for(self, budget: float) -> bool:
        """Whether so few items cannot exclude a loss above the budget, whatever they show."""
        loss, difference = self.loss_points, self.primary_difference
        return loss is None or exceeds(undetected_loss(difference.independent, -loss), budget)

    def as_json(self) -> dict[str, Any]:
        """The comparison as in results.json."""
        newly = {"newly_right": self.flips[0], "newly_wrong": self.flips[1]} if self.flips is not None else {}
        return {
            "primary": self.primary,
            "base": {metric: score.as_json() for metric, score in self.base.items()},
            "tuned": {metric: score.as_json() for metric, score in self.tuned.items()},
            "difference": {metric: difference.as_json() for metric, difference in self.difference.items()},
            "parts": {name: part.as_json() for name, part in self.parts.items()},
            **newly,
            **({"reach": {each.metric: each.as_json() for each in self.reach}} if self.reach else {}),
            **({"cut": self.cut._asdict()} if self.cut else {}),
        }


def compare_task(name: str, scores: PairedScores, *, seed: int) -> TaskComparison:
    """Pair every metric of one task or benchmark, parts included.

    A metric that counts none of the items (n is 0) was not measured and is left out, and so is a part whose primary
    metric counts none of its items.

    Raises:
        InputError: the two sides were not scored by the same metrics, or the primary metric counts no item.
    """
    base, tuned = _counted(scores.base), _counted(scores.tuned)
    if set(base) != set(tuned) or scores.primary not in base:
        raise InputError(
            "the two models were not scored alike, or the primary metric counts no item",
            where=name,
            found=f"{', '.join(base)} against {', '.join(tuned)}; primary {scores.primary}",
            expected="the same metrics on both sides, the primary one among them",
            fix="score both again with the same recipe",
        )
    return TaskComparison(
        name=name,
        primary=scores.primary,
        base={metric: item_scores.score for metric, item_scores in base.items()},
        tuned={metric: tuned[metric].score for metric in base},
        difference={metric: paired_difference(base[metric], tuned[metric], seed=seed) for metric in base},
        parts={
            part: compare_task(f"{name}: {part}", inner, seed=seed)
            for part, inner in scores.parts.items()
            if inner.primary in _counted(inner.base) or inner.primary in _counted(inner.tuned)
        },
        flips=_flips(base[scores.primary], tuned[scores.primary]),
        cut=scores.cut,
    )


def _flips(base: ItemScores, tuned: ItemScores) -> tuple[int, int] | None:
    """How many items turned right, and how many wrong; None where a value is neither 0 nor 1."""
    if not all(((side.items == 0) | (side.items == 1)).all() for side in (base, tuned)):
        return None
    return int((tuned.items > base.items).sum()), int((tuned.items < base.items).sum())


def _counted(scores: Mapping[str, ItemScores]) -> dict[str, ItemScores]:
    return {metric: item_scores for metric, item_scores in scores.items() if item_scores.score.n > 0}


def adjust_p_values(comparisons: Iterable[TaskComparison]) -> list[TaskComparison]:
    """Set `p_adjusted` by Holm: over the primary metrics as one family, and over those of all parts as another.

    Metrics beside the primary one are not tested and have no adjusted p.
    """
    family = list(comparisons)
    parts = iter(_holm([part for comparison in family for part in comparison.parts.values()]))
    return _holm(
        [replace(comparison, parts={name: next(parts) for name in comparison.parts}) for comparison in family]
    )


def _holm(family: list[TaskComparison]) -> list[TaskComparison]:
    adjusted = []
    p_values = holm([comparison.primary_difference.p for comparison in family])
    for comparison, p in zip(family, p_values, strict=True):
        difference = replace(comparison.primary_difference, p_adjusted=p)
        differences = {**comparison.difference, comparison.primary: difference}
        adjusted.append(replace(comparison, difference=differences))
    return adjusted
