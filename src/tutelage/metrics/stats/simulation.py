"""Do the intervals cover and the tests keep quiet? Answered by simulation, on made-up models whose truth is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tutelage.core import seeds
from tutelage.metrics.comparing import paired
from tutelage.metrics.measures import family
from tutelage.metrics.names import parse
from tutelage.metrics.stats import bootstrap, intervals
from tutelage.metrics.stats import paired as tests
from tutelage.metrics.stats.bootstrap import Floats, Weigh
from tutelage.metrics.stats.worlds import POOL, Answers, World, sample
from tutelage.metrics.uncertainty import interval

SEED = 20261122
BINS = 10
ALARM_TRIALS = 499  # arrangements or resamples a test: p keeps its meaning at any number of them


@dataclass(frozen=True, slots=True)
class Rate:
    """How often something happened in repetitions of an experiment.

    Attributes:
        what: the interval or test.
        truth: the model behind it, in words.
        n: items a repetition.
        count: how often it happened.
        repetitions: of how many.
    """

    what: str
    truth: str
    n: int
    count: int
    repetitions: int

    @property
    def share(self) -> float:
        """The rate seen."""
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
class Covered:
    """How often intervals held the truth, by equal parts of the true values."""

    parts: tuple[Rate, ...]

    @property
    def mean(self) -> Rate:
        """Averaged over the true value."""
        first = self.parts[0]
        counts = sum(one.count for one in self.parts), sum(one.repetitions for one in self.parts)
        return Rate(first.what, first.truth, first.n, *counts)

    @property
    def lowest(self) -> Rate:
        """The part in which it happened least often."""
        return min(self.parts, key=lambda one: one.share)


def coverage(world: World, n: int, repetitions: int) -> Covered:
    """How often a score's interval holds the truth, in `BINS` equal parts of the true values from .02 to .98."""
    rng = seeds.generator(SEED, "coverage", world.metric, world.words, n)
    found = []
    for low, high in _bins(world):
        count = 0
        for _ in range(repetitions):
            level = world.level(rng.uniform(low, high))
            pool = world.items(rng, POOL)
            answers = world.answers(rng, pool, level)
            held = sample(answers, rng.integers(0, POOL, n))
            ends = interval(world.asked, held, world.value(held.items, held.lines), None, SEED)
            count += _holds((ends[0], ends[1]), world.truth(pool, answers, level))
        found.append(Rate(world.metric, world.words, n, count, repetitions))
    return Covered(tuple(found))


def change_coverage(world: World, n: int, repetitions: int) -> Covered:
    """How often the interval of a difference holds the true one; parts are those of the base model's true values.

    Both models' true values are drawn from .02 to .98, apart from each other. Both find the same items hard, and 30 % of the
    answers stay as they were.
    """
    rng = seeds.generator(SEED, "change", world.metric, world.words, n)
    bins = _bins(world)
    found = []
    for low, high in bins:
        count = 0
        for _ in range(repetitions):
            truths = rng.uniform(low, high), rng.uniform(bins[0][0], bins[-1][1])
            count += _change_held(world, (world.level(truths[0]), world.level(truths[1])), n, rng)
        found.append(Rate(world.metric, world.words, n, count, repetitions))
    return Covered(tuple(found))


def _change_held(world: World, levels: tuple[float, float], n: int, rng: np.random.Generator) -> bool:
    pool = world.items(rng, POOL)
    stays = rng.random(POOL) < 0.3
    base, fresh = (world.answers(rng, pool, level) for level in levels)
    tuned = _mixed(stays, base, fresh)
    if world.exact is None:
        truths = [world.value(*own) for own in (base, tuned)]
    else:
        exact = [(base[0], world.exact(pool, level)) for level in levels]
        truths = [world.value(*exact[0]), world.value(*_mixed(stays, *exact))]
    at = rng.integers(0, POOL, n)
    before, after = (world.scored(sample(own, at)) for own in (base, tuned))
    made = paired(before, after, seed=SEED, trials=ALARM_TRIALS)
    return _holds((made.low, made.high), truths[1] - truths[0])


def _mixed(stays: np.ndarray[tuple[int], np.dtype[np.bool_]], base: Answers, fresh: Answers) -> Answers:
    return np.where(stays, base[0], fresh[0]), np.where(stays[:, None], base[1], fresh[1])


def _bins(world: World) -> list[tuple[float, float]]:
    """Parts of the true values, on the metric's own scale: from .02 to .98 of it, as far as the world's models reach."""
    values = [world.level_value(end) for end in (0.0, 1.0)]
    scale = 100.0 if world.asked.entry.family in ("bleu", "chrf", "ter") else 1.0
    low, high = min(values), max(values)
    if world.asked.entry.family not in ("perplexity", "bits_per_byte"):
        low, high = max(low, 0.02 * scale), min(high, 0.98 * scale)
    edges = np.linspace(low, high, BINS + 1).tolist()
    return list(pairwise(edges))


def calibrated_coverage(world: World, n: int, repetitions: int) -> Covered:
    """How often the interval of a calibration error holds 0 when the model is calibrated."""
    rng = seeds.generator(SEED, "calibrated", world.metric, n)
    count = 0
    for _ in range(repetitions):
        items = world.items(rng, n)
        made = sample(world.answers(rng, items, 0.0), np.arange(n))
        count += interval(world.asked, made, world.value(made.items, made.lines), None, SEED)[0] == 0.0
    return Covered((Rate(world.metric, world.words, n, count, repetitions),))


