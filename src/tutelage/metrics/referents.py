"""Whether an answer names the noun that a pronoun refers to, as T5 answers the Winograd schema challenge."""

from __future__ import annotations

import numpy as np

from tutelage.metrics.catalogue import MetricSpec
from tutelage.metrics.implementation import ItemStatistics, MetricImplementation, ScoringBatch, of_means
from tutelage.metrics.row_fields import field_error, single_reference

REFERS = "1"
"""The reference of a row whose pronoun refers to the noun."""
DETERMINERS = frozenset(
    ["a", "an", "few", "her", "his", "each", "every", "many", "much", "my", "our", "some", "that", "the", "their", "these", "this", "those", "which", "whose", "your"]
)  # fmt: skip


def _count(batch: ScoringBatch, spec: MetricSpec) -> ItemStatistics:
    right = []
    for index, row in enumerate(batch.rows):
        noun = row.fields.get("referent")
        if not isinstance(noun, str) or not noun.strip():
            raise field_error(f"{spec.text} needs the noun", row, f"row {index + 1}", "referent", "a text")
        refers = single_reference(spec, row, index, expected=f"verdict ({REFERS}: it refers to the noun)")
        right.append(names(row.prediction, noun) == (refers.strip() == REFERS))
    return of_means(np.array(right, np.float64))


def names(answer: str, noun: str) -> bool:
    """Whether all words of an answer are words of the noun, or the other way round; a possessive is another noun."""
    if ("'" in answer) != ("'" in noun):
        return False
    answer_words, noun_words = _words(answer), _words(noun)
    return answer_words <= noun_words or noun_words <= answer_words


def _words(text: str) -> set[str]:
    """The words of a text in lower case without determiners; a text without words has one empty word."""
    return set(
        " ".join(word for word in text.strip().lower().split(" ") if word not in DETERMINERS).split(" ")
    )


names_referent = MetricImplementation(_count)
