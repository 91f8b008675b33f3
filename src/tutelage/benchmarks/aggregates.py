"""Scores of groups of parts, and averages that weigh parts otherwise than by their asked items.

An average over parts is stored as values per item: each item's value times its weight, where the weights have mean 1. The mean of
these values is the average, so two models can be paired item by item.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tutelage.metrics import ItemScores, Row, score_rows
from tutelage.metrics.catalogue import parse
from tutelage.metrics.score import AVERAGE
from tutelage.metrics.stats import intervals

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ScoredPart:
    """What a scored part belongs to, and its size.

    Attributes:
        groups: its groups of parts.
        fold: the task that it is a variant of; "" for none.
        size: how many items it has in all, asked or not.
    """

    groups: tuple[str, ...] = ()
    fold: str = ""
    size: int = 0


def group_scores(
    metrics: Sequence[str],
    rows: Sequence[Row],
    parts: Mapping[str, ScoredPart],
    whole: Mapping[str, ItemScores],
) -> dict[str, dict[str, ItemScores]]:
    """Score groups of parts, and the averages that differ from the plain one.

    Args:
        metrics: names of metrics.
        rows: all rows; `task` is a row's part.
        parts: what each part belongs to.
        whole: the scores over all rows.

    Returns:
        By name of group; then `micro` (over all items that there are, where a sample was asked and the parts differ in size) and
        `macro` (the mean over parts, variants of one task counting as one), where there is more than one part. Metrics that are
        no mean over items have no such average.
    """
    groups: dict[str, dict[str, ItemScores]] = {}
    for name in dict.fromkeys(group for part in parts.values() for group in part.groups):
        groups[name] = score_rows(metrics, [row for row in rows if name in parts[row.task].groups])
    counts = {name: sum(row.task == name for row in rows) for name in parts}
    scored = {name: part for name, part in parts.items() if counts[name]}
    if len(scored) < 2:
        return groups
    ratios = [part.size / counts[name] for name, part in scored.items()]
    if max(ratios) > min(ratios) * (1 + 1e-9):
        groups["micro"] = _averages(whole, rows, {name: part.size for name, part in scored.items()}, "micro")
    folds = {name: part.fold or name for name, part in scored.items()}
    weights = {name: 1 / list(folds.values()).count(fold) for name, fold in folds.items()}
    groups["macro"] = _averages(whole, rows, weights, "macro")
    return {name: scores for name, scores in groups.items() if scores}


def _averages(
    whole: Mapping[str, ItemScores], rows: Sequence[Row], weights: Mapping[str, float], name: str
) -> dict[str, ItemScores]:
    """The metrics that are means over items, averaged with these weights of the parts."""
    averages = {}
    for metric, scored in whole.items():
        per_item = len(scored.items) == len(rows) and not np.isnan(scored.items).any()
        if per_item and math.isclose(scored.score.value, float(scored.items.mean()), abs_tol=1e-9):
            averages[metric] = weighted(scored, [rows[index].task for index in scored.rows], weights, name)
    return averages


def weighted(scored: ItemScores, parts: Sequence[str], weights: Mapping[str, float], name: str) -> ItemScores:
    """Average the items' values with other weights of the parts.

    The interval is a score interval on the stratified variance, with the variance within parts pooled, because parts are too
    small for a variance each (Cochran, Sampling Techniques, 1977, chapter 5). Where no part varies within, the variance of all
    items is used.

    Args:
        scored: a metric that is the mean of its items.
        parts: each item's part.
        weights: each part's.
        name: the average's name, for the signature.
    """
    names, place, counts = np.unique(np.array(parts), return_inverse=True, return_counts=True)
    share = np.array([weights[str(part)] for part in names], np.float64)
    share /= share.sum()
    means = np.bincount(place, scored.items) / counts
    value = float(share @ means)
    within = float(((scored.items - means[place]) ** 2).sum())
    free = len(parts) - len(names)
    variance = within / free * float((share**2 / counts).sum()) if free > 0 else 0.0
    entry = parse(scored.metric).entry
    # Parts that weigh more than their items make the average rest on fewer.
    size = intervals.effective_size((share / counts)[place])
    modal_count = intervals.most_common_count(scored.items) * size / len(parts)
    if variance == 0:  # no part varies within, or each has one item: the spread between items is all there is
        variance = float(scored.items.var(ddof=1)) / size if len(parts) > 1 else 0.0
    factor, quantile = intervals.smoothed_factor(
        value, variance, size, modal_count, max(1, free), low=entry.low, high=entry.high
    )
    low, high = intervals.score_interval(value, factor, quantile, low=entry.low, high=entry.high)
    per_item: Floats = scored.items * (share / counts)[place] * len(parts)
    signature = f"{scored.score.signature.split('|ci:')[0]}{AVERAGE}{name}|ci:stratified-score"
    return replace(
        scored,
        score=replace(scored.score, value=value, low=low, high=high, signature=signature),
        items=per_item,
        statistics=np.stack([per_item, np.ones(len(parts))], axis=1),
    )
