"""Whether the base was never told the labels that a task answers with, so that its low score says nothing of what it knows."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from tutelage.comparison.class_report import class_report, classes_of
from tutelage.core.types import Response
from tutelage.results.evaluation import Evaluation, Item

FACT = "the base was never told the labels"
"""Stands beside the base's score."""
_MOSTLY = 0.5
"""From this share on of answers that are no label, the base does not guess among the labels."""
_TOLD = 0.05
"""Prompts that hold the labels by chance: no more than this share."""
_LISTED = 0.8
"""The share of the labels that a prompt holds which lists them: test rows may have labels that the list forgot."""


def never_told_labels(base: Evaluation) -> bool:
    """Whether prompts name no set of labels, and most of the base's answers are none of them."""
    return labels_are_untold(list(base.item_scores()), base.items(), base.responses())


def labels_are_untold(
    metrics: Sequence[str], items: Sequence[Item], responses: Mapping[str, Response]
) -> bool:
    """As `never_told_labels`.

    Args:
        metrics: what the items are scored by.
        items: with the prompts, exemplars among them.
        responses: the base's, by item id; an answer that was chosen among the labels was told them.
    """
    answered = [item for item in items if item.id in responses]
    names = classes_of(answered)
    report = class_report(metrics, answered, responses, responses)
    if names is None or report is None or any(response.choice is not None for response in responses.values()):
        return False
    # Only ASCII letters and digits end a word here: scripts without spaces write labels next to other words.
    words = [
        re.compile(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", re.IGNORECASE)
        for name in names
        if name
    ]
    enough = max(2, math.ceil(_LISTED * len(words)))
    telling = sum(sum(word.search(item.prompt) is not None for word in words) >= enough for item in answered)
    return telling <= _TOLD * len(answered) and report.base.no_class >= _MOSTLY * len(answered)
