"""Items that one model answers rightly and another wrongly, with both answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tutelage.comparison.pairing import common_items
from tutelage.comparison.runs import latest_scored_evaluations, open_results
from tutelage.results.store import Evaluation


@dataclass(frozen=True, slots=True)
class Flip:
    """An item that one of two models answers rightly and the other wrongly.

    Attributes:
        name: the task or benchmark.
        item: the item's id.
        right: whether the later model is the one that is right.
        prompt: the question, without exemplars.
        references: the right answers.
        answers: those of the first and the later model.
    """

    name: str
    item: str
    right: bool
    prompt: str
    references: tuple[str, ...]
    answers: tuple[str, str]


def flipped_items(first: Path, other: Path, *, limit: int) -> list[Flip]:
    """List flipped items of everything that both measured with a primary metric that says right or wrong.

    Args:
        first: a run folder, the folder of an evaluation, or a results.sqlite.
        other: the same of the later model.
        limit: how many newly right items, and newly wrong ones, of each task or benchmark.
    """
    with open_results(first) as a, open_results(other) as b:
        a_evaluations, b_evaluations = latest_scored_evaluations(a), latest_scored_evaluations(b)
        shared = [key for key in a_evaluations if key in b_evaluations]
        return [flip for key in shared for flip in _flips(a_evaluations[key], b_evaluations[key], limit)]


def _flips(a: Evaluation, b: Evaluation, limit: int) -> Iterator[Flip]:
    a_values, b_values = _primary_values(a), _primary_values(b)
    ids = [id_ for id_ in common_items(a, b) if id_ in a_values and id_ in b_values]
    if {values[id_] for values in (a_values, b_values) for id_ in ids} - {0.0, 1.0}:
        return
    items = {item.id: item for item in a.items()}
    a_responses, b_responses = a.responses(), b.responses()
    for right in (True, False):
        flipped = [id_ for id_ in ids if (a_values[id_], b_values[id_]) == (1.0 - right, float(right))]
        for id_ in flipped[:limit]:
            answers = (a_responses[id_].text, b_responses[id_].text)
            yield Flip(a.name, id_, right, items[id_].prompt, items[id_].references, answers)


def _primary_values(evaluation: Evaluation) -> dict[str, float]:
    """Each item's value by the primary metric."""
    primary, by_metric = evaluation.primary(), evaluation.item_scores()
    if primary is None or primary not in by_metric:
        return {}
    scores, ids = by_metric[primary]
    return dict(zip(ids, scores.items.tolist(), strict=True))
