"""Which items one model answers rightly and another does not, with what both said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tutelage.comparison.pairing import common
from tutelage.comparison.runs import latest_scored_evaluations, open_results
from tutelage.results.store import Evaluation


@dataclass(frozen=True, slots=True)
class Flip:
    """An item that one of two models answers rightly.

    Attributes:
        name: the task or benchmark.
        item: the item's id.
        right: whether the later model is the one that is right.
        prompt: what was asked, without worked examples.
        references: what is right.
        answers: what the first and the later model said.
    """

    name: str
    item: str
    right: bool
    prompt: str
    references: tuple[str, ...]
    answers: tuple[str, str]


def flipped_items(first: Path, other: Path, *, most: int) -> list[Flip]:
    """The items of all that both measured with a primary metric that says right or wrong.

    Args:
        first: a run folder, the folder of an evaluation, or a results.sqlite.
        other: the same of the later model.
        most: newly right items, and newly wrong ones, of each task or benchmark.
    """
    with open_results(first) as a, open_results(other) as b:
        left, right = latest_scored_evaluations(a), latest_scored_evaluations(b)
        both = [key for key in left if key in right]
        return [change for key in both for change in _of_one(left[key], right[key], most)]


def _of_one(a: Evaluation, b: Evaluation, most: int) -> Iterator[Flip]:
    spec = common(a, b)
    before, after = ({id_: one[id_] for id_ in spec if id_ in one} for one in (_values(a), _values(b)))
    if {*before.values(), *after.values()} - {0.0, 1.0}:
        return
    items = {item.id: item for item in a.items()}
    said = (a.responses(), b.responses())
    for right in (True, False):
        found = [
            id_
            for id_, value in before.items()
            if id_ in after and (value, after[id_]) == (1.0 - right, float(right))
        ]
        for id_ in found[:most]:
            item = items[id_]
            answers = (said[0][id_].text, said[1][id_].text)
            yield Flip(a.name, id_, right, item.prompt, item.references, answers)


def _values(evaluation: Evaluation) -> dict[str, float]:
    """Each item's value by the primary metric."""
    primary = evaluation.primary()
    scores = evaluation.item_scores()
    if primary is None or primary not in scores:
        return {}
    scored, ids = scores[primary]
    return dict(zip(ids, scored.items.tolist(), strict=True))
