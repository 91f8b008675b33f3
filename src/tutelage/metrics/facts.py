"""Does a prediction state a fact, and does it refuse where it should? Read from a row's further fields.

`must_contain` and `must_not_contain` (lists of strings), `answerable` (true or false; a row that has `must_contain` is
answerable when it does not say) and `refusal` (strings of which any marks a refusal).
"""

from __future__ import annotations

import functools
import re

import numpy as np

from tutelage.core.errors import InputError
from tutelage.metrics.catalogue import MetricSpec
from tutelage.metrics.implementation import ItemStatistics, MetricImplementation, ScoringBatch, of_means
from tutelage.metrics.score import Row


def _states_fact(shared: ScoringBatch, spec: MetricSpec) -> ItemStatistics:
    """Over answerable rows: all of `must_contain`, none of `must_not_contain`."""
    at = [index for index, row in enumerate(shared.rows) if _answerable(row, index, spec)]
    right = [_states(shared.rows[index], index, spec) for index in at]
    return of_means(np.array(right, np.float64), np.array(at, np.int64))


def _rightly_refuses(shared: ScoringBatch, spec: MetricSpec) -> ItemStatistics:
    """Over unanswerable rows: one of `refusal`."""
    at = [index for index, row in enumerate(shared.rows) if not _answerable(row, index, spec)]
    return _refusals(shared, at, spec)


def _wrongly_refuses(shared: ScoringBatch, spec: MetricSpec) -> ItemStatistics:
    """Over answerable rows: one of `refusal`."""
    at = [index for index, row in enumerate(shared.rows) if _answerable(row, index, spec)]
    return _refusals(shared, at, spec)


def contains(text: str, phrase: str) -> bool:
    """Whether a phrase stands in a text, case- and space-folded, at word boundaries.

    A number is one word: 19 does not stand in 19.50, nor 250 in 1,250.
    """
    return _pattern(phrase).search(_folded(text)) is not None


@functools.lru_cache(maxsize=4096)
def _pattern(phrase: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?<!\d[.,]){re.escape(_folded(phrase))}(?!\w)(?![.,]\d)")


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def _refusals(shared: ScoringBatch, at: list[int], spec: MetricSpec) -> ItemStatistics:
    refused = []
    for index in at:
        row = shared.rows[index]
        refused.append(any(contains(row.prediction, own) for own in _strings(row, "refusal", index, spec)))
    return of_means(np.array(refused, np.float64), np.array(at, np.int64))


def _states(row: Row, index: int, spec: MetricSpec) -> bool:
    wanted = _strings(row, "must_contain", index, spec)
    unwanted = _strings(row, "must_not_contain", index, spec) if "must_not_contain" in row.fields else []
    return all(contains(row.prediction, own) for own in wanted) and not any(
        contains(row.prediction, own) for own in unwanted
    )


def _answerable(row: Row, index: int, spec: MetricSpec) -> bool:
    told = row.fields.get("answerable")
    if isinstance(told, bool):
        return told
    if told is None and row.fields.get("must_contain"):
        return True
    raise _unreadable(row, "answerable", index, spec, "true or false")


def _strings(row: Row, name: str, index: int, spec: MetricSpec) -> list[str]:
    told = row.fields.get(name)
    texts = [own for own in told if isinstance(own, str) and own.strip()] if isinstance(told, list) else []
    if not isinstance(told, list) or len(texts) != len(told) or (not told and name != "must_not_contain"):
        raise _unreadable(row, name, index, spec, "a list of strings, none of them empty")
    return texts


def _unreadable(row: Row, name: str, index: int, spec: MetricSpec, expected: str) -> InputError:
    found = repr(row.fields[name])[:80] if name in row.fields else "no such field"
    return InputError(
        f"{spec.text} cannot read a row's {name}",
        where=f"row {index + 1}, field {name}",
        found=found,
        expected=expected,
    )


states_fact = MetricImplementation(_states_fact)
rightly_refuses = MetricImplementation(_rightly_refuses)
wrongly_refuses = MetricImplementation(_wrongly_refuses)