def clustered_coverage(repetitions: int, sizes: Sequence[int] = (30, 100, 300, 1000)) -> Iterator[Rate]:
    """The clustered interval by the number of clusters: right answers that share a document, 1 to 9 to a document."""
    for n in sizes:
        rng = seeds.generator(SEED, "clustered", n)
        count = 0
        for _ in range(repetitions):
            clusters = np.repeat(np.arange(n), rng.integers(1, 10, n))
            level = rng.beta(1.4, 0.6, n)[clusters]
            right = (rng.random(len(clusters)) < level).astype(np.float64)
            count += _holds(intervals.clustered_mean(right, clusters, low=0, high=1), 0.7)
        truth = "n clusters of 1 to 9 items, p 0.7, correlation 0.33"
        yield Rate("accuracy in clusters", truth, n, count, repetitions)


def false_alarms(test: str, repetitions: int, *, sizes: tuple[int, ...] = (30, 100, 1000)) -> Iterator[Rate]:
    """How often a test says p < 0.05 when base and tuned are the same model drawn twice.

    `test` is one of `ALARMS`.
    """
    p_of, truth = ALARMS[test]
    for n in sizes:
        rng = seeds.generator(SEED, "alarm", test, n)
        count = sum(p_of(n, rng) < 0.05 for _ in range(repetitions))
        yield Rate(test, truth, n, count, repetitions)


def _mcnemar(n: int, rng: np.random.Generator) -> float:
    level = rng.beta(1.4, 0.6, n)
    base, tuned = rng.random(n) < level, rng.random(n) < level
    return tests.mcnemar(int((tuned & ~base).sum()), int((base & ~tuned).sum()))


def _changes(n: int, rng: np.random.Generator) -> Floats:
    """Changes of a skewed score with many ties at zero, as ROUGE-2 has them."""
    level = rng.beta(0.8, 2.5, n)
    sides = [
        np.where(rng.random(n) < 0.3, 0.0, np.clip(level + rng.normal(0, 0.15, n), 0, 1)) for _ in range(2)
    ]
    return sides[1] - sides[0]


def _sign_flips(n: int, rng: np.random.Generator) -> float:
    return tests.sign_flips(_changes(n, rng), rng=rng, trials=ALARM_TRIALS)


def _bootstrap_mean(n: int, rng: np.random.Generator) -> float:
    changes = _changes(n, rng)
    counts = np.ones(n, np.int64)
    drawn = bootstrap.resample(lambda own: own @ changes / n, counts, rng=rng, resamples=ALARM_TRIALS)
    return tests.bootstrap_p(drawn, float(changes.mean()), n)


def _randomised(metric: str) -> Callable[[int, np.random.Generator], float]:
    def p_of(n: int, rng: np.random.Generator) -> float:
        weigh, counts = _exchangeable(metric, n, rng)
        return tests.approximate_randomisation(weigh, counts, rng=rng, trials=ALARM_TRIALS)

    return p_of


def _bootstrapped(metric: str) -> Callable[[int, np.random.Generator], float]:
    def p_of(n: int, rng: np.random.Generator) -> float:
        weigh, counts = _exchangeable(metric, n, rng)
        drawn = bootstrap.resample(
            lambda own: tests.differences(weigh, own), counts, rng=rng, resamples=ALARM_TRIALS
        )
        return tests.bootstrap_p(
            drawn, float(tests.differences(weigh, counts[None].astype(np.float64))[0]), n
        )

    return p_of


def _exchangeable(
    metric: str, n: int, rng: np.random.Generator
) -> tuple[Weigh, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """The same model twice on the same items: each item's two lines come from one pool of lines in random order."""
    asked = parse(metric)
    if metric == "bleu":
        base, tuned = _segments(n, rng), np.empty((n, 10))
        tuned[:] = _segments(n, rng, like=base)
    else:
        true = rng.integers(0, 3, n)
        base, tuned = (_labelled(true, rng) for _ in range(2))
    both, counts = bootstrap.fold(np.hstack((base, tuned)))
    return family(asked).weigh(asked, np.vstack(np.split(both, 2, axis=1))), counts


def _labelled(true: np.ndarray[tuple[int], np.dtype[np.int64]], rng: np.random.Generator) -> Floats:
    """Lines of labels: three classes, right in 70 %, the rest drawn toward the first class."""
    other = np.minimum(rng.integers(0, 4, len(true)), rng.integers(0, 3, len(true)))
    guessed = np.where(rng.random(len(true)) < 0.7, true, other)
    return np.stack((true, guessed), axis=1) + 1.0


def _segments(n: int, rng: np.random.Generator, like: Floats | None = None) -> Floats:
    """Lines of BLEU statistics: segments of different length and difficulty, matches falling with the order."""
    reference = np.maximum(np.rint(rng.gamma(4, 6, n)), 4.0) if like is None else like[:, 1]
    length = np.maximum(np.rint(reference * rng.normal(0.97, 0.12, n)), 4.0)
    quality = rng.beta(6, 4, n)
    totals = [length - own for own in range(4)]
    matches = [np.minimum(length, reference)]
    for order, total in enumerate(totals):
        most = np.minimum(total, matches[-1] if order else matches[0])
        matches.append(
            rng.binomial(most.astype(np.int64), quality if order == 0 else quality**0.7).astype(np.float64)
        )
    return np.stack([length, reference, *matches[1:], *totals], axis=1)


def _holds(ends: tuple[float, float], value: float) -> bool:
    """Whether an interval holds a value, up to rounding; one that is not known holds any."""
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
