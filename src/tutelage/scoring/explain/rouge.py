"""ROUGE explained: which n-grams counted, or which tokens are the longest common subsequence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from tutelage.metrics.catalogue import MetricSpec
from tutelage.metrics.rouge.lcs import positions
from tutelage.metrics.row_fields import require_reference
from tutelage.metrics.score import Row
from tutelage.scoring.explain.explanation import (
    Explanation,
    MarkedText,
    NGramExplanation,
    PrecisionRecall,
    SubsequenceExplanation,
    best,
)
from tutelage.scoring.explain.token_spans import (
    TokenizedText,
    count_ngrams,
    mark_ngrams,
    mark_tokens,
    tokenize_for_rouge,
)


def explain_rouge(spec: MetricSpec, row: Row) -> Explanation:
    """The row's ROUGE by the reference with the largest F."""
    require_reference(spec, row, 0)
    options: dict[str, Any] = dict(spec.options)
    prediction, *references = tokenize_for_rouge(
        [row.prediction, *row.references], stemmer=options["stemmer"], tokenizer=options["tokenizer"]
    )
    variant = spec.entry.name.removeprefix("rouge")
    if variant.isdigit():
        return _ngrams(spec, prediction, references, int(variant))
    return _subsequence(spec, prediction, references, by_lines=variant == "Lsum")


def _ngrams(
    spec: MetricSpec, prediction: TokenizedText, references: Sequence[TokenizedText], n: int
) -> NGramExplanation:
    predicted = Counter(prediction.ngrams(n))
    shares = [
        PrecisionRecall.of(
            (predicted & Counter(reference.ngrams(n))).total(), predicted.total(), len(reference.ngrams(n))
        )
        for reference in references
    ]
    chosen = references[best(shares)]
    fields = _overlap_fields(spec, mark_ngrams(prediction, chosen, n), shares)
    return NGramExplanation(**fields, n=n, grams=count_ngrams(prediction, chosen, n))


def _subsequence(
    spec: MetricSpec, prediction: TokenizedText, references: Sequence[TokenizedText], *, by_lines: bool
) -> SubsequenceExplanation:
    match = _union_of_lines if by_lines else _longest_subsequence
    matches = [match(prediction, reference) for reference in references]
    shares = [
        PrecisionRecall.of(len(in_prediction), len(prediction.ids), len(reference.ids))
        for (in_prediction, _), reference in zip(matches, references, strict=True)
    ]
    chosen = best(shares)
    in_prediction, in_reference = matches[chosen]
    marked = mark_tokens(prediction, in_prediction), mark_tokens(references[chosen], in_reference)
    return SubsequenceExplanation(**_overlap_fields(spec, marked, shares), by_lines=by_lines)


def _overlap_fields(
    spec: MetricSpec, marked: tuple[MarkedText, MarkedText], shares: Sequence[PrecisionRecall]
) -> dict[str, Any]:
    measure = str(spec.options["measure"])
    chosen = best(shares)
    averaged = spec.options["references"] == "jackknife" and len(shares) > 1
    value = float(getattr(shares[chosen], measure))
    if averaged:
        subsets = [[*shares[:index], *shares[index + 1 :]] for index in range(len(shares))]
        value = sum(float(getattr(subset[best(subset)], measure)) for subset in subsets) / len(subsets)
    return {
        "metric": spec.text,
        "value": value,
        "measure": measure,
        "prediction": marked[0],
        "reference": marked[1],
        "chosen": chosen,
        "shares": tuple(shares),
        "averaged": averaged,
    }


def _longest_subsequence(prediction: TokenizedText, reference: TokenizedText) -> tuple[set[int], set[int]]:
    """The longest common subsequence as token indices in prediction and reference."""
    pairs = positions(reference.ids, prediction.ids)
    return {in_prediction for _, in_prediction in pairs}, {in_reference for in_reference, _ in pairs}


def _union_of_lines(prediction: TokenizedText, reference: TokenizedText) -> tuple[set[int], set[int]]:
    """ROUGE-Lsum's matches as token indices in prediction and reference.

    For each reference line it is the union over the predicted lines, each token as often as both sides have it. The
    metric counts tokens, not pairs: in the prediction the matched occurrences of a token come first, and where they are
    fewer than what counted, further occurrences of the same token stand for the rest.
    """
    reference_places: dict[int, list[int]] = {}
    matched: set[int] = set()
    predicted_lines = [(line, [prediction.ids[place] for place in line]) for line in _lines(prediction)]
    for line in _lines(reference):
        tokens = [reference.ids[place] for place in line]
        union: set[int] = set()
        bag = set(tokens)
        for predicted_line, predicted_tokens in predicted_lines:
            for i, j in () if bag.isdisjoint(predicted_tokens) else positions(tokens, predicted_tokens):
                union.add(line[i])
                matched.add(predicted_line[j])
        for place in sorted(union):
            reference_places.setdefault(reference.ids[place], []).append(place)
    occurrences: dict[int, list[int]] = {}
    for place in sorted(range(len(prediction.ids)), key=lambda place: place not in matched):
        occurrences.setdefault(prediction.ids[place], []).append(place)
    in_prediction: set[int] = set()
    in_reference: set[int] = set()
    for token, places in reference_places.items():
        count = min(len(places), len(occurrences[token]))
        in_prediction.update(occurrences[token][:count])
        in_reference.update(places[:count])
    return in_prediction, in_reference


def _lines(side: TokenizedText) -> list[list[int]]:
    """The token indices of each line."""
    lines: dict[int, list[int]] = {}
    line = position = 0
    for index, (start, _) in enumerate(side.spans):
        line += side.text.count("\n", position, start)
        position = start
        lines.setdefault(line, []).append(index)
    return list(lines.values())
