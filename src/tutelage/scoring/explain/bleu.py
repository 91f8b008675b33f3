"""BLEU explained: the four precisions, the brevity penalty, and which of them costs most."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import reduce
from operator import or_

from tutelage.metrics.catalogue import MetricSpec
from tutelage.metrics.score import Row
from tutelage.metrics.translation import (
    bleu_precisions,
    combine_bleu,
    sacrebleu_bleu,
    sacrebleu_statistics,
)
from tutelage.scoring.explain.explanation import BleuExplanation, BleuOrder, MarkedText, NGramCount
from tutelage.scoring.explain.token_spans import NGram, TokenizedText, mark_ngrams, tokenize_at_spaces

_ORDERS = (1, 2, 3, 4)


def explain_bleu(spec: MetricSpec, row: Row) -> BleuExplanation:
    """The row's own BLEU (effective order), as `bleu` and `sentence_bleu` give it for a row alone."""
    tokenize = sacrebleu_bleu(spec)._preprocess_segment  # noqa: SLF001 - as its own tests do
    texts = [" ".join(tokenize(text).split()) for text in (row.prediction, *row.references)]
    prediction, *references = tokenize_at_spaces(texts)
    marked = mark_ngrams(prediction, _as_bag(references), 1)[0]
    grams = [_ngram_counts(prediction, references, n) for n in _ORDERS]
    return _explanation(spec, [row], effective=True, grams=grams, texts=(marked, tuple(texts[1:])))


def explain_bleu_of_corpus(spec: MetricSpec, rows: Sequence[Row]) -> BleuExplanation:
    """BLEU of all rows together: their counts are summed, and no order is left out."""
    return _explanation(spec, rows, effective=False)


def _largest_counts(references: Sequence[TokenizedText], n: int) -> Counter[NGram]:
    """Of each n-gram the largest count that one reference has."""
    return reduce(or_, (Counter(reference.ngrams(n)) for reference in references), Counter[NGram]())


def _as_bag(references: Sequence[TokenizedText]) -> TokenizedText:
    """The references as one bag of words, each as often as the reference that has it most."""
    ids = tuple(ngram[0] for ngram in _largest_counts(references, 1).elements())
    return TokenizedText("", ids, ((0, 0),) * len(ids))


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
    rows: Sequence[Row],
    *,
    effective: bool,
    grams: Sequence[tuple[NGramCount, ...]] = ((), (), (), ()),
    texts: tuple[MarkedText | None, tuple[str, ...]] = (None, ()),
) -> BleuExplanation:
    smooth = str(spec.options["smooth"])
    sums = sacrebleu_statistics(sacrebleu_bleu(spec), spec, rows).sum(0, keepdims=True)
    precisions, possible = bleu_precisions(sums[:, 2:6], sums[:, 6:], smooth)
    divisor = max(int(possible.sum()), 1) if effective else len(_ORDERS)
    predicted, reference, *counts = (int(count) for count in sums[0])
    orders = []
    for n, matches, total, precision in zip(
        _ORDERS, counts[:4], counts[4:], precisions[0].tolist(), strict=True
    ):
        smoothed = precision != (100 * matches / total if total else 0.0)
        factor = (precision / 100) ** (1 / divisor) if n <= divisor else 1.0
        orders.append(BleuOrder(n, matches, total, precision, smoothed, n <= divisor, factor, grams[n - 1]))
    return BleuExplanation(
        spec.text,
        float(combine_bleu(sums, smooth=smooth, effective=effective)[0]),
        rows=len(rows),
        orders=tuple(orders),
        penalty=math.exp(min(0.0, 1 - reference / predicted)) if predicted else float(not reference),
        predicted=predicted,
        reference_length=reference,
        smooth=smooth,
        effective=effective,
        prediction=texts[0],
        references=texts[1],
    )
