"""Made-up models and items with a known truth, on which intervals are tried: one world for each kind of metric.

A world draws items (how hard they are, their true labels, their lengths), and then what a model of some level from 0 to 1
answers to them. Two models answer the same items, so that easy ones are easy for both. The truth is the metric on a pool
of many items, from which samples are drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tutelage.core import seeds
from tutelage.metrics.catalogue import MetricSpec, parse
from tutelage.metrics.group_sums import name_code
from tutelage.metrics.implementation import ItemStatistics
from tutelage.metrics.labels import NO_LABEL
from tutelage.metrics.score import ItemScores, Score
from tutelage.metrics.scoring import metric_value
from tutelage.metrics.stats.arrays import Floats, Ints

POOL = 4000
_LEVELS = np.linspace(0, 1, 33)

Items = Mapping[str, Floats]
Answers = tuple[Floats, Floats]
"""What a model's answers count as: the items' values, and their rows of statistics."""


@dataclass(frozen=True, slots=True)
class World:
    """One kind of items and models.

    Attributes:
        metric: the metric with its options.
        description: the world in words.
        items: draws n items.
        answers: what a model of a level says to them.
        exact: the same without chance, for a metric whose value on a pool would itself be noisy.
    """

    metric: str
    description: str
    items: Callable[[np.random.Generator, int], Items]
    answers: Callable[[np.random.Generator, Items, float], Answers]
    exact: Callable[[Items, float], Floats] | None = None

    @property
    def spec(self) -> MetricSpec:
        """The metric."""
        return parse(self.metric)

    def value(self, items: Floats, statistics: Floats) -> float:
        """The metric on given items."""
        return metric_value(self.spec, ItemStatistics(np.arange(len(items)), items, statistics))

    def truth(self, pool: Items, answers: Answers, level: float) -> float:
        """The metric on the pool."""
        return self.value(answers[0], answers[1] if self.exact is None else self.exact(pool, level))

    def level(self, truth: float) -> float:
        """The level of a model whose metric is about this; the nearest one where there is none."""
        values = _truths(self)
        order = np.argsort(values)
        return float(np.interp(truth, np.array(values)[order], _LEVELS[order]))

    def level_value(self, level: float) -> float:
        """About the metric of models of this level."""
        return float(np.interp(level, _LEVELS, _truths(self)))

    def scores(self, counted: ItemStatistics) -> ItemScores:
        """A sample as scores without an interval."""
        value = metric_value(self.spec, counted)
        score = Score(value, value, value, len(counted.items), "made up")
        return ItemScores(self.metric, score, tuple(counted.rows.tolist()), counted.items, counted.statistics)


@lru_cache(maxsize=64)
def _truths(world: World) -> tuple[float, ...]:
    """The metric of models of each of `_LEVELS`."""
    rng = seeds.generator(0, "levels", world.metric, world.description)
    pool = world.items(rng, POOL)
    return tuple(world.truth(pool, world.answers(rng, pool, level), level) for level in _LEVELS.tolist())


def sample(answers: Answers, at: Ints) -> ItemStatistics:
    """The answers at some places of the pool."""
    return ItemStatistics(np.arange(len(at)), answers[0][at], answers[1][at])


def _plain(rng: np.random.Generator, n: int) -> Items:
    return {"hard": rng.normal(0, 0.7, n)}


def _quality(items: Items, level: float) -> Floats:
    """How likely a model of this level is right about each item."""
    from scipy.special import ndtr, ndtri

    quality: Floats = ndtr(ndtri(min(max(level, 1e-4), 1 - 1e-4)) * 1.22 - items["hard"])
    return quality


def _of_items(values: Floats) -> Answers:
    return values, np.stack((values, np.ones(len(values))), axis=1)


def _right(rng: np.random.Generator, items: Items, level: float) -> Answers:
    return _of_items((rng.random(len(items["hard"])) < _quality(items, level)).astype(np.float64))


def _overlap(concentration: float, zeros: float) -> Callable[[np.random.Generator, Items, float], Answers]:
    """Values from 0 to 1, as ROUGE's: a share of them 0, the rest around the model's quality."""

    def answers(rng: np.random.Generator, items: Items, level: float) -> Answers:
        quality = np.clip(_quality(items, level), 1e-3, 1 - 1e-3)
        values = rng.beta(quality * concentration, (1 - quality) * concentration)
        values[rng.random(len(values)) < zeros * (1 - level)] = 0.0
        return _of_items(np.round(values, 3))

    return answers


def _classes(shares: tuple[float, ...]) -> Callable[[np.random.Generator, int], Items]:
    def items(rng: np.random.Generator, n: int) -> Items:
        return {**_plain(rng, n), "true": rng.choice(len(shares), n, p=shares).astype(np.float64)}

    return items


def _labels(classes: int, none: float = 0.0) -> Callable[[np.random.Generator, Items, float], Answers]:
    """Guesses that are right as often as the quality says, from chance or worse up to perfect.

    A share `none` of the wrong ones are no label.
    """
    names = np.array([name_code(f"c{number}") for number in range(classes)])

    def answers(rng: np.random.Generator, items: Items, level: float) -> Answers:
        true = items["true"].astype(np.int64)
        other = (true + 1 + rng.integers(0, classes - 1, len(true))) % classes
        guessed = np.where(rng.random(len(true)) < _quality(items, level), true, other)
        predicted = names[guessed]
        if none:
            predicted[(true != guessed) & (rng.random(len(true)) < none)] = NO_LABEL
        return (true == guessed).astype(np.float64), np.stack((names[true], predicted), axis=1)

    return answers


def _sentences(rng: np.random.Generator, n: int) -> Items:
    return {**_plain(rng, n), "entities": rng.poisson((1.2, 0.6, 0.3), (n, 3)).astype(np.float64)}


def _entities(rng: np.random.Generator, items: Items, level: float) -> Answers:
    true = items["entities"]
    quality = _quality(items, level)[:, None]
    right = rng.binomial(true.astype(np.int64), quality)
    guessed = right + rng.poisson((1 - quality) * (0.8, 0.4, 0.2), true.shape)
    lines = np.stack((np.broadcast_to((1.0, 2.0, 3.0), true.shape), true, guessed, right), axis=2)
    return np.full(len(true), np.nan), lines.reshape(len(true), -1)


def _segments(rng: np.random.Generator, n: int) -> Items:
    return {**_plain(rng, n), "length": np.maximum(np.rint(rng.gamma(4, 6, n)), 4.0)}


def _bleu(rng: np.random.Generator, items: Items, level: float) -> Answers:
    """Matches that fall with the order, in segments of different length and difficulty."""
    reference, quality = items["length"], _quality(items, level)
    length = np.maximum(np.rint(reference * rng.normal(0.97, 0.12, len(reference))), 4.0)
    totals = [length - order for order in range(4)]
    matches = [np.minimum(length, reference)]
    for order, total in enumerate(totals):
        most = np.minimum(total, matches[-1])
        matches.append(
            rng.binomial(most.astype(np.int64), quality if order == 0 else quality**0.5).astype(float)
        )
    return np.full(len(length), np.nan), np.stack([length, reference, *matches[1:], *totals], axis=1)


def _chrf(rng: np.random.Generator, items: Items, level: float) -> Answers:
    reference, quality = items["length"] * 5, _quality(items, level)
    length = np.maximum(np.rint(reference * rng.normal(0.97, 0.12, len(reference))), 6.0)
    lines, most = [], np.minimum(length, reference)
    for order in range(6):
        right = rng.binomial(np.minimum(most, length - order).astype(np.int64), quality**0.5).astype(
            np.float64
        )
        lines += [length - order, reference - order, right]
        most = right
    return np.full(len(length), np.nan), np.stack(lines, axis=1)


def _ter(rng: np.random.Generator, items: Items, level: float) -> Answers:
    edits = rng.binomial(items["length"].astype(np.int64), _quality(items, level))
    return np.full(len(edits), np.nan), np.stack((edits, items["length"]), axis=1)


def _numbers(rng: np.random.Generator, n: int) -> Items:
    return {"true": rng.normal(size=n)}


def _correlated(rng: np.random.Generator, items: Items, level: float) -> Answers:
    """Predictions with a true correlation of `level`, on a scale of 0 to 5 with one decimal."""
    true = items["true"]
    guessed = level * true + np.sqrt(1 - min(level, 1.0) ** 2) * rng.normal(size=len(true))
    lines = np.stack((true, guessed), axis=1)
    return np.full(len(true), np.nan), np.clip(np.round(2.5 + 1.2 * lines, 1), 0, 5)


def _confident(rng: np.random.Generator, n: int) -> Items:
    return {**_plain(rng, n), "confidence": np.round(rng.beta(4, 0.6, n), 3)}


def _accuracy(items: Items, level: float) -> Floats:
    """How often answers of this confidence are right: the less, the higher the level of overconfidence."""
    confidence = items["confidence"]
    accuracy: Floats = confidence * (1 - level) + 0.1 * level * np.sin(12 * confidence)
    return np.clip(accuracy, 0.0, 1.0) if level > 0 else confidence


def _calibration(rng: np.random.Generator, items: Items, level: float) -> Answers:
    right = rng.random(len(items["confidence"])) < _accuracy(items, level)
    return np.full(len(right), np.nan), np.stack((items["confidence"], right), axis=1)


def _exact_calibration(items: Items, level: float) -> Floats:
    return np.stack((items["confidence"], _accuracy(items, level)), axis=1)


def _likeliest(rng: np.random.Generator, n: int) -> Items:
    """How probable the likeliest of four choices is."""
    return {**_plain(rng, n), "confidence": np.round(0.25 + 0.75 * rng.beta(2, 1.2, n), 3)}


def _choice_counts(rng: np.random.Generator, n: int) -> Items:
    return {**_plain(rng, n), "choices": rng.integers(2, 6, n).astype(np.float64)}


def _choice_distances(rng: np.random.Generator, items: Items, level: float) -> Answers:
    """Squared distances of the choices' probabilities from right or wrong; a better model prefers the first one, which is right."""
    count = items["choices"]
    logits = rng.normal(0, 1.5, (len(count), 5))
    logits[:, 0] += 8 * level - 3 - 2 * items["hard"]
    logits[np.arange(5) >= count[:, None]] = -np.inf
    distances = np.exp(logits - logits.max(1, keepdims=True))
    distances /= distances.sum(1, keepdims=True)
    distances[:, 0] -= 1
    summed = (distances**2).sum(1)
    return summed / count, np.stack((summed, count), axis=1)


