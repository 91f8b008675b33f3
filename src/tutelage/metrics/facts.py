"""Does a prediction state a fact, and does it refuse where it should? Read from a row's further fields.

`must_contain` and `must_not_contain` (lists of strings), `answerable` (true or false; a row that has `must_contain` is
answerable when it does not say) and `refusal` (strings of which any marks a refusal).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

import numpy as np

from tutelage.metrics.catalogue import MetricSpec
from tutelage.metrics.implementation import ItemStatistics, MetricImplementation, ScoringBatch, of_means
from tutelage.metrics.row_fields import field_error
from tutelage.metrics.score import Row

RowTest = Callable[[MetricSpec, Row, int], bool]


def contains(text: str, phrase: str) -> bool:
    """Whether a text has a phrase at word boundaries, case and space folded.

    A number is one word: 19.50 does not have 19, nor 1,250 have 250.
    """
    return _pattern(phrase).search(_folded(text)) is not None


@functools.lru_cache(maxsize=4096)
def _pattern(phrase: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?<!\d[.,]){re.escape(_folded(phrase))}(?!\w)(?![.,]\d)")


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def _share_of_rows(test: RowTest, *, answerable: bool) -> MetricImplementation:
    """The share of the answerable or of the unanswerable rows that pass a test."""

    def count(batch: ScoringBatch, spec: MetricSpec) -> ItemStatistics:
        rows = [
            index for index, row in enumerate(batch.rows) if _is_answerable(spec, row, index) == answerable
        ]
        passed = [test(spec, batch.rows[index], index) for index in rows]
        return of_means(np.array(passed, np.float64), np.array(rows, np.int64))

    return MetricImplementation(count)


def _states_fact(spec: MetricSpec, row: Row, index: int) -> bool:
    required = _phrases(spec, row, index, "must_contain")
    forbidden = _phrases(spec, row, index, "must_not_contain") if "must_not_contain" in row.fields else []
    return all(contains(row.prediction, phrase) for phrase in required) and not any(
        contains(row.prediction, phrase) for phrase in forbidden
    )


def _refuses(spec: MetricSpec, row: Row, index: int) -> bool:
    return any(contains(row.prediction, phrase) for phrase in _phrases(spec, row, index, "refusal"))


def _is_answerable(spec: MetricSpec, row: Row, index: int) -> bool:
    answerable = row.fields.get("answerable")
    if isinstance(answerable, bool):
        return answerable
    if answerable is None and row.fields.get("must_contain"):
        return True
    raise field_error(
        f"{spec.text} cannot read a row's answerable", row, f"row {index + 1}", "answerable", "true or false"
    )


def _phrases(spec: MetricSpec, row: Row, index: int, name: str) -> list[str]:
    values = row.fields.get(name)
    listed = values if isinstance(values, list) else []
    phrases = [phrase for phrase in listed if isinstance(phrase, str) and phrase.strip()]
    may_be_empty = name == "must_not_contain" and isinstance(values, list)
    if len(phrases) != len(listed) or not (phrases or may_be_empty):
        expected = "a list of strings, none of them empty"
        raise field_error(f"{spec.text} cannot read a row's {name}", row, f"row {index + 1}", name, expected)
    return phrases


states_fact = _share_of_rows(_states_fact, answerable=True)
rightly_refuses = _share_of_rows(_refuses, answerable=False)
wrongly_refuses = _share_of_rows(_refuses, answerable=True)
