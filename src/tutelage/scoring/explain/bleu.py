"""BLEU explained: the four precisions, the brevity penalty, and which of them costs most."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from tutelage.metrics.catalogue import MetricSpec
from tutelage.metrics.row_fields import require_reference
from tutelage.metrics.score import Row
from tutelage.metrics.translation import bleu_precisions, sacrebleu_bleu
from tutelage.scoring.explain.explanation import BleuExplanation, BleuOrder, MarkedText, NGramCount
from tutelage.scoring.explain.token_spans import NGram, TokenizedText, mark_ngrams, tokenize_at_spaces

_ORDERS = (1, 2, 3, 4)


def explain_bleu(spec: MetricSpec, row: Row) -> BleuExplanation:
    """The row's own BLEU (effective order), as `bleu` and `sentence_bleu` give it for a row alone."""
    texts = _tokenized(spec, [row])[0]
    prediction, *references = tokenize_at_spaces(texts)
    by_order = [_ngram_counts(prediction, references, n) for n in _ORDERS]
    marked = mark_ngrams(prediction, _as_bag(references), 1)[0]
    return _explanation(
        spec,
        rows=1,
        matches=[sum(gram.matched for gram in grams) for grams in by_order],
        totals=[sum(gram.prediction for gram in grams) for grams in by_order],
        lengths=(len(prediction.ids), _closest_length(prediction, references)),
        effective=True,
        grams=by_order,
        texts=(marked, tuple(texts[1:])),
    )


def explain_bleu_of_corpus(spec: MetricSpec, rows: Sequence[Row]) -> BleuExplanation:
    """BLEU of all rows together: their counts are summed, and no order is left out."""
    matches, totals = [0] * len(_ORDERS), [0] * len(_ORDERS)
    prediction_length = reference_length = 0
    for texts in _tokenized(spec, rows):
        prediction, *references = tokenize_at_spaces(texts)
        prediction_length += len(prediction.ids)
        reference_length += _closest_length(prediction, references)
        for index, n in enumerate(_ORDERS):
            predicted = Counter(prediction.ngrams(n))
            matches[index] += (predicted & _largest_counts(references, n)).total()
            totals[index] += predicted.total()
    lengths = prediction_length, reference_length
    return _explanation(
        spec, rows=len(rows), matches=matches, totals=totals, lengths=lengths, effective=False
    )


def _tokenized(spec: MetricSpec, rows: Sequence[Row]) -> list[list[str]]:
    """Each row's prediction and references with a space between BLEU's tokens."""
    for index, row in enumerate(rows):
        require_reference(spec, row, index)
    tokenize = sacrebleu_bleu(spec)._preprocess_segment  # noqa: SLF001 - as its own tests do
    return [[" ".join(tokenize(text).split()) for text in (row.prediction, *row.references)] for row in rows]


def _largest_counts(references: Sequence[TokenizedText], n: int) -> Counter[NGram]:
    """Of each n-gram the largest count that one reference has."""
    largest: Counter[NGram] = Counter()
    for reference in references:
        largest |= Counter(reference.ngrams(n))
    return largest


def _as_bag(references: Sequence[TokenizedText]) -> TokenizedText:
    """The references as one bag of words, each as often as the reference that has it most."""
    ids = tuple(ngram[0] for ngram in _largest_counts(references, 1).elements())
    return TokenizedText("", ids, ((0, 0),) * len(ids))


def _closest_length(prediction: TokenizedText, references: Sequence[TokenizedText]) -> int:
    """The reference length closest to the prediction's, of two equally close ones the shorter."""
    length = len(prediction.ids)
    lengths = [len(reference.ids) for reference in references]
    return min(lengths, key=lambda candidate: (abs(candidate - length), candidate))


def _ngram_counts(
    prediction: TokenizedText, references: Sequence[TokenizedText], n: int
) -> tuple[NGramCount, ...]:
    in_references = _largest_counts(references, n)
    forms: dict[NGram, str] = {}
    for start, ngram in enumerate(prediction.ngrams(n)):
        first, last = prediction.spans[start], prediction.spans[start + n - 1]
        forms.setdefault(ngram, prediction.text[first[0] : last[1]])
    counts = Counter(prediction.ngrams(n))
    return tuple(NGramCount((form,), counts[ngram], in_references[ngram]) for ngram, form in forms.items())


def _explanation(
    spec: MetricSpec,
    *,
    rows: int,
    matches: Sequence[int],
    totals: Sequence[int],
    lengths: tuple[int, int],
    effective: bool,
    grams: Sequence[tuple[NGramCount, ...]] = ((), (), (), ()),
    texts: tuple[MarkedText | None, tuple[str, ...]] = (None, ()),
) -> BleuExplanation:
    smooth = str(spec.options["smooth"])
    counts_by_order = np.array([matches, totals], np.float64)
    precisions, possible = bleu_precisions(counts_by_order[:1], counts_by_order[1:], smooth)
    divisor = max(int(possible.sum()), 1) if effective else len(_ORDERS)
    orders = []
    for index, n in enumerate(_ORDERS):
        precision, total = float(precisions[0, index]), totals[index]
        unsmoothed = 100 * matches[index] / total if total else 0.0
        counts = n <= divisor
        factor = (precision / 100) ** (1 / divisor) if counts else 1.0
        smoothed = precision != unsmoothed
        orders.append(BleuOrder(n, matches[index], total, precision, smoothed, counts, factor, grams[index]))
    predicted, reference = lengths
    penalty = 1.0 if predicted >= reference else math.exp(1 - reference / predicted) if predicted else 0.0
    used = [order.precision for order in orders if order.counts]
    value = 0.0
    if any(matches) and all(used):
        value = penalty * math.exp(sum(math.log(precision) for precision in used) / divisor)
    return BleuExplanation(
        spec.text,
        value,
        rows=rows,
        orders=tuple(orders),
        penalty=penalty,
        predicted=predicted,
        reference_length=reference,
        smooth=smooth,
        effective=effective,
        prediction=texts[0],
        references=texts[1],
    )
