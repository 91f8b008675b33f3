"""BLEU, chrF, chrF++ and TER through sacrebleu: its tokenizers, its statistics; summed and resampled here.

M. Post, "A call for clarity in reporting BLEU scores", 2018. Values lie in 0 to 100 (TER can pass 100).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import zip_longest
from typing import Any

import numpy as np
import numpy.typing as npt

from tutelage.metrics.catalogue import MetricSpec
from tutelage.metrics.implementation import (
    ItemStatistics,
    MetricImplementation,
    ScoringBatch,
    of_means,
    of_sums,
)
from tutelage.metrics.row_fields import require_reference
from tutelage.metrics.score import Row
from tutelage.metrics.stats.arrays import Floats
from tutelage.metrics.stats.estimators import Estimator, SumEstimator

_ORDERS = 4


def sacrebleu_statistics(metric: Any, spec: MetricSpec, rows: Sequence[Row]) -> Floats:
    """The sufficient statistics of one of sacrebleu's metrics, float64 of shape (n, k).

    BLEU's are 10: the prediction's and the closest reference's length, then matches and n-grams of order 1 to 4.

    Raises:
        InputError: a row has no reference.
    """
    for index, row in enumerate(rows):
        require_reference(spec, row, index)
    streams = list(zip_longest(*(row.references for row in rows)))  # None where a row has fewer
    predictions = [row.prediction for row in rows]
    counted = metric._extract_corpus_statistics(predictions, streams)  # noqa: SLF001 - as its own tests do
    return np.array(counted, np.float64)


def sacrebleu_bleu(spec: MetricSpec, **settings: Any) -> Any:
    """Sacrebleu's BLEU with the metric's options."""
    from sacrebleu.metrics import BLEU

    options = spec.options
    return BLEU(lowercase=options["lowercase"], tokenize=options["tokenize"], force=True, **settings)


def bleu_precisions(right: Floats, total: Floats, smooth: str) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """BLEU's precisions in 100 after smoothing, and which orders have n-grams at all, each of shape (b, 4).

    Args:
        right: matches of order 1 to 4, float64 of shape (b, 4).
        total: n-grams of the predictions, float64 of shape (b, 4).
        smooth: sacrebleu's smoothing method.
    """
    if smooth == "add-k":
        first_order_unchanged = np.array([0.0, 1.0, 1.0, 1.0])
        right, total = right + first_order_unchanged, total + first_order_unchanged
    possible = np.logical_and.accumulate(total > 0, axis=1)
    missed = possible & (right == 0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        halved = 100 / (2.0 ** np.cumsum(missed, axis=1) * total)
        of_missed = {"exp": halved, "floor": 100 * 0.1 / total}.get(smooth, 0.0)
        return np.where(missed, of_missed, np.where(possible, 100 * right / total, 0.0)), possible


def combine_bleu(sums: Floats, *, smooth: str, effective: bool) -> Floats:
    """BLEU from summed statistics, float64 of shape (b, 10) to (b,), as sacrebleu's `compute_bleu`."""
    length, reference_length = sums[:, 0], sums[:, 1]
    precision, possible = bleu_precisions(sums[:, 2:6], sums[:, 6:], smooth)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        penalty = np.where(length < reference_length, np.exp(1 - reference_length / length), 1.0)
        # sacrebleu's logarithm of 0: finite, so that a lost order makes the score very small instead of undefined
        logs = np.where(precision > 0, np.log(precision), -9999999999.0)
        orders = np.maximum(possible.sum(1), 1) if effective else np.full(len(sums), _ORDERS)
        mean = np.where(np.arange(_ORDERS) < orders[:, None], logs, 0.0).sum(1) / orders
        score: Floats = penalty * np.exp(mean)
    score[~sums[:, 2:6].any(1) | (length == 0)] = 0.0
    return score


def combine_chrf(sums: Floats) -> Floats:
    """ChrF from summed statistics, float64 of shape (b, 3 orders) to (b,); beta is 2."""
    counts = sums.reshape(len(sums), -1, 3)
    predicted, true, right = counts[:, :, 0], counts[:, :, 1], counts[:, :, 2]
    possible = (predicted > 0) & (true > 0)
    orders = np.maximum(possible.sum(1), 1)
    precision = np.divide(right, predicted, out=np.zeros_like(right), where=possible).sum(1) / orders
    recall = np.divide(right, true, out=np.zeros_like(right), where=possible).sum(1) / orders
    denominator = 4 * precision + recall
    f: Floats = np.divide(
        5 * precision * recall, denominator, out=np.zeros_like(denominator), where=denominator > 0
    )
    return 100 * f


def combine_ter(sums: Floats) -> Floats:
    """TER from summed edits and reference lengths, float64 of shape (b, 2) to (b,)."""
    edits, length = sums[:, 0], sums[:, 1]
    return 100 * np.divide(edits, length, out=(edits > 0).astype(np.float64), where=length > 0)


def _count_bleu(batch: ScoringBatch, spec: MetricSpec) -> ItemStatistics:
    smooth, by_sentence = str(spec.options["smooth"]), spec.entry.name == "sentence_bleu"
    metric = sacrebleu_bleu(spec, smooth_method=smooth, effective_order=by_sentence)
    statistics = sacrebleu_statistics(metric, spec, batch.rows)
    items, note = combine_bleu(statistics, smooth=smooth, effective=True), _note(metric)
    if by_sentence:
        return of_means(items, note=note)
    return ItemStatistics(np.arange(len(statistics)), items, statistics, note)


def _bleu(spec: MetricSpec, statistics: Floats) -> Estimator:
    smooth = str(spec.options["smooth"])
    return SumEstimator(partial(combine_bleu, smooth=smooth, effective=False), statistics)


def _of_sacrebleu(
    name: str, options: Sequence[str], combine: Callable[[Floats], Floats], *, large_value: float = 1.0
) -> MetricImplementation:
    """A metric that sacrebleu counts with the given options, as a function of the summed statistics."""

    def count(batch: ScoringBatch, spec: MetricSpec) -> ItemStatistics:
        from sacrebleu import metrics

        metric = getattr(metrics, name)(**{option: spec.options[option] for option in options})
        statistics = sacrebleu_statistics(metric, spec, batch.rows)
        return ItemStatistics(np.arange(len(statistics)), combine(statistics), statistics, _note(metric))

    return MetricImplementation(count, of_sums(combine), large_value=large_value)


def _note(metric: Any) -> str:
    return f"sacrebleu:{metric.get_signature()}"


bleu = MetricImplementation(_count_bleu, _bleu)
sentence_bleu = MetricImplementation(_count_bleu)
chrf = _of_sacrebleu("CHRF", ("char_order", "word_order", "lowercase"), combine_chrf)
ter = _of_sacrebleu("TER", ("normalized", "no_punct", "case_sensitive"), combine_ter, large_value=100.0)
