"""How often intervals hold the truth, and how often tests alarm when nothing changed, by simulation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from simulations.bootstrap_test import bootstrap_p, weighted_differences
from simulations.worlds import POOL, Answers, World, sample
from tutelage.core import seeds
from tutelage.metrics.catalogue import parse
from tutelage.metrics.implementation import implementation
from tutelage.metrics.metric_intervals import metric_interval
from tutelage.metrics.paired_difference import paired_difference
from tutelage.metrics.scoring import metric_value
from tutelage.metrics.stats import bootstrap, intervals, paired_tests
from tutelage.metrics.stats.arrays import Floats, Ints, fold_duplicates
from tutelage.metrics.stats.estimators import Estimator

SEED = 20261122
BINS = 10
ALARM_TRIALS = 499  # arrangements or resamples a test: p keeps its meaning at any number of them


@dataclass(frozen=True, slots=True)
class EventRate:
    """How often something happened in repetitions of an experiment.

    Attributes:
        method: the interval or test.
        truth: the model behind it, in words.
        n: items a repetition.
        count: how often it happened.
        repetitions: of how many.
    """

    method: str
    truth: str
    n: int
    count: int
    repetitions: int

    @property
    def share(self) -> float:
        """The observed rate."""
        return self.count / self.repetitions

    @property
    def error(self) -> float:
        """The Monte-Carlo standard error of the rate."""
        return math.sqrt(self.share * (1 - self.share) / self.repetitions)

    @property
    def bound(self) -> float:
        """The one-sided exact (Clopper-Pearson) 99 % upper bound of the true rate."""
        from scipy.special import betaincinv

        missed = self.repetitions - self.count
        return 1.0 if missed == 0 else float(betaincinv(self.count + 1, missed, 0.99))


@dataclass(frozen=True, slots=True)
class Coverage:
    """How often intervals held the truth, by equal parts of the true values."""

    parts: tuple[EventRate, ...]

    @property
    def mean(self) -> EventRate:
        """Averaged over the true value."""
        first = self.parts[0]
        counts = sum(part.count for part in self.parts), sum(part.repetitions for part in self.parts)
        return EventRate(first.method, first.truth, first.n, *counts)

    @property
    def lowest(self) -> EventRate:
        """The part in which it happened least often."""
        return min(self.parts, key=lambda part: part.share)


def coverage(world: World, n: int, repetitions: int) -> Coverage:
    """How often a score's interval holds the truth, in `BINS` equal parts of the true values from .02 to .98."""
    rng = seeds.generator(SEED, "coverage", world.metric, world.description, n)
    parts = []
    for low, high in _bins(world):
        count = 0
        for _ in range(repetitions):
            level = world.level(rng.uniform(low, high))
            pool = world.items(rng, POOL)
            answers = world.answers(rng, pool, level)
            drawn = sample(answers, rng.integers(0, POOL, n))
            ends = metric_interval(world.spec, drawn, metric_value(world.spec, drawn), None, SEED)
            count += _holds((ends[0], ends[1]), world.truth(pool, answers, level))
        parts.append(EventRate(world.metric, world.description, n, count, repetitions))
    return Coverage(tuple(parts))


def change_coverage(world: World, n: int, repetitions: int) -> Coverage:
    """How often the interval of a difference holds the true one; parts are those of the base model's true values.

    Both models' true values are drawn from .02 to .98, independently. Both find the same items hard, and 30 % of the
    answers stay as they were.
    """
    rng = seeds.generator(SEED, "change", world.metric, world.description, n)
    bins = _bins(world)
    parts = []
    for low, high in bins:
        count = 0
        for _ in range(repetitions):
            truths = rng.uniform(low, high), rng.uniform(bins[0][0], bins[-1][1])
            count += _change_covered(world, (world.level(truths[0]), world.level(truths[1])), n, rng)
        parts.append(EventRate(world.metric, world.description, n, count, repetitions))
    return Coverage(tuple(parts))


