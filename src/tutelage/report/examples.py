"""Answers of both models side by side: newly wrong, newly right, most gained, most lost, and some at random."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tutelage.comparison import wording
from tutelage.core import seeds
from tutelage.metrics import Row
from tutelage.metrics.catalogue import catalogue
from tutelage.report import formatting, highlighting
from tutelage.report.formatting import Number, Text
from tutelage.report.highlighting import Pieces
from tutelage.results.store import Evaluation, Item, Store

MOST = 200  # items on the page
EACH = 10  # of one group
ROOM = 1_200_000  # characters of all items' texts and marks: what keeps the page quick to open
GROUPS = {
    "wrong": "Newly wrong",
    "right": "Newly right",
    "lost": "Most lost",
    "gained": "Most gained",
    "random": "At random",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """One model's answer.

    Attributes:
        text: the answer, marked.
        right: whether it is right, None where no metric says so of a single answer.
        score: what it scored by a graded metric, None where none counts it.
        why: each metric's label and what its value is made of.
    """

    text: Pieces
    right: bool | None
    score: Number | None
    cut_short: bool
    why: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """One item with both answers; `groups` are all it was chosen for."""

    id: str
    part: str
    groups: tuple[str, ...]
    prompt: Text
    references: tuple[Pieces, ...]
    base: Answer
    tuned: Answer

    @property
    def weight(self) -> int:
        """About how many characters of the page its texts take."""
        answers = (self.base, self.tuned)
        told = sum(len(label) + len(said) for answer in answers for label, said in answer.why)
        pieces = (*self.references, *(answer.text for answer in answers))
        return len(self.prompt.content) + told + sum(one.weight for one in pieces)


@dataclass(frozen=True, slots=True)
class Group:
    """Items chosen for one reason; `count` is how many there are in all, `above` how many stand in a group before."""

    key: str
    title: str
    items: tuple[Shown, ...]
    count: int | None
    above: int


@dataclass(frozen=True, slots=True)
class Examples:
    """The examples of one task or benchmark.

    Attributes:
        right_by: the label of the metric by which an answer is right or wrong, '' when there is none.
        graded_by: the label of the metric by which answers gain and lose, '' when there is none.
        total: how many items it has.
    """

    name: str
    right_by: str
    graded_by: str
    total: int
    groups: tuple[Group, ...]

    @property
    def count(self) -> int:
        """How many are on the page."""
        return sum(len(group.items) for group in self.groups)


def collect(store: Store, names: Sequence[tuple[str, str]]) -> list[Examples]:
    """Examples for each (suite, name), at most 200 items in all, and fewer when their texts are very long.

    What lacks one model's answers is left out.
    """
    each = max(1, min(EACH, MOST // (len(GROUPS) * max(1, len(names)))))
    taken = names[: MOST // (len(GROUPS) * each)]
    found = [_examples(store, suite, name, each) for suite, name in taken]
    room = ROOM // (len(GROUPS) * max(1, len(taken)))
    return [replace(one, groups=tuple(_fitting(group, room) for group in one.groups)) for one in found if one]


def _fitting(group: Group, room: int) -> Group:
    """The first items of a group that fit: very long texts make it shorter, but never empty."""
    kept: list[Shown] = []
    for item in group.items:
        room -= item.weight
        if room < 0 and kept:
            break
        kept.append(item)
    return replace(group, items=tuple(kept))


def _examples(store: Store, suite: str, name: str, each: int) -> Examples | None:
    base, tuned = (_last_scored(store, model, suite, name) for model in ("base", "tuned"))
    if base is None or tuned is None:
        return None
    items = {item.id: item for item in tuned.items()}
    sides = _Side(base), _Side(tuned)
    answered = [item for item in items if all(item in side.responses for side in sides)]
    flips, graded = _first(sides, proportion=True), _first(sides, proportion=False)
    changes = {metric: _changes(sides, metric, answered) for metric in {flips, graded} - {None}}
    chance = seeds.generator(0, "report", suite, name)
    mixed = [answered[n] for n in chance.permutation(len(answered)).tolist()]
    picked = _picked(mixed, changes.get(flips), changes.get(graded))
    chosen = {key: found[:each] for key, found in picked.items()}
    explained_by = highlighting.marking([metric for metric in sides[1].scores if metric in sides[0].scores])
    groups, done = [], set[str]()
    for key, found in chosen.items():
        fresh = [item for item in found if item not in done]
        done.update(fresh)
        shown_items = tuple(
            _shown(items[item], sides, _keys(chosen, item), (flips, graded), explained_by) for item in fresh
        )
        count = None if key == "random" else len(picked[key])
        groups.append(Group(key, GROUPS[key], shown_items, count, len(found) - len(fresh)))
    return Examples(
        name=name,
        right_by=wording.metric_wording(flips).label if flips else "",
        graded_by=wording.metric_wording(graded).label if graded else "",
        total=len(items),
        groups=tuple(groups),
    )


def _picked(
    mixed: Sequence[str], flips: Mapping[str, float] | None, graded: Mapping[str, float] | None
) -> dict[str, list[str]]:
    """The items of each group, the most telling first; of equal ones chance says which."""
    found: dict[str, list[str]] = {}
    by = graded or {}
    if flips is not None:
        found["wrong"] = sorted((i for i in mixed if flips.get(i, 0) < 0), key=lambda i: by.get(i, 0.0))
        found["right"] = sorted((i for i in mixed if flips.get(i, 0) > 0), key=lambda i: -by.get(i, 0.0))
    if graded is not None:
        found["lost"] = sorted((i for i in mixed if graded.get(i, 0) < 0), key=graded.__getitem__)
        found["gained"] = sorted((i for i in mixed if graded.get(i, 0) > 0), key=lambda i: -graded[i])
    return {**found, "random": list(mixed)}


def _keys(chosen: Mapping[str, Sequence[str]], item: str) -> tuple[str, ...]:
    return tuple(key for key, found in chosen.items() if item in found)


class _Side:
    """One model's answers, and its items' values by metric."""

    def __init__(self, evaluation: Evaluation) -> None:
        self.responses = evaluation.responses()
        found = evaluation.item_scores()
        self.primary = evaluation.primary() or ""
        order = sorted(found, key=lambda metric: metric != self.primary)
        self.scores = {
            metric: dict(zip(found[metric][1], found[metric][0].items.tolist(), strict=True))
            for metric in order
        }
        self.signs = {metric: 1 if found[metric][0].higher_is_better else -1 for metric in order}

    def value(self, metric: str | None, item: str) -> float | None:
        """An item's value, None where the metric does not count the item."""
        value = self.scores.get(metric or "", {}).get(item, math.nan)
        return value if math.isfinite(value) else None


