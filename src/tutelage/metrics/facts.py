"""Does a prediction state a fact, and does it refuse where it should? Read from a row's further fields.

`must_contain` and `must_not_contain` (lists of strings), `answerable` (true or false; a row that has `must_contain` is
answerable when it does not say) and `refusal` (strings of which any marks a refusal).
"""

from __future__ import annotations

import functools
import re

import numpy as np

from tutelage.core.errors import InputError
from tutelage.metrics.measures import Counted, Family, Shared, of_means
from tutelage.metrics.names import Asked
from tutelage.metrics.score import Row


def _states_fact(shared: Shared, asked: Asked) -> Counted:
    """Over answerable rows: all of `must_contain`, none of `must_not_contain`."""
    at = [index for index, row in enumerate(shared.rows) if _answerable(row, index, asked)]
    right = [_states(shared.rows[index], index, asked) for index in at]
    return of_means(np.array(right, np.float64), np.array(at, np.int64))


def _rightly_refuses(shared: Shared, asked: Asked) -> Counted:
    """Over unanswerable rows: one of `refusal`."""
    at = [index for index, row in enumerate(shared.rows) if not _answerable(row, index, asked)]
    return _refusals(shared, at, asked)


def _wrongly_refuses(shared: Shared, asked: Asked) -> Counted:
    """Over answerable rows: one of `refusal`."""
    at = [index for index, row in enumerate(shared.rows) if _answerable(row, index, asked)]
    return _refusals(shared, at, asked)


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


def _refusals(shared: Shared, at: list[int], asked: Asked) -> Counted:
    refused = []
    for index in at:
        row = shared.rows[index]
        refused.append(any(contains(row.prediction, own) for own in _strings(row, "refusal", index, asked)))
    return of_means(np.array(refused, np.float64), np.array(at, np.int64))


def _states(row: Row, index: int, asked: Asked) -> bool:
    wanted = _strings(row, "must_contain", index, asked)
    unwanted = _strings(row, "must_not_contain", index, asked) if "must_not_contain" in row.fields else []
    return all(contains(row.prediction, own) for own in wanted) and not any(
        contains(row.prediction, own) for own in unwanted
    )


def _answerable(row: Row, index: int, asked: Asked) -> bool:
    told = row.fields.get("answerable")
    if isinstance(told, bool):
        return told
    if told is None and row.fields.get("must_contain"):
        return True
    raise _unreadable(row, "answerable", index, asked, "true or false")


def _strings(row: Row, name: str, index: int, asked: Asked) -> list[str]:
    told = row.fields.get(name)
    texts = [own for own in told if isinstance(own, str) and own.strip()] if isinstance(told, list) else []
    if not isinstance(told, list) or len(texts) != len(told) or (not told and name != "must_not_contain"):
        raise _unreadable(row, name, index, asked, "a list of strings, none of them empty")
    return texts


def _unreadable(row: Row, name: str, index: int, asked: Asked, expected: str) -> InputError:
    found = repr(row.fields[name])[:80] if name in row.fields else "no such field"
    return InputError(
        f"{asked.text} cannot read a row's {name}",
        where=f"row {index + 1}, field {name}",
        found=found,
        expected=expected,
    )


states_fact = Family(_states_fact)
rightly_refuses = Family(_rightly_refuses)
wrongly_refuses = Family(_wrongly_refuses)