def _change_covered(world: World, levels: tuple[float, float], n: int, rng: np.random.Generator) -> bool:
    pool = world.items(rng, POOL)
    unchanged = rng.random(POOL) < 0.3
    base, redrawn = (world.answers(rng, pool, level) for level in levels)
    tuned = _mixed(unchanged, base, redrawn)
    if world.exact is None:
        truths = [world.value(*answers) for answers in (base, tuned)]
    else:
        exact = [(base[0], world.exact(pool, level)) for level in levels]
        truths = [world.value(*exact[0]), world.value(*_mixed(unchanged, *exact))]
    drawn = rng.integers(0, POOL, n)
    base_scores, tuned_scores = (world.scores(sample(answers, drawn)) for answers in (base, tuned))
    difference = paired_difference(base_scores, tuned_scores, seed=SEED, trials=ALARM_TRIALS)
    return _holds((difference.low, difference.high), truths[1] - truths[0])


def _mixed(unchanged: npt.NDArray[np.bool_], base: Answers, redrawn: Answers) -> Answers:
    return np.where(unchanged, base[0], redrawn[0]), np.where(unchanged[:, None], base[1], redrawn[1])


def _bins(world: World) -> list[tuple[float, float]]:
    """Parts of the true values, on the metric's own scale: from .02 to .98 of it, as far as the world's models reach."""
    values = [world.level_value(end) for end in (0.0, 1.0)]
    implemented = world.spec.entry.implementation
    scale = 100.0 if implemented in ("bleu", "chrf", "ter") else 1.0
    low, high = min(values), max(values)
    if implemented not in ("perplexity", "bits_per_byte", "target_nats"):
        low, high = max(low, 0.02 * scale), min(high, 0.98 * scale)
    edges = np.linspace(low, high, BINS + 1).tolist()
    return list(pairwise(edges))


def calibrated_coverage(world: World, n: int, repetitions: int) -> Coverage:
    """How often the interval of a calibration error holds 0 when the model is calibrated."""
    rng = seeds.generator(SEED, "calibrated", world.metric, n)
    count = 0
    for _ in range(repetitions):
        items = world.items(rng, n)
        drawn = sample(world.answers(rng, items, 0.0), np.arange(n))
        count += metric_interval(world.spec, drawn, metric_value(world.spec, drawn), None, SEED)[0] == 0.0
    return Coverage((EventRate(world.metric, world.description, n, count, repetitions),))


def clustered_coverage(repetitions: int, sizes: Sequence[int] = (30, 100, 300, 1000)) -> Iterator[EventRate]:
    """The clustered interval by the number of clusters: right answers that share a document, 1 to 9 to a document."""
    for n in sizes:
        rng = seeds.generator(SEED, "clustered", n)
        count = 0
        for _ in range(repetitions):
            clusters = np.repeat(np.arange(n), rng.integers(1, 10, n))
            level = rng.beta(1.4, 0.6, n)[clusters]
            right = (rng.random(len(clusters)) < level).astype(np.float64)
            count += _holds(intervals.clustered_mean_interval(right, clusters, low=0, high=1), 0.7)
        truth = "n clusters of 1 to 9 items, p 0.7, correlation 0.33"
        yield EventRate("accuracy in clusters", truth, n, count, repetitions)


def false_alarms(
    test: str, repetitions: int, *, sizes: tuple[int, ...] = (30, 100, 1000)
) -> Iterator[EventRate]:
    """How often a test gives p < 0.05 when base and tuned are the same model drawn twice.

    `test` is one of `ALARMS`.
    """
    p_of, truth = ALARMS[test]
    for n in sizes:
        rng = seeds.generator(SEED, "alarm", test, n)
        count = sum(p_of(n, rng) < 0.05 for _ in range(repetitions))
        yield EventRate(test, truth, n, count, repetitions)


def _mcnemar(n: int, rng: np.random.Generator) -> float:
    level = rng.beta(1.4, 0.6, n)
    base, tuned = rng.random(n) < level, rng.random(n) < level
    return paired_tests.mcnemar(int((tuned & ~base).sum()), int((base & ~tuned).sum()))


def _changes(n: int, rng: np.random.Generator) -> Floats:
    """Changes of a skewed score with many ties at zero, as ROUGE-2 has them."""
    level = rng.beta(0.8, 2.5, n)
    sides = [
        np.where(rng.random(n) < 0.3, 0.0, np.clip(level + rng.normal(0, 0.15, n), 0, 1)) for _ in range(2)
    ]
    return sides[1] - sides[0]


def _sign_flips(n: int, rng: np.random.Generator) -> float:
    return paired_tests.sign_flips(_changes(n, rng), rng=rng, trials=ALARM_TRIALS)