def _brier(rng: np.random.Generator, items: Items, level: float) -> Answers:
    confidence, right = _calibration(rng, items, level)[1].T
    return _of_items((confidence - right) ** 2)


def _ranked(rng: np.random.Generator, items: Items, level: float) -> Answers:
    """Right or wrong with a confidence that knows something of it."""
    quality = _quality(items, level)
    confidence = np.round(np.clip(quality + rng.normal(0, 0.15, len(quality)), 0, 1), 3)
    right = (rng.random(len(quality)) < quality).astype(np.float64)
    return np.full(len(right), np.nan), np.stack((confidence, right), axis=1)


def _likelihood(rng: np.random.Generator, items: Items, level: float) -> Answers:
    """Nats of texts of different length; a better model is less surprised by each token."""
    tokens = items["length"]
    nats = tokens * (0.3 + 2 * (1 - level)) * rng.gamma(4, 0.25, len(tokens)) * np.exp(0.3 * items["hard"])
    return nats / tokens, np.stack((nats, tokens), axis=1)


def _answer_nats(rng: np.random.Generator, items: Items, level: float) -> Answers:
    """Nats of short right answers, very different from item to item."""
    hard = items["hard"]
    return _of_items((0.2 + 4 * (1 - level)) * rng.gamma(1.5, 1 / 1.5, len(hard)) * np.exp(0.3 * hard))


