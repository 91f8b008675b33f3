"""Tells what a column holds from its values: text, labels, numbers, dates, identifiers, or nothing that could be learned."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from tutelage.core.types import Json

ContentKind = Literal[
    "text", "label", "number", "date", "identifier", "running", "constant", "empty", "tags", "json", "nested"
]
LABEL_CHARACTERS = 60
"""The longest text that is still a label."""
MAX_LABELS = 200
MIN_LABELLED = 4
"""Below so many rows, repeated values say nothing."""
_FEW_ROWS = 40
"""Up to here labels are at most half as many as rows; beyond, at most a tenth, or `_FEW_LABELS`."""
_FEW_LABELS = 20
_SENTENCE = re.compile(r"(\S+\s+){2,}\S*[.!?]|(\S+\s+){8,}\S+|.*[\u3002\uff1f\uff01\u0964]", re.DOTALL)
"""Words that say something, and name no class: canned replies repeat as labels do."""
_NUMBER = re.compile(r"[+-]?[\d.,]*\d%?")
_DATE = re.compile(
    r"\d{4}[-/.]\d{1,2}([-/.]\d{1,2})?([T ]\d{1,2}:\d{2}\S*( ?[+-]\d{2}:?\d{2}| ?UTC)?)?"
    r"|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}( \d{1,2}:\d{2}\S*)?|\d{1,2}:\d{2}(:\d{2})?( ?[AaPp][Mm])?"
)
_IDENTIFIER = re.compile(
    r"(https?://|www\.)\S+|\S+@\S+\.\w+|[\w./#:-]{0,40}\d[\w./#:-]{0,40}|[./~]?[\w.-]*/[\w./-]+", re.ASCII
)
_ENTITY_TAG = re.compile(r"O|[BIESLUM]-\S+")


@dataclass(frozen=True, slots=True)
class ColumnContent:
    """What a column holds.

    Attributes:
        kind: `label` for few distinct short values, `running` for numbers that count rows, `tags` for one entity tag a row,
            `json` for JSON in a text, `nested` for lists and objects.
        values: the sampled values as texts, "" for none.
        is_ever_empty: whether some sampled row has no value.
    """

    kind: ContentKind
    values: tuple[str, ...]
    is_ever_empty: bool = False


def column_content(values: Sequence[Json]) -> ColumnContent:
    """What a column with these values holds."""
    texts = tuple(
        "" if value is None else value.strip() if isinstance(value, str) else str(value) for value in values
    )
    filled = [text for text in texts if text]
    is_nested = any(isinstance(value, list | dict) for value in values)
    kind: ContentKind = "nested" if is_nested else _kind(filled)
    return ColumnContent(kind, texts, len(filled) < len(texts))


def same_classes(one: ColumnContent, other: ColumnContent) -> bool:
    """Whether two columns name the same classes in two ways, such as 0 and "negative"."""
    pairs = set(zip(one.values, other.values, strict=True))
    return len(pairs) == len(set(one.values)) == len(set(other.values))


def _kind(filled: Sequence[str]) -> ContentKind:
    distinct = set(filled)
    tests: tuple[tuple[ContentKind, Callable[[], bool]], ...] = (
        ("empty", lambda: not filled),
        ("constant", lambda: len(distinct) == 1 and len(filled) > 2),
        ("json", lambda: all(text[0] in "[{" and text[-1] in "]}" for text in distinct)),
        ("tags", lambda: len(distinct) > 1 and all(map(_ENTITY_TAG.fullmatch, distinct))),
        ("running", lambda: _is_running(filled)),
        ("date", lambda: all(map(_DATE.fullmatch, distinct))),
        ("label", lambda: are_labels(filled)),
        ("number", lambda: all(map(_NUMBER.fullmatch, distinct))),
        (
            "identifier",
            lambda: len(distinct) == len(filled) > 2 and all(map(_IDENTIFIER.fullmatch, distinct)),
        ),
    )
    return next((kind for kind, holds in tests if holds()), "text")


def are_labels(filled: Sequence[str]) -> bool:
    """Whether texts are labels: short, few, repeated, and no sentences."""
    distinct = set(filled)
    limit = len(filled) // 2 if len(filled) <= _FEW_ROWS else max(_FEW_LABELS, len(filled) // 10)
    return (
        len(filled) >= MIN_LABELLED
        and 2 <= len(distinct) <= min(limit, MAX_LABELS)
        and all(len(text) <= LABEL_CHARACTERS and "\n" not in text for text in distinct)
        and not any(map(_SENTENCE.fullmatch, distinct))
    )


def _is_running(filled: Sequence[str]) -> bool:
    """Whether whole numbers grow by the same step nearly everywhere, as those that count rows do."""
    if len(filled) < 3 or not all(text.isdecimal() and len(text) < 19 for text in filled):
        return False
    numbers = [int(text) for text in filled]
    steps = Counter(after - before for before, after in pairwise(numbers))
    return min(steps) > 0 and steps.most_common(1)[0][1] * 2 > len(numbers) - 1
