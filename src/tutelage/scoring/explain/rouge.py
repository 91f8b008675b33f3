"""ROUGE explained: which n-grams counted, or which tokens are the longest common subsequence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from tutelage.core.errors import InputError
from tutelage.metrics.catalogue import MetricSpec
from tutelage.metrics.rouge.lcs import positions
from tutelage.metrics.score import Row
from tutelage.scoring.explain import token_spans
from tutelage.scoring.explain.explanation import Explanation, Marked, NGrams, Shares, Subsequence, best
from tutelage.scoring.explain.token_spans import Side

Pair = tuple[set[int], set[int]]


def explain(spec: MetricSpec, row: Row) -> Explanation:
    """The row's ROUGE by the reference that was chosen."""
    if not row.references:
        raise InputError(f"{spec.text} needs a reference", where="row 1", found="none")
    options: dict[str, Any] = dict(spec.options)
    prediction, *references = token_spans.sides(
        [row.prediction, *row.references], stemmer=options["stemmer"], tokenizer=options["tokenizer"]
    )
    variant = spec.entry.name.removeprefix("rouge")
    if variant.isdigit():
        return _ngrams(spec, prediction, references, int(variant))
    return _subsequence(spec, prediction, references, by_lines=variant == "Lsum")


def _ngrams(spec: MetricSpec, prediction: Side, references: Sequence[Side], n: int) -> NGrams:
    own = Counter(prediction.runs(n))
    shares = tuple(
        Shares.of((own & Counter(side.runs(n))).total(), own.total(), len(side.runs(n)))
        for side in references
    )
    marked = token_spans.mark_grams(prediction, references[best(shares)], n)
    told = _overlap(spec, marked, shares)
    return NGrams(**told, n=n, grams=token_spans.grams(prediction, references[best(shares)], n))


def _subsequence(
    spec: MetricSpec, prediction: Side, references: Sequence[Side], *, by_lines: bool
) -> Subsequence:
    find: Callable[[Side, Side], Pair] = _union if by_lines else _longest
    pairs = [find(prediction, side) for side in references]
    shares = tuple(
        Shares.of(len(pair[0]), len(prediction.ids), len(side.ids))
        for pair, side in zip(pairs, references, strict=True)
    )
    chosen = best(shares)
    in_prediction, in_reference = pairs[chosen]
    marked = (
        token_spans.mark_tokens(prediction, in_prediction),
        token_spans.mark_tokens(references[chosen], in_reference),
    )
    return Subsequence(**_overlap(spec, marked, shares), by_lines=by_lines)


def _overlap(spec: MetricSpec, marked: tuple[Marked, Marked], shares: tuple[Shares, ...]) -> dict[str, Any]:
    measure = str(spec.options["measure"])
    chosen = best(shares)
    averaged = spec.options["references"] == "jackknife" and len(shares) > 1
    value = float(getattr(shares[chosen], measure))
    if averaged:
        rests = [[*shares[:out], *shares[out + 1 :]] for out in range(len(shares))]
        value = sum(float(getattr(rest[best(rest)], measure)) for rest in rests) / len(rests)
    return {
        "metric": spec.text,
        "value": value,
        "measure": measure,
        "prediction": marked[0],
        "reference": marked[1],
        "chosen": chosen,
        "shares": shares,
        "averaged": averaged,
    }


def _longest(prediction: Side, reference: Side) -> Pair:
    """The places of the longest common subsequence in both texts."""
    found = positions(reference.ids, prediction.ids)
    return {other for _, other in found}, {own for own, _ in found}


def _union(prediction: Side, reference: Side) -> Pair:
    """ROUGE-Lsum's places: of each reference line the union over the predicted lines, as often as both sides have it.

    The metric counts tokens, not pairs, so on the prediction's side the places found come first, and where they are
    fewer than what counted, further occurrences of the same token stand for the rest.
    """
    wanted: dict[int, list[int]] = {}
    seen: set[int] = set()
    predicted = [(line, [prediction.ids[place] for place in line]) for line in _lines(prediction)]
    for line in _lines(reference):
        own = [reference.ids[place] for place in line]
        union: set[int] = set()
        bag = set(own)
        for other_line, other in predicted:
            for i, j in () if bag.isdisjoint(other) else positions(own, other):
                union.add(line[i])
                seen.add(other_line[j])
        for place in sorted(union):
            wanted.setdefault(reference.ids[place], []).append(place)
    occurrences: dict[int, list[int]] = {}
    for place in sorted(range(len(prediction.ids)), key=lambda place: place not in seen):
        occurrences.setdefault(prediction.ids[place], []).append(place)
    in_prediction: set[int] = set()
    in_reference: set[int] = set()
    for token, found in wanted.items():
        count = min(len(found), len(occurrences[token]))
        in_prediction.update(occurrences[token][:count])
        in_reference.update(found[:count])
    return in_prediction, in_reference


def _lines(side: Side) -> list[list[int]]:
    """The tokens of each line, by their places."""
    lines: dict[int, list[int]] = {}
    line = at = 0
    for place, (start, _) in enumerate(side.places):
        line += side.text.count("\n", at, start)
        at = start
        lines.setdefault(line, []).append(place)
    return list(lines.values())