def _first(sides: tuple[_Side, _Side], *, proportion: bool) -> str | None:
    """The first metric, the primary before others, that tells right from wrong, or that grades."""
    for metric in sides[1].scores:
        entry = catalogue().get(metric.partition(":")[0])
        kind = entry.kind if entry else "other"
        if metric in sides[0].scores and (kind == "proportion") == proportion:
            return metric
    return None


def _changes(sides: tuple[_Side, _Side], metric: str | None, items: Sequence[str]) -> dict[str, float]:
    """How much better each item is answered, where both models' answers count."""
    found = {}
    for item in items:
        before, after = (side.value(metric, item) for side in sides)
        if before is not None and after is not None:
            found[item] = (after - before) * sides[1].signs[metric or ""]
    return found


def _shown(
    item: Item,
    sides: tuple[_Side, _Side],
    groups: tuple[str, ...],
    by: tuple[str | None, str | None],
    explained_by: Sequence[str],
) -> Shown:
    told = [
        highlighting.why(explained_by, Row(side.responses[item.id].text, item.references, item.fields))
        for side in sides
    ]
    references = [highlighting.plain(reference) for reference in item.references]
    marked = told[1].reference
    if marked is not None:  # the one that the tuned answer was compared with comes first
        del references[told[1].chosen]
        references.insert(0, marked)
    base, tuned = (_answer(item.id, side, own, by) for side, own in zip(sides, told, strict=True))
    return Shown(
        id=formatting.plain(item.id),
        part=formatting.plain(item.part),
        groups=groups,
        prompt=formatting.text(item.prompt),
        references=tuple(references[:3]),
        base=base,
        tuned=tuned,
    )


def _answer(item: str, side: _Side, why: highlighting.Why, by: tuple[str | None, str | None]) -> Answer:
    flips, graded = by
    right, score = side.value(flips, item), side.value(graded, item)
    response = side.responses[item]
    better = flips is None or side.signs[flips] > 0
    return Answer(
        text=why.prediction,
        right=None if right is None else (right > 0.5) == better,
        score=None if score is None or graded is None else formatting.score(graded, score),
        cut_short=response.finish == "length",
        why=why.sentences,
    )


def _last_scored(store: Store, model: str, suite: str, name: str) -> Evaluation | None:
    found = [one for one in store.evaluations(model=model, suite=suite, name=name) if one.parts()]
    return found[-1] if found else None
