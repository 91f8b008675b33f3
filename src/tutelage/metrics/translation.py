"""BLEU, chrF, chrF++ and TER through sacrebleu: its tokenizers, its statistics; summed and resampled here.

M. Post, "A call for clarity in reporting BLEU scores", 2018. Values lie in 0 to 100 (TER can pass 100).
"""

from __future__ import annotations

import re
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
from tutelage.metrics.rouge.counts import overlaps
from tutelage.metrics.rouge.tokens import Corpus, intern_words
from tutelage.metrics.row_fields import require_reference
from tutelage.metrics.stats.arrays import Floats
from tutelage.metrics.stats.estimators import Estimator, SumEstimator

_ORDERS = 4
_SEPARATOR = "\ue000"  # of Unicode's private use: in no text but by intent


def bleu_statistics(metric: Any, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> Floats:
    """BLEU's sufficient statistics as sacrebleu counts them, float64 of shape (n, 10).

    Prediction's and reference's length, then matches and n-grams of order 1 to 4. With one reference a row the
    counting is done here for all rows at once; with several sacrebleu does it, which takes the largest count.
    """
    if any(len(texts) != 1 for texts in references):
        return _sacrebleu_statistics(metric, predictions, references)
    corpus: Corpus = intern_words(_tokenise(metric, [*(texts[0] for texts in references), *predictions]))
    reference_lengths, prediction_lengths = np.split(corpus.lengths, 2)
    matches = overlaps(corpus, list(range(1, _ORDERS + 1)))
    metric.num_refs = 1  # part of sacrebleu's signature, which its own counting would set
    totals = [np.maximum(prediction_lengths - n + 1, 0) for n in matches]
    columns = [prediction_lengths, reference_lengths, *matches.values(), *totals]
    return np.stack(columns, axis=1).astype(np.float64)


def _tokenise(metric: Any, texts: Sequence[str]) -> list[str]:
    """The texts as sacrebleu's tokenizer leaves them, with space between tokens.

    13a looks at single characters and their neighbours only, so all texts are tokenised in one go, with a separator
    between spaces from text to text. Substitutions are made by replacing or splitting, which gives the same and is faster.
    """
    if not texts or metric.tokenizer.signature() != "13a" or any(_SEPARATOR in text for text in texts):
        return [metric._preprocess_segment(text) for text in texts]  # noqa: SLF001 - as its own tests do
    joined = f" {_SEPARATOR} ".join(text.rstrip() for text in texts)
    joined = joined.lower() if metric.lowercase else joined
    for old, new in (("<skipped>", ""), ("-\n", ""), ("\n", " ")):
        joined = joined.replace(old, new)
    for entity, char in (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")):
        joined = joined.replace(entity, char)
    joined = f" {joined} "
    (symbol, _), *rules = metric.tokenizer._post_tokenizer._re  # noqa: SLF001 - its own four, not a copy
    for char in filter(symbol.fullmatch, map(chr, range(33, 127))):  # it matches the space too, to no effect
        joined = joined.replace(char, f" {char} ")
    for pattern, template in rules:
        joined = _substitute(pattern, template, joined)
    return joined.split(_SEPARATOR)


def _substitute(pattern: re.Pattern[str], template: str, text: str) -> str:
    r"""`pattern.sub(template, text)` for templates of groups in order and spaces, such as `\1 \2 `."""
    parts = pattern.split(text)  # text between matches and the groups of each match, by turns
    groups = pattern.groups
    separators = re.split(r"\\[1-9]", template)  # before, between and behind the groups
    matches = (len(parts) - 1) // (groups + 1)
    width = 2 * groups + 2
    pieces = [""] * (matches * width + 1)
    pieces[0::width] = parts[0 :: groups + 1]
    for number, separator in enumerate(separators):
        pieces[2 * number + 1 :: width] = [separator] * matches
        if number < groups:
            pieces[2 * number + 2 :: width] = parts[number + 1 :: groups + 1]
    return "".join(pieces)


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
        precision = np.where(possible, 100 * right / total, 0.0)
        if smooth == "exp":
            precision = np.where(missed, 100 / (2.0 ** np.cumsum(missed, axis=1) * total), precision)
        elif smooth == "floor":
            precision = np.where(missed, 100 * 0.1 / total, precision)
    return precision, possible


def combine_bleu(sums: Floats, *, smooth: str, effective: bool) -> Floats:
    """BLEU from summed statistics, float64 of shape (b, 10) to (b,), as sacrebleu's `compute_bleu`."""
    length, reference_length = sums[:, 0], sums[:, 1]
    precision, possible = bleu_precisions(sums[:, 2:6], sums[:, 6:], smooth)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        penalty = np.where(length < reference_length, np.exp(1 - reference_length / length), 1.0)
        # sacrebleu's logarithm of 0: finite, so that a lost order makes the score very small instead of undefined
        logs = np.where(precision > 0, np.log(precision), -9999999999.0)
        if effective:
            orders = np.maximum(possible.sum(1), 1)
            mean = np.where(np.arange(_ORDERS) < orders[:, None], logs, 0.0).sum(1) / orders
        else:
            mean = logs.sum(1) / _ORDERS
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


def _sacrebleu_statistics(
    metric: Any, predictions: Sequence[str], references: Sequence[Sequence[str]]
) -> Floats:
    streams = list(zip_longest(*references))  # one a reference number, None where a row has fewer
    counted = metric._extract_corpus_statistics(list(predictions), streams)  # noqa: SLF001 - as its own tests do
    return np.array(counted, np.float64)


def sacrebleu_bleu(spec: MetricSpec, **settings: Any) -> Any:
    """Sacrebleu's BLEU with the metric's options."""
    from sacrebleu.metrics import BLEU

    options = spec.options
    return BLEU(lowercase=options["lowercase"], tokenize=options["tokenize"], force=True, **settings)


def _texts(batch: ScoringBatch, spec: MetricSpec) -> tuple[list[str], list[tuple[str, ...]]]:
    for index, row in enumerate(batch.rows):
        require_reference(spec, row, index)
    return [row.prediction for row in batch.rows], [row.references for row in batch.rows]


def _count_bleu(batch: ScoringBatch, spec: MetricSpec) -> ItemStatistics:
    smooth, by_sentence = str(spec.options["smooth"]), spec.entry.name == "sentence_bleu"
    metric = sacrebleu_bleu(spec, smooth_method=smooth, effective_order=by_sentence)
    statistics = bleu_statistics(metric, *_texts(batch, spec))
    items = combine_bleu(statistics, smooth=smooth, effective=True)
    if by_sentence:
        return of_means(items, note=_note(metric))
    return ItemStatistics(np.arange(len(statistics)), items, statistics, _note(metric))


def _bleu(spec: MetricSpec, statistics: Floats) -> Estimator:
    smooth = str(spec.options["smooth"])
    return SumEstimator(partial(combine_bleu, smooth=smooth, effective=False), statistics)


def _count_chrf(batch: ScoringBatch, spec: MetricSpec) -> ItemStatistics:
    from sacrebleu.metrics import CHRF

    names = ("char_order", "word_order", "lowercase")
    return _count_by_sacrebleu(
        batch, spec, CHRF(**{name: spec.options[name] for name in names}), combine_chrf
    )


def _count_ter(batch: ScoringBatch, spec: MetricSpec) -> ItemStatistics:
    from sacrebleu.metrics import TER

    names = ("normalized", "no_punct", "case_sensitive")
    return _count_by_sacrebleu(batch, spec, TER(**{name: spec.options[name] for name in names}), combine_ter)


def _count_by_sacrebleu(
    batch: ScoringBatch, spec: MetricSpec, metric: Any, combine: Callable[[Floats], Floats]
) -> ItemStatistics:
    statistics = _sacrebleu_statistics(metric, *_texts(batch, spec))
    return ItemStatistics(np.arange(len(statistics)), combine(statistics), statistics, _note(metric))


def _note(metric: Any) -> str:
    return f"sacrebleu:{metric.get_signature()}"


bleu = MetricImplementation(_count_bleu, _bleu)
sentence_bleu = MetricImplementation(_count_bleu)
chrf = MetricImplementation(_count_chrf, of_sums(combine_chrf))
ter = MetricImplementation(_count_ter, of_sums(combine_ter), large_value=100.0)