def _bootstrap_mean(n: int, rng: np.random.Generator) -> float:
    changes = _changes(n, rng)
    resampled = bootstrap.resample(
        lambda weights: weights @ changes / n, np.ones(n, np.int64), rng=rng, resamples=ALARM_TRIALS
    )
    return bootstrap_p(resampled, float(changes.mean()), n)


def _randomised(metric: str) -> Callable[[int, np.random.Generator], float]:
    def p_of(n: int, rng: np.random.Generator) -> float:
        estimator, counts = _exchangeable(metric, n, rng)
        return paired_tests.approximate_randomisation(estimator, counts, rng=rng, trials=ALARM_TRIALS)

    return p_of


def _bootstrapped(metric: str) -> Callable[[int, np.random.Generator], float]:
    def p_of(n: int, rng: np.random.Generator) -> float:
        estimator, counts = _exchangeable(metric, n, rng)
        resampled = bootstrap.resample(
            lambda weights: weighted_differences(estimator, weights),
            counts,
            rng=rng,
            resamples=ALARM_TRIALS,
        )
        observed = weighted_differences(estimator, counts[None].astype(np.float64))
        return bootstrap_p(resampled, float(observed[0]), n)

    return p_of


def _exchangeable(metric: str, n: int, rng: np.random.Generator) -> tuple[Estimator, Ints]:
    """The same model twice on the same items: each item's two rows come from one pool of rows in random order."""
    spec = parse(metric)
    if metric == "bleu":
        base, tuned = _segments(n, rng), np.empty((n, 10))
        tuned[:] = _segments(n, rng, like=base)
    else:
        true = rng.integers(0, 3, n)
        base, tuned = (_labelled(true, rng) for _ in range(2))
    pairs, counts = fold_duplicates(np.hstack((base, tuned)))
    return implementation(spec).estimator(spec, np.vstack(np.split(pairs, 2, axis=1))), counts


def _labelled(true: Ints, rng: np.random.Generator) -> Floats:
    """Statistics of labels: three classes, right in 70 %, the rest drawn toward the first class."""
    wrong = np.minimum(rng.integers(0, 4, len(true)), rng.integers(0, 3, len(true)))
    predicted = np.where(rng.random(len(true)) < 0.7, true, wrong)
    return np.stack((true, predicted), axis=1) + 1.0


def _segments(n: int, rng: np.random.Generator, like: Floats | None = None) -> Floats:
    """Statistics of BLEU: segments of different length and difficulty, matches falling with the order."""
    reference = np.maximum(np.rint(rng.gamma(4, 6, n)), 4.0) if like is None else like[:, 1]
    length = np.maximum(np.rint(reference * rng.normal(0.97, 0.12, n)), 4.0)
    quality = rng.beta(6, 4, n)
    totals = [length - order for order in range(4)]
    matches = [np.minimum(length, reference)]
    for order, total in enumerate(totals):
        most = np.minimum(total, matches[-1] if order else matches[0])
        matches.append(
            rng.binomial(most.astype(np.int64), quality if order == 0 else quality**0.7).astype(np.float64)
        )
    return np.stack([length, reference, *matches[1:], *totals], axis=1)


def _holds(ends: tuple[float, float], value: float) -> bool:
    """Whether an interval holds a value, up to rounding; one with an end that is NaN holds any."""
    low, high = ends
    return not (value < low - 1e-9 * max(1.0, abs(low)) or value > high + 1e-9 * max(1.0, abs(high)))


ALARMS: dict[str, tuple[Callable[[int, np.random.Generator], float], str]] = {
    "McNemar exact": (_mcnemar, "right or wrong, 70 % right"),
    "randomisation, mean": (_sign_flips, "skewed scores, 30 % zeros"),
    "paired bootstrap, mean": (_bootstrap_mean, "skewed scores, 30 % zeros"),
    "randomisation, f1": (_randomised("f1"), "three classes"),
    "paired bootstrap, f1": (_bootstrapped("f1"), "three classes"),
    "randomisation, mcc": (_randomised("mcc"), "three classes"),
    "paired bootstrap, mcc": (_bootstrapped("mcc"), "three classes"),
    "randomisation, bleu": (_randomised("bleu"), "segments of mixed length and quality"),
    "paired bootstrap, bleu": (_bootstrapped("bleu"), "segments of mixed length and quality"),
}
