"""The split that `init` writes: enough test rows to tell something, and one that holds for the rows at hand."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

from tutelage.core.errors import InputError
from tutelage.core.types import Example
from tutelage.data import SplitSettings, split
from tutelage.data.split_names import split_name
from tutelage.metrics.stats.paired_tests import minimum_detectable_effect

_TEST_ROWS = 50
"""Test rows to aim at in a small file, where a tenth would be fewer; at most a third of its rows."""
_TRIED_ROWS, _TRIED_TURNS = 2_000, 20_000
"""Beyond so many rows the split is not tried out, for near-duplicates take long to find. Conversations share system prompts and
openings, so that theirs fails more often."""
_ITEM_DEVIATION = 0.5
"""The largest standard deviation of a score between 0 and 1, and of gains that are never losses."""
_THRESHOLDS = (None, 0.95, 1.0)


@dataclass(frozen=True, slots=True)
class ProposedSplit:
    """A split as a recipe writes it, and what is said about it there; `column` is the column that says it, if one does."""

    yaml: str
    comment: str
    column: str | None = None


def propose_split(
    examples: Sequence[Example],
    prompt_fields: Sequence[str],
    completion_fields: Sequence[str],
    *,
    is_conversation: bool,
) -> ProposedSplit:
    """Propose a split.

    Args:
        examples: all rows.
        prompt_fields: the fields that the prompt reads.
        completion_fields: the fields that the completion reads.
        is_conversation: whether rows are turns of conversations, which stay together.

    Returns:
        The split with the lowest threshold of near-duplicates with which it holds; the default where none does, so that the
        run says what is wrong with the rows.
    """
    column = _split_column(examples)
    if column is not None:
        return ProposedSplit(
            f"{{column: {json.dumps(column)}}}", "this column says train, validation or test", column
        )
    settings = _shares(len(examples))
    together = "the turns of a conversation" if is_conversation else "rows with equal prompts"
    if len(examples) > (_TRIED_TURNS if is_conversation else _TRIED_ROWS):
        power = _power(round(settings.test * len(examples)))
        return ProposedSplit(_yaml(settings), f"{together} stay together; {power}")
    fields = [*prompt_fields, *(["history"] if is_conversation else [])]
    problem = ""
    without_validation = replace(settings, validation=0)
    for shares, threshold in product((settings, without_validation), _THRESHOLDS):
        tried = shares if threshold is None else replace(shares, near_duplicate_threshold=threshold)
        grouped = replace(tried, group_by="conversation") if is_conversation else tried
        try:
            rows = split(examples, grouped, prompt_fields=fields, completion_fields=completion_fields)
        except InputError as error:
            problem = problem or error.problem
            continue
        if len(rows.test) > 1 and rows.train:
            alike = "" if threshold is None else "; many prompts are alike"
            return ProposedSplit(_yaml(tried), f"{together} stay together{alike}; {_power(len(rows.test))}")
    return ProposedSplit(_yaml(settings), f"this will not hold: {problem or 'too few rows'}")


def _shares(rows: int) -> SplitSettings:
    """The shares of test and validation rows: a tenth each, and more test rows in a small file."""
    test = max(0.1, min(1 / 3, _TEST_ROWS / rows))
    return SplitSettings(validation=0.1 if rows >= 20 else 0, test=math.floor(test * 100) / 100)


def _yaml(settings: SplitSettings) -> str:
    shares = {"train": round(1 - settings.validation - settings.test, 2), "validation": settings.validation}
    parts = [f"{name}: {share:g}" for name, share in {**shares, "test": settings.test}.items()]
    if settings.near_duplicate_threshold != SplitSettings().near_duplicate_threshold:
        parts.append(f"near_duplicate_threshold: {settings.near_duplicate_threshold:.2f}")
    return f"{{{', '.join(parts)}, seed: 0}}"


def _power(test_rows: int) -> str:
    """What so many test rows can tell."""
    points = 100 * minimum_detectable_effect(_ITEM_DEVIATION / math.sqrt(test_rows))
    if points > 100:
        return f"{test_rows:,} test rows tell nothing: bring more"
    return f"{test_rows:,} test rows tell a gain of {points:.0f} points from chance (80 % power)"


def _split_column(examples: Sequence[Example]) -> str | None:
    """The column that names a split in every row, train and test at least."""
    for name in examples[0].fields:
        splits = {split_name(row.fields.get(name)) for row in examples}
        if None not in splits and {"train", "test"} <= splits:
            return name
    return None