def _answer_lengths(rng: np.random.Generator, items: Items, level: float) -> Answers:
    """Answers up to twice as long as their references, more or less by text."""
    words = rng.poisson(2 * level * items["length"] * np.exp(0.5 * items["hard"]))
    return np.full(len(words), np.nan), np.stack((words, items["length"]), axis=1)


def _instruction_counts(rng: np.random.Generator, n: int) -> Items:
    """As many instructions a prompt as IFEval's 541 have: one, two or three."""
    return {**_plain(rng, n), "instructions": rng.choice((1.0, 2.0, 3.0), n, p=(0.56, 0.33, 0.11))}


def _followed(rng: np.random.Generator, items: Items, level: float) -> Answers:
    """How many of a prompt's instructions a model follows; those of one prompt are about equally hard."""
    count = items["instructions"]
    followed = rng.binomial(count.astype(np.int64), _quality(items, level)).astype(np.float64)
    return followed / count, np.stack((followed, count), axis=1)


_CALIBRATED = "confidence as beta(4, 0.6), calibrated"
_OVERCONFIDENT = "confidence as beta(4, 0.6), overconfident"
_HALF_NONE = "three classes (60, 30, 10 %), half of what is wrong no label"
WORLDS: tuple[World, ...] = (
    World("accuracy", "right or wrong", _plain, _right),
    World("rougeL", "widely spread, 30 % zeros", _plain, _overlap(1.5, 0.3)),
    World("rouge1", "narrowly spread", _plain, _overlap(12, 0.0)),
    World("brier", _OVERCONFIDENT, _confident, _brier),
    World("f1:average=binary:positive=c0", "20 % positive", _classes((0.2, 0.8)), _labels(2)),
    World("f1", "three classes (60, 30, 10 %)", _classes((0.6, 0.3, 0.1)), _labels(3)),
    World("f1", "eight equal classes", _classes((0.125,) * 8), _labels(8)),
    World("f1:average=micro", "three classes (60, 30, 10 %)", _classes((0.6, 0.3, 0.1)), _labels(3)),
    World("precision", "three classes (60, 30, 10 %)", _classes((0.6, 0.3, 0.1)), _labels(3)),
    World("balanced_accuracy", "two classes (80, 20 %)", _classes((0.8, 0.2)), _labels(2)),
    World("balanced_accuracy", "three classes (60, 30, 10 %)", _classes((0.6, 0.3, 0.1)), _labels(3)),
    World("mcc", "two classes (60, 40 %)", _classes((0.6, 0.4)), _labels(2)),
    World("mcc", "three classes (60, 30, 10 %)", _classes((0.6, 0.3, 0.1)), _labels(3)),
    World("entity_f1", "two entities a sentence, three types", _sentences, _entities),
    World("entity_f1:average=macro", "two entities a sentence, three types", _sentences, _entities),
    World("bleu", "segments of mixed length and difficulty", _segments, _bleu),
    World("chrf", "segments of mixed length and difficulty", _segments, _chrf),
    World("ter", "segments of mixed length and difficulty", _segments, _ter),
    World("pearson", "marks from 0 to 5", _numbers, _correlated),
    World("spearman", "marks from 0 to 5", _numbers, _correlated),
    World("ece", _OVERCONFIDENT, _confident, _calibration, _exact_calibration),
    World("ece:binning=mass", _OVERCONFIDENT, _confident, _calibration, _exact_calibration),
    World("selective_accuracy", "confidence that knows something", _plain, _ranked),
    World("selective_area", "confidence that knows something", _plain, _ranked),
    World("ifeval_instruction_strict", "one to three instructions a prompt", _instruction_counts, _followed),
    World("length_ratio", "texts of mixed length", _segments, _answer_lengths),
    World("perplexity", "texts of mixed length", _segments, _likelihood),
    World("bits_per_byte", "texts of mixed length", _segments, _likelihood),
    World("label_f1", _HALF_NONE, _classes((0.6, 0.3, 0.1)), _labels(3, none=0.5)),
    World("label_mcc", _HALF_NONE, _classes((0.6, 0.3, 0.1)), _labels(3, none=0.5)),
    World("choice_brier", "two to five choices", _choice_counts, _choice_distances),
    World("choice_ece", "four choices, overconfident", _likeliest, _calibration, _exact_calibration),
    World("target_nats", "short answers", _plain, _answer_nats),
)
CALIBRATED = World("ece", _CALIBRATED, _confident, _calibration, _exact_calibration)
"""A world whose truth is 0 at level 0."""
