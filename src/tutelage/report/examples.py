"""Answers of both models side by side: most gained, most lost, and some at random."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tutelage.core import seeds
from tutelage.report import shown
from tutelage.report.shown import Number, Text
from tutelage.results.store import Evaluation, Item, Store

MOST = 200
EACH = 4


@dataclass(frozen=True, slots=True)
class Answer:
    """One model's answer and what it scored by the primary metric (None where that metric does not count it)."""

    text: Text
    score: Number | None
    cut_short: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """One item with both answers."""

    id: str
    part: str
    prompt: Text
    references: tuple[Text, ...]
    base: Answer
    tuned: Answer


@dataclass(frozen=True, slots=True)
class Examples:
    """The examples of one task or benchmark; `total` is how many items it has, `gained` and `lost` how many changed."""

    name: str
    metric: str
    total: int
    gained_count: int
    lost_count: int
    groups: tuple[tuple[str, str, tuple[Shown, ...]], ...]


def collect(store: Store, names: Sequence[tuple[str, str]]) -> list[Examples]:
    """Examples for each (suite, name), at most 200 items in all. Those without both models' answers are left out."""
    each = max(1, min(EACH, MOST // (3 * max(1, len(names)))))
    found = [_examples(store, suite, name, each) for suite, name in names[: MOST // (3 * each)]]
    return [one for one in found if one is not None]


def _examples(store: Store, suite: str, name: str, each: int) -> Examples | None:
    base, tuned = _last_scored(store, "base", suite, name), _last_scored(store, "tuned", suite, name)
    if base is None or tuned is None:
        return None
    metric = tuned.primary() or ""
    before, after = _by_item(base, metric), _by_item(tuned, metric)
    change = {
        item: (after[item] - before[item]) * _direction(tuned, metric)
        for item in before
        if item in after and math.isfinite(after[item] - before[item])
    }
    by_change = sorted(change, key=lambda item: -change[item])
    items = {item.id: item for item in tuned.items()}
    sides = (_Side(base, before, metric), _Side(tuned, after, metric))
    answered = [item for item in items if all(item in side.responses for side in sides)]
    chosen = seeds.generator(0, "report", suite, name).permutation(len(answered))[:each]
    picked = {
        "gained": [item for item in by_change[:each] if change[item] > 0],
        "lost": [item for item in reversed(by_change[-each:]) if change[item] < 0],
        "random": [answered[n] for n in sorted(chosen.tolist())],
    }
    titles = {"gained": "Most gained", "lost": "Most lost", "random": "At random"}
    return Examples(
        name=name,
        metric=metric,
        total=len(items),
        gained_count=sum(value > 0 for value in change.values()),
        lost_count=sum(value < 0 for value in change.values()),
        groups=tuple(
            (key, titles[key], tuple(_shown(items[item], *sides) for item in ids))
            for key, ids in picked.items()
        ),
    )


class _Side:
    """One model's answers and item scores."""

    def __init__(self, evaluation: Evaluation, scores: dict[str, float], metric: str) -> None:
        self.responses = evaluation.responses()
        self.scores = scores
        self.metric = metric

    def answer(self, item: str) -> Answer:
        response = self.responses[item]
        value = self.scores.get(item)
        return Answer(
            text=shown.text(response.text),
            score=None if value is None or not math.isfinite(value) else shown.score(self.metric, value),
            cut_short=response.finish == "length",
        )


def _shown(item: Item, base: _Side, tuned: _Side) -> Shown:
    return Shown(
        id=shown.plain(item.id),
        part=shown.plain(item.part),
        prompt=shown.text(item.prompt),
        references=tuple(shown.text(reference) for reference in item.references[:3]),
        base=base.answer(item.id),
        tuned=tuned.answer(item.id),
    )


def _last_scored(store: Store, model: str, suite: str, name: str) -> Evaluation | None:
    found = [one for one in store.evaluations(model=model, suite=suite, name=name) if one.parts()]
    return found[-1] if found else None


def _by_item(evaluation: Evaluation, metric: str) -> dict[str, float]:
    found = evaluation.item_scores().get(metric)
    if found is None:
        return {}
    scored, ids = found
    return dict(zip(ids, scored.items.tolist(), strict=True))


def _direction(evaluation: Evaluation, metric: str) -> int:
    scored = evaluation.scores().get(metric)
    return 1 if scored is None or scored.higher_is_better else -1
