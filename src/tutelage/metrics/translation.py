"""BLEU, chrF, chrF++ and TER through sacrebleu: its tokenizers, its statistics; summed and resampled here.

M. Post, "A call for clarity in reporting BLEU scores", 2018. Values lie in 0 to 100 (TER can pass 100).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from tutelage.core.errors import InputError
from tutelage.metrics.catalogue import MetricSpec
from tutelage.metrics.implementation import (
    Estimator,
    Floats,
    ItemStatistics,
    MetricImplementation,
    ScoringBatch,
    of_means,
    of_sums,
)
from tutelage.metrics.rouge.counts import overlaps
from tutelage.metrics.rouge.tokens import Corpus, intern_words
from tutelage.metrics.stats.bootstrap import SumEstimator

_ORDERS = 4
_MARK = "\ue000"  # of Unicode's private use: stands in no text but by intent


def bleu_statistics(metric: Any, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> Floats:
    """BLEU's sufficient statistics as sacrebleu counts them, float64 of shape (n, 10).

    Prediction's and reference's length, then matches and n-grams of order 1 to 4. With one reference a row the
    counting is done here for all rows at once; with several sacrebleu does it, which takes the largest count.
    """
    if any(len(own) != 1 for own in references):
        return _statistics(metric, predictions, references)
    texts = [*(own[0] for own in references), *predictions]
    sides: Corpus = intern_words(_tokenised(metric, texts))
    of_references, of_predictions = np.split(sides.lengths, 2)
    hits = overlaps(sides, list(range(1, _ORDERS + 1)))
    metric.num_refs = 1
    columns = [of_predictions, of_references]
    columns += [hits[n] for n in hits]
    columns += [np.maximum(of_predictions - n + 1, 0) for n in hits]
    return np.stack(columns, axis=1).astype(np.float64)


def _tokenised(metric: Any, texts: Sequence[str]) -> list[str]:
    """The texts as sacrebleu's tokenizer leaves them, with space between tokens.

    13a looks at single characters and their neighbours only, so all texts are tokenised in one go, with a mark
    between spaces from text to text; substitutions are made by replacing or splitting, which gives the same and is faster.
    """
    if not texts or metric.tokenizer.signature() != "13a" or any(_MARK in text for text in texts):
        return [metric._preprocess_segment(text) for text in texts]  # noqa: SLF001 - as its own tests do
    joined = f" {_MARK} ".join(text.rstrip() for text in texts)
    joined = joined.lower() if metric.lowercase else joined
    for old, new in (("<skipped>", ""), ("-\n", ""), ("\n", " ")):
        joined = joined.replace(old, new)
    for entity, char in (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")):
        joined = joined.replace(entity, char)
    joined = f" {joined} "
    (single, _), *others = metric.tokenizer._post_tokenizer._re  # noqa: SLF001 - its own four, not a copy
    for char in filter(single.fullmatch, map(chr, range(33, 127))):  # it matches the space too, to no effect
        joined = joined.replace(char, f" {char} ")
    for pattern, template in others:
        joined = _substituted(pattern, template, joined)
    return joined.split(_MARK)


def _substituted(pattern: re.Pattern[str], template: str, text: str) -> str:
    r"""`pattern.sub(template, text)` for templates of groups in order and spaces, such as `\1 \2 `."""
    parts = pattern.split(text)
    groups = pattern.groups
    pieces = re.split(r"\\[1-9]", template)  # what stands before, between and behind the groups
    matches = (len(parts) - 1) // (groups + 1)
    width = 2 * groups + 2
    found = [""] * (matches * width + 1)
    found[0::width] = parts[0 :: groups + 1]
    for place, piece in enumerate(pieces):
        found[2 * place + 1 :: width] = [piece] * matches
        if place < groups:
            found[2 * place + 2 :: width] = parts[place + 1 :: groups + 1]
    return "".join(found)


def combine_bleu(sums: Floats, *, smooth: str, effective: bool) -> Floats:
    """BLEU from summed statistics, float64 of shape (b, 10) to (b,), as sacrebleu's `compute_bleu`."""
    length, reference = sums[:, 0], sums[:, 1]
    right, total = sums[:, 2:6].copy(), sums[:, 6:].copy()
    none = ~right.any(1)
    if smooth == "add-k":
        right[:, 1:] += 1
        total[:, 1:] += 1
    known = np.logical_and.accumulate(total > 0, axis=1)
    missed = known & (right == 0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        precision = np.where(known, 100 * right / total, 0.0)
        if smooth == "exp":
            precision = np.where(missed, 100 / (2.0 ** np.cumsum(missed, axis=1) * total), precision)
        elif smooth == "floor":
            precision = np.where(missed, 100 * 0.1 / total, precision)
        penalty = np.where(length < reference, np.exp(1 - reference / length), 1.0)
        # sacrebleu's logarithm of 0: finite, so that a lost order makes the score very small instead of undefined
        logs = np.where(precision > 0, np.log(precision), -9999999999.0)
        if effective:
            orders = np.maximum(known.sum(1), 1)
            mean = np.where(np.arange(_ORDERS) < orders[:, None], logs, 0.0).sum(1) / orders
        else:
            mean = logs.sum(1) / _ORDERS
        score: Floats = penalty * np.exp(mean)
    score[none | (length == 0)] = 0.0
    return score


def combine_chrf(sums: Floats) -> Floats:
    """ChrF from summed statistics, float64 of shape (b, 3 orders) to (b,); beta is 2."""
    counts = sums.reshape(len(sums), -1, 3)
    predicted, true, right = counts[:, :, 0], counts[:, :, 1], counts[:, :, 2]
    known = (predicted > 0) & (true > 0)
    orders = np.maximum(known.sum(1), 1)
    precision = np.divide(right, predicted, out=np.zeros_like(right), where=known).sum(1) / orders
    recall = np.divide(right, true, out=np.zeros_like(right), where=known).sum(1) / orders
    both = 4 * precision + recall
    f: Floats = np.divide(5 * precision * recall, both, out=np.zeros_like(both), where=both > 0)
    return 100 * f


def combine_ter(sums: Floats) -> Floats:
    """TER from summed edits and reference lengths, float64 of shape (b, 2) to (b,)."""
    edits, length = sums[:, 0], sums[:, 1]
    return 100 * np.divide(edits, length, out=(edits > 0).astype(np.float64), where=length > 0)


def _statistics(metric: Any, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> Floats:
    most = max(map(len, references))
    streams = [[own[place] if place < len(own) else None for own in references] for place in range(most)]
    counted = metric._extract_corpus_statistics(list(predictions), streams)  # noqa: SLF001 - as its own tests do
    return np.array(counted, np.float64)


def _bleu_metric(spec: MetricSpec) -> Any:
    from sacrebleu.metrics import BLEU

    options = spec.options
    return BLEU(
        lowercase=options["lowercase"],
        tokenize=options["tokenize"],
        smooth_method=options["smooth"],
        effective_order=spec.entry.name == "sentence_bleu",
        force=True,
    )


def _texts(shared: ScoringBatch, spec: MetricSpec) -> tuple[list[str], list[tuple[str, ...]]]:
    for index, row in enumerate(shared.rows):
        if not row.references:
            raise InputError(f"{spec.text} needs a reference", where=f"row {index + 1}", found="none")
    return [row.prediction for row in shared.rows], [row.references for row in shared.rows]


def _count_bleu(shared: ScoringBatch, spec: MetricSpec) -> ItemStatistics:
    metric = _bleu_metric(spec)
    lines = bleu_statistics(metric, *_texts(shared, spec))
    items = combine_bleu(lines, smooth=str(spec.options["smooth"]), effective=True)
    note = _note(metric)
    if spec.entry.name == "sentence_bleu":
        return of_means(items, note=note)
    return ItemStatistics(np.arange(len(lines)), items, lines, note)


def _weigh_bleu(spec: MetricSpec, lines: Floats) -> Estimator:
    smooth = str(spec.options["smooth"])
    return SumEstimator(partial(combine_bleu, smooth=smooth, effective=False), lines)


def _count_chrf(shared: ScoringBatch, spec: MetricSpec) -> ItemStatistics:
    from sacrebleu.metrics import CHRF

    words = spec.options["word_order"]
    metric = CHRF(
        char_order=spec.options["char_order"], word_order=words, lowercase=spec.options["lowercase"]
    )
    lines = _statistics(metric, *_texts(shared, spec))
    return ItemStatistics(np.arange(len(lines)), combine_chrf(lines), lines, _note(metric))


def _count_ter(shared: ScoringBatch, spec: MetricSpec) -> ItemStatistics:
    from sacrebleu.metrics import TER

    options = spec.options
    metric = TER(
        normalized=options["normalized"],
        no_punct=options["no_punct"],
        case_sensitive=options["case_sensitive"],
    )
    lines = _statistics(metric, *_texts(shared, spec))
    return ItemStatistics(np.arange(len(lines)), combine_ter(lines), lines, _note(metric))


def _note(metric: Any) -> str:
    return f"sacrebleu:{metric.get_signature()}"


bleu = MetricImplementation(_count_bleu, _weigh_bleu)
sentence_bleu = MetricImplementation(_count_bleu)
chrf = MetricImplementation(_count_chrf, of_sums(combine_chrf))
ter = MetricImplementation(_count_ter, of_sums(combine_ter), most=100.0)
