"""BLEU explained: the four precisions, the brevity penalty, and which of them did most harm."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from tutelage.core.errors import InputError
from tutelage.metrics.catalogue import MetricSpec
from tutelage.metrics.score import Row
from tutelage.scoring.explain.explanation import Bleu, Gram, Marked, Order
from tutelage.scoring.explain.token_spans import Run, Side, mark_grams, word_sides

_ORDERS = (1, 2, 3, 4)


def explain(spec: MetricSpec, row: Row) -> Bleu:
    """The row's own BLEU (effective order), as `bleu` and `sentence_bleu` give it for a row alone."""
    texts = _tokenised(spec, [row])[0]
    prediction, *references = word_sides(texts)
    counts = [_grams(prediction, references, n) for n in _ORDERS]
    marked = mark_grams(prediction, _most_of_each(references), 1)[0]
    return _bleu(
        spec,
        rows=1,
        matches=[sum(gram.counted for gram in grams) for grams in counts],
        totals=[sum(gram.prediction for gram in grams) for grams in counts],
        lengths=(len(prediction.ids), _closest(prediction, references)),
        effective=True,
        grams=counts,
        texts=(marked, tuple(texts[1:])),
    )


def explain_corpus(spec: MetricSpec, rows: Sequence[Row]) -> Bleu:
    """BLEU of all rows together: their counts are summed, and no order is left out."""
    matches, totals = [0] * len(_ORDERS), [0] * len(_ORDERS)
    predicted = wanted = 0
    for texts in _tokenised(spec, rows):
        prediction, *references = word_sides(texts)
        predicted += len(prediction.ids)
        wanted += _closest(prediction, references)
        for place, n in enumerate(_ORDERS):
            own = Counter(prediction.runs(n))
            matches[place] += (own & _most(references, n)).total()
            totals[place] += own.total()
    return _bleu(
        spec, rows=len(rows), matches=matches, totals=totals, lengths=(predicted, wanted), effective=False
    )


def _tokenised(spec: MetricSpec, rows: Sequence[Row]) -> list[list[str]]:
    """Each row's prediction and references with BLEU's tokens apart."""
    from sacrebleu.metrics import BLEU

    for index, row in enumerate(rows):
        if not row.references:
            raise InputError(f"{spec.text} needs a reference", where=f"row {index + 1}", found="none")
    metric = BLEU(lowercase=spec.options["lowercase"], tokenize=spec.options["tokenize"], force=True)
    apart = metric._preprocess_segment  # noqa: SLF001 - as its own tests do
    return [[" ".join(apart(text).split()) for text in (row.prediction, *row.references)] for row in rows]


def _most(references: Sequence[Side], n: int) -> Counter[Run]:
    """Of each n-gram the largest count that one reference has."""
    most: Counter[Run] = Counter()
    for side in references:
        most |= Counter(side.runs(n))
    return most


def _most_of_each(references: Sequence[Side]) -> Side:
    """The references as one bag of words, each as often as the reference that has it most."""
    ids = tuple(run[0] for run in _most(references, 1).elements())
    return Side("", ids, ((0, 0),) * len(ids))


def _closest(prediction: Side, references: Sequence[Side]) -> int:
    """The reference length closest to the prediction's, of two equally close ones the shorter."""
    length = len(prediction.ids)
    return min((len(side.ids) for side in references), key=lambda own: (abs(own - length), own))


def _grams(prediction: Side, references: Sequence[Side], n: int) -> tuple[Gram, ...]:
    most = _most(references, n)
    forms: dict[Run, str] = {}
    for start, run in enumerate(prediction.runs(n)):
        first, last = prediction.places[start], prediction.places[start + n - 1]
        forms.setdefault(run, prediction.text[first[0] : last[1]])
    counts = Counter(prediction.runs(n))
    return tuple(Gram((form,), counts[run], most[run]) for run, form in forms.items())


def _bleu(
    spec: MetricSpec,
    *,
    rows: int,
    matches: Sequence[int],
    totals: Sequence[int],
    lengths: tuple[int, int],
    effective: bool,
    grams: Sequence[tuple[Gram, ...]] = ((), (), (), ()),
    texts: tuple[Marked | None, tuple[str, ...]] = (None, ()),
) -> Bleu:
    smooth = str(spec.options["smooth"])
    precisions = _precisions(matches, totals, smooth)
    known = sum(precision is not None for precision in precisions)
    divisor = max(known, 1) if effective else len(_ORDERS)
    orders = []
    for n in _ORDERS:
        own = precisions[n - 1] or 0.0
        counts = n <= divisor
        plain = 100 * matches[n - 1] / totals[n - 1] if totals[n - 1] else 0.0
        factor = (own / 100) ** (1 / divisor) if counts else 1.0
        orders.append(
            Order(n, matches[n - 1], totals[n - 1], own, own != plain, counts, factor, grams[n - 1])
        )
    predicted, wanted = lengths
    penalty = 1.0 if predicted >= wanted else math.exp(1 - wanted / predicted) if predicted else 0.0
    used = [order.precision for order in orders if order.counts]
    value = 0.0
    if any(matches) and all(used):
        value = penalty * math.exp(sum(math.log(own) for own in used) / divisor)
    return Bleu(
        spec.text,
        value,
        rows=rows,
        orders=tuple(orders),
        penalty=penalty,
        predicted=predicted,
        wanted=wanted,
        smooth=smooth,
        effective=effective,
        prediction=texts[0],
        references=texts[1],
    )


def _precisions(matches: Sequence[int], totals: Sequence[int], smooth: str) -> list[float | None]:
    """Precisions in 100 after smoothing; None from the first order on that has no n-grams."""
    found: list[float | None] = [None] * len(_ORDERS)
    halvings = 0
    for place, n in enumerate(_ORDERS):
        more = smooth == "add-k" and n > 1
        right, total = matches[place] + more, totals[place] + more
        if total == 0:
            break
        if right == 0 and smooth == "exp":
            halvings += 1
            found[place] = 100 / (2**halvings * total)
        elif right == 0 and smooth == "floor":
            found[place] = 100 * 0.1 / total
        else:
            found[place] = 100 * right / total
    return found
