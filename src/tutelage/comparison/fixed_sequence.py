"""Chooses among candidates that lose more the more they gain: the whole change first, then a path from the safest on, fixed beforehand.

The whole change is tested at half the level, and delivered if it passes. Else the other candidates are tested at the other half, from
the safest on: "it loses at least the budget" must be rejected, one-sided, for everything that is watched; the first candidate that fails
ends the sequence, and so does one of which a part fell that a mean would hide. At most 5 % of searches call a candidate safe that is not: the
two halves add up (Bonferroni), and within a sequence nothing is corrected (W. Maurer, L. Hothorn, W. Lehmacher, "Multiple
comparisons in drug clinical trials and preclinical assays: a-priori ordered hypotheses", 1995; B. Wiens, "A fixed sequence Bonferroni
procedure for testing multiple endpoints", 2003; A. Angelopoulos et al., "Learn then Test", 2021, arXiv 2110.01052).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from tutelage.comparison import wording
from tutelage.comparison.budgets import Budget, Nats, exceeds, no_log_probabilities, undetected_loss
from tutelage.comparison.items_needed import items_needed
from tutelage.comparison.task_comparison import (
    ALPHA,
    Estimate,
    PairedScores,
    adjust_p_values,
    compare_task,
    gain_in_points,
)
from tutelage.comparison.wording import format_nats, format_number
from tutelage.core.errors import InputError
from tutelage.metrics.answer_log_probability import MIN_ITEMS, loss_in_nats
from tutelage.metrics.loss_tests import p_of_loss


@dataclass(frozen=True, slots=True)
class LossTest:
    """Whether a candidate's loss on one benchmark is below its budget.

    Attributes:
        budget: the loss that is allowed.
        loss: the observed loss; negative for a gain.
        low, high: of its 95 % interval.
        p: one-sided, of a loss of at least the budget.
        n: independent items.
        within: whether such a loss is excluded: p is below the level, and the items suffice to exclude it at all.
        unit: of budget and loss: points of 0 to 100, or nats an item (the right answers' log-probability).
        fell: the parts that fell, not by chance (two-sided 5 %, Holm over the parts of all that is watched).
    """

    budget: float
    loss: float
    low: float
    high: float
    p: float
    n: int
    within: bool
    unit: Literal["points", "nats"] = "points"
    fell: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the loss is within the budget, and no part fell."""
        return self.within and not self.fell

    def as_json(self) -> dict[str, Any]:
        """The test as in results.json, which names the unit where it is not points, and the parts that fell where some did."""
        values = {**asdict(self), "fell": list(self.fell)}
        if self.unit == "points":
            del values["unit"]
        if not self.fell:
            del values["fell"]
        return values

    def number(self, value: float) -> str:
        """A loss with as many decimals as its unit takes."""
        return format_nats(value) if self.unit == "nats" else format_number(value)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A candidate that was tested.

    Attributes:
        scale: of the tuned change: 1 is the tuned model, 0 the base.
        losses: the tests by benchmark.
        gain: the mean gain of all tasks on their validation rows, in points; None for one that failed.
    """

    scale: float
    losses: Mapping[str, LossTest]
    gain: Estimate | None = None

    @property
    def within(self) -> bool:
        """Whether it stays within every budget, and no part fell."""
        return all(test.passed for test in self.losses.values())

    def as_json(self) -> dict[str, Any]:
        """The candidate as in results.json."""
        losses = {name: test.as_json() for name, test in self.losses.items()}
        gain = None if self.gain is None else self.gain._asdict()
        return {"scale": self.scale, "within": self.within, "gain": gain, "losses": losses}


@dataclass(frozen=True, slots=True)
class SequenceResult:
    """The outcome of a search.

    Attributes:
        path: all scales, from the safest on.
        candidates: those that were tested: the whole change, then from the safest on; the last one may have failed.
        chosen: the whole change if it is within budget, else the scale with the best gain of those that are; None when none is.
        full_gain: the gain of the whole change, on the same rows as the candidates' gains.
    """

    path: tuple[float, ...]
    candidates: tuple[Candidate, ...]
    chosen: float | None
    full_gain: Estimate

    @property
    def chosen_candidate(self) -> Candidate | None:
        """The candidate that was chosen."""
        return next((each for each in self.candidates if each.scale == self.chosen), None)

    def sentence(self) -> str:
        """What the search came to, for people."""
        chosen = self.chosen_candidate
        if chosen is None:
            failed = self.candidates[-1]
            reasons = "; ".join(
                _loss_words(name, test) for name, test in failed.losses.items() if not test.passed
            )
            return (
                f"No scale of the change can be delivered: at {failed.scale:g}, the smallest, {reasons}. "
                "The model is delivered as it was trained."
            )
        excluded = "; ".join(
            f"a loss above {test.budget:g} {test.unit} is excluded on {name}"
            for name, test in chosen.losses.items()
        )
        assert chosen.gain is not None
        gain, whole = chosen.gain.value, self.full_gain.value
        kept = f"{format_number(gain, sign=True)} points on validation rows"
        if whole > 0 and chosen.scale < 1:
            kept += f", {100 * gain / whole:.0f} % of the gain of the whole change"
        return f"Delivered at {chosen.scale:g} of the change: {kept}; {excluded}."

    def as_json(self) -> dict[str, Any]:
        """The search as in results.json."""
        return {
            "path": list(self.path),
            "candidates": [candidate.as_json() for candidate in self.candidates],
            "chosen": self.chosen,
            "full_gain": self.full_gain._asdict(),
            "level": level_of(self.path),
            "sentence": self.sentence(),
        }


def level_of(path: Sequence[float]) -> float:
    """The one-sided level of each test: half of 5 % where the path has more than the whole change."""
    return ALPHA / 2 if len(set(path)) > 1 else ALPHA


def search(
    path: Sequence[float],
    losses_at: Callable[[float, float], Mapping[str, LossTest]],
    gain_at: Callable[[float], Estimate],
) -> SequenceResult:
    """Test the largest scale and, if it fails, the others from the smallest on until one fails; choose the best that passed.

    Args:
        path: the scales of the tuned change, fixed before anything was asked.
        losses_at: tests a candidate, at a level, on what is watched; called once a candidate.
        gain_at: the gain in points of a candidate that passed, and of the whole change, on rows that the tests do not see.
    """
    *scales, largest = sorted(set(path))
    level = level_of(path)

    def test(scale: float) -> Candidate:
        candidate = Candidate(scale, losses_at(scale, level))
        return replace(candidate, gain=gain_at(scale)) if candidate.within else candidate

    tested = [test(largest)]
    for scale in () if tested[0].within else scales:
        tested.append(test(scale))
        if not tested[-1].within:
            break
    passed = [candidate for candidate in tested if candidate.gain is not None]
    best = max(passed, key=_gained, default=None)
    whole = next((each.gain for each in passed if each.scale == 1), None)
    return SequenceResult(
        (*scales, largest),
        tuple(tested),
        None if best is None else best.scale,
        gain_at(1.0) if whole is None else whole,
    )


def _gained(candidate: Candidate) -> float:
    assert candidate.gain is not None
    return candidate.gain.value


def _loss_words(name: str, test: LossTest) -> str:
    """Why a candidate failed on a benchmark."""
    if test.within:
        return f"parts of {name} fell: {', '.join(test.fell)}"
    numbers = (
        f"{name} lost {test.number(test.loss)} {test.unit} "
        f"(95 % interval {test.number(test.low)} to {test.number(test.high)}, {test.n} items, budget {test.budget:g})"
    )
    least = MIN_ITEMS if test.unit == "nats" else None
    needed = items_needed(test.n, test.loss, test.high - test.loss, test.budget, least=least)
    return numbers if needed is None else f"{numbers}, which about {needed:,} items would settle"


def with_fallen_parts(
    losses: Mapping[str, LossTest], scores: Mapping[str, PairedScores], *, seed: int = 0
) -> dict[str, LossTest]:
    """The tests with the parts that fell, as the verdict will name them if the candidate is delivered.

    Args:
        losses: the tests by benchmark.
        scores: of the base and of the candidate, by benchmark.
        seed: for intervals and tests that draw random numbers.
    """
    compared = adjust_p_values(compare_task(name, scores[name], seed=seed) for name in losses)
    fell = {
        benchmark.name: tuple(name for name, part in benchmark.parts.items() if part.worsened)
        for benchmark in compared
    }
    return {name: replace(test, fell=fell[name]) for name, test in losses.items()}


def loss_test(
    name: str, scores: PairedScores, budget: Budget, *, level: float = ALPHA, seed: int = 0
) -> LossTest:
    """Test whether a candidate lost at least the budget on a benchmark.

    Args:
        name: the benchmark's, for errors.
        scores: of the base and of the candidate; the primary metric is tested, or the right answers' log-probability by Student's
            paired t-test where the budget is in nats.
        budget: the loss that is allowed.
        level: of the one-sided test.
        seed: for intervals and tests that draw random numbers.

    Raises:
        InputError: the primary metric has no scale of 0 to 100, or right answers have no log-probability.
    """
    if isinstance(budget, Nats):
        return _nats_test(name, scores, budget.amount, level)
    measured, points = gain_in_points(scores, seed=seed), wording.budget_points(scores.primary)
    if measured is None or points is None:
        raise InputError(
            "a budget in points for a metric that has no scale of 0 to 100",
            where=f"retain.{name}",
            found=scores.primary,
            fix="watch the benchmark by another metric",
        )
    gain, n = measured
    p = p_of_loss(scores.base[scores.primary], scores.tuned[scores.primary], budget / points, seed=seed)
    enough = not exceeds(undetected_loss(n, gain.value), budget)
    return LossTest(budget, -gain.value, -gain.high, -gain.low, p, n, within=p < level and enough)


def _nats_test(name: str, scores: PairedScores, budget: float, level: float) -> LossTest:
    """The test of a loss in nats."""
    if scores.answer_log_probabilities is None:
        raise no_log_probabilities(name, "answers without log-probabilities")
    loss = loss_in_nats(*scores.answer_log_probabilities)
    p = loss.p_of_at_least(budget)
    within = p < level and loss.n >= MIN_ITEMS
    return LossTest(budget, loss.value, loss.low, loss.high, p, loss.n, within, unit="nats")
