"""Answers of both models side by side: still wrong and cut off first, then what changed, then a random sample."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from tutelage.comparison import wording
from tutelage.comparison.failures import is_cut_off
from tutelage.comparison.judged_items import judge
from tutelage.core import seeds
from tutelage.metrics import Row
from tutelage.metrics.catalogue import catalogue
from tutelage.report import formatting, highlighting
from tutelage.report.formatting import Number, Text
from tutelage.report.highlighting import ExplainedAnswer, HighlightedText
from tutelage.results.store import Evaluation, Item, Store

MAX_EXAMPLES = 200  # on the page
MAX_PER_GROUP = 10
MAX_CHARACTERS = 1_200_000  # of all examples with their markup, so that the page opens quickly
GROUPS = {
    "still": "Still wrong",
    "cut": "Cut off",
    "wrong": "Newly wrong",
    "right": "Newly right",
    "lost": "Most lost",
    "gained": "Most gained",
    "random": "At random",
}
_LOWEST = "Lowest scores"
"""Stands for "Still wrong" where no metric says right or wrong of an answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One model's answer.

    Attributes:
        text: the answer, highlighted.
        right: whether it is right, None if no metric says so of a single answer.
        score: its value by a graded metric, None if there is none.
        cut_short: whether it ended at the longest allowed length.
        why: labels of metrics, and what their values are made of.
    """

    text: HighlightedText
    right: bool | None
    score: Number | None
    cut_short: bool
    why: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ComparedItem:
    """One item with both answers; `groups` are all groups that it was chosen for."""

    id: str
    part: str
    groups: tuple[str, ...]
    prompt: Text
    references: tuple[HighlightedText, ...]
    base: Answer
    tuned: Answer

    @property
    def weight(self) -> int:
        """About how many characters its texts take on the page."""
        answers = (self.base, self.tuned)
        sentences = sum(len(label) + len(sentence) for answer in answers for label, sentence in answer.why)
        texts = (*self.references, *(answer.text for answer in answers))
        return len(self.prompt.content) + sentences + sum(text.weight for text in texts)


@dataclass(frozen=True, slots=True)
class ExampleGroup:
    """Examples chosen for one reason.

    Attributes:
        key: of `GROUPS`.
        title: for people.
        items: the examples.
        count: how many items fit the reason in all; None in the random sample and of the lowest scores.
        above: how many examples are not repeated here because an earlier group shows them.
    """

    key: str
    title: str
    items: tuple[ComparedItem, ...]
    count: int | None
    above: int


@dataclass(frozen=True, slots=True)
class Examples:
    """The examples of one task or benchmark.

    Attributes:
        name: of the task or benchmark.
        right_by: the labels of the metrics by which an answer is right or wrong, '' if there is none.
        graded_by: the label of the metric by which answers gain and lose, '' if there is none.
        total: how many items it has.
        groups: the examples by group.
    """

    name: str
    right_by: str
    graded_by: str
    total: int
    groups: tuple[ExampleGroup, ...]

    @property
    def count(self) -> int:
        """How many examples are on the page."""
        return sum(len(group.items) for group in self.groups)


class _ScoredAnswers:
    """One model's responses, and its items' values by metric, the primary metric first."""

    def __init__(self, evaluation: Evaluation) -> None:
        self.responses = evaluation.responses()
        item_scores = evaluation.item_scores()
        primary = evaluation.primary()
        metrics = sorted(item_scores, key=lambda metric: metric != primary)
        self.values = {
            metric: dict(zip(item_scores[metric][1], item_scores[metric][0].items.tolist(), strict=True))
            for metric in metrics
        }
        self.signs = {metric: 1 if item_scores[metric][0].higher_is_better else -1 for metric in metrics}

    def goodness(self, metric: str | None, item_id: str) -> float | None:
        """An item's value on a scale on which more is better: of a metric with a target, the negative distance to it."""
        value = self.value(metric, item_id)
        if metric is None or value is None:
            return None
        target = wording.metric_wording(metric).target
        return self.signs[metric] * value if target is None else -abs(value - target)

    def value(self, metric: str | None, item_id: str) -> float | None:
        """An item's value, None if the metric does not count the item."""
        value = self.values.get(metric or "", {}).get(item_id, math.nan)
        return value if math.isfinite(value) else None


_Pair = tuple[_ScoredAnswers, _ScoredAnswers]
"""Base and tuned."""


@dataclass(frozen=True, slots=True)
class _Metrics:
    """What examples are chosen and explained by: `right` says of an item whether base and tuned model answer it rightly."""

    graded: str | None
    explaining: Sequence[str]
    right: Mapping[str, tuple[bool, bool]]


def collect(store: Store, names: Sequence[tuple[str, str]]) -> list[Examples]:
    """Choose examples for each (suite, name): at most 200 in all, and fewer if their texts are very long.

    Tasks and benchmarks without answers of both models are left out.
    """
    per_group = max(1, min(MAX_PER_GROUP, MAX_EXAMPLES // (len(GROUPS) * max(1, len(names)))))
    names = names[: MAX_EXAMPLES // (len(GROUPS) * per_group)]
    room = MAX_CHARACTERS // (len(GROUPS) * max(1, len(names)))
    evaluations = store.last_scored()
    pairs = [[evaluations.get((model, suite, name)) for model in ("base", "tuned")] for suite, name in names]
    chosen = [_examples(base, tuned, per_group) for base, tuned in pairs if base and tuned]
    return [
        replace(examples, groups=tuple(_shortened(group, room) for group in examples.groups))
        for examples in chosen
    ]


def _shortened(group: ExampleGroup, room: int) -> ExampleGroup:
    """Drop the last examples of a group until their texts fit; the first one always stays."""
    ends = list(accumulate(example.weight for example in group.items))
    fitting = sum(end <= room for end in ends)
    return replace(group, items=group.items[: max(1, fitting)])


def _examples(base: Evaluation, tuned: Evaluation, per_group: int) -> Examples:
    items = {item.id: item for item in tuned.items()}
    pair = _ScoredAnswers(base), _ScoredAnswers(tuned)
    shared = [metric for metric in pair[1].values if metric in pair[0].values]
    judged = judge(base, tuned)
    metrics = _Metrics(
        graded=next((metric for metric in shared if _is_graded(metric)), None),
        explaining=highlighting.explaining_metrics(shared),
        right=judged.right,
    )
    answered = [item_id for item_id in items if all(item_id in side.responses for side in pair)]
    order = seeds.generator(0, "report", tuned.suite, tuned.name).permutation(len(answered)).tolist()
    candidates = _candidates([answered[n] for n in order], pair, metrics)
    chosen = {key: ids[:per_group] for key, ids in candidates.items()}
    groups, above = [], set[str]()
    for key, ids in chosen.items():
        new_ids = [item_id for item_id in ids if item_id not in above]
        above.update(new_ids)
        examples = tuple(
            _example(
                items[item_id], pair, tuple(other for other in chosen if item_id in chosen[other]), metrics
            )
            for item_id in new_ids
        )
        lowest = key == "still" and not judged.right
        count = None if key == "random" or lowest else len(candidates[key])
        title = _LOWEST if lowest else GROUPS[key]
        groups.append(ExampleGroup(key, title, examples, count, len(ids) - len(new_ids)))
    return Examples(
        name=tuned.name,
        right_by=", else ".join(wording.metric_wording(metric).label for metric in judged.judges),
        graded_by=wording.metric_wording(metrics.graded).label if metrics.graded else "",
        total=len(items),
        groups=tuple(groups),
    )


def _candidates(ids: Sequence[str], pair: _Pair, metrics: _Metrics) -> dict[str, list[str]]:
    """The items that fit each group, the worst or the largest changes first; ties stay in the order of `ids`, which is random."""
    graded = _changes(pair, metrics.graded, ids)
    by_change = sorted(ids, key=lambda item_id: graded.get(item_id, 0.0))
    by_gain = sorted(ids, key=lambda item_id: -graded.get(item_id, 0.0))
    by_score = sorted(ids, key=lambda item_id: _last_if_none(pair[1].goodness(metrics.graded, item_id)))
    right = metrics.right
    candidates = {}
    if right:
        candidates["still"] = [item_id for item_id in by_score if right.get(item_id) == (False, False)]
    elif metrics.graded is not None:
        candidates["still"] = by_score[: max(1, len(ids) // 2)]
    candidates["cut"] = [item_id for item_id in by_score if is_cut_off(pair[1].responses[item_id])]
    if right:
        candidates["wrong"] = [item_id for item_id in by_change if right.get(item_id) == (True, False)]
        candidates["right"] = [item_id for item_id in by_gain if right.get(item_id) == (False, True)]
    if metrics.graded is not None:
        candidates["lost"] = [item_id for item_id in by_change if graded.get(item_id, 0) < 0]
        candidates["gained"] = [item_id for item_id in by_gain if graded.get(item_id, 0) > 0]
    return {**candidates, "random": list(ids)}


def _last_if_none(value: float | None) -> float:
    return math.inf if value is None else value


def _is_proportion(metric: str) -> bool:
    """Whether a metric tells right answers from wrong ones, and does not grade them."""
    entry = catalogue().get(metric.partition(":")[0])
    return entry is not None and entry.kind == "proportion"


def _is_graded(metric: str) -> bool:
    """Whether answers gain and lose by a metric: it is no proportion, and has a direction or a target."""
    return not _is_proportion(metric) and wording.metric_wording(metric).better != "none"


def _changes(pair: _Pair, metric: str | None, ids: Sequence[str]) -> dict[str, float]:
    """How much better the tuned model answers each item, if both answers have a value."""
    values = {item_id: [side.goodness(metric, item_id) for side in pair] for item_id in ids}
    return {
        item_id: tuned - base
        for item_id, (base, tuned) in values.items()
        if base is not None and tuned is not None
    }


def _example(item: Item, pair: _Pair, groups: tuple[str, ...], metrics: _Metrics) -> ComparedItem:
    explained = [
        highlighting.explain_answer(
            metrics.explaining, Row(side.responses[item.id].text, item.references, item.fields)
        )
        for side in pair
    ]
    references = [highlighting.plain(reference) for reference in item.references]
    if explained[1].reference is not None:  # the one that the tuned answer is compared with comes first
        del references[explained[1].reference_index]
        references.insert(0, explained[1].reference)
    base, tuned = (
        _answer(item.id, number, pair, explanation, metrics) for number, explanation in enumerate(explained)
    )
    return ComparedItem(
        id=formatting.plain(item.id),
        part=formatting.plain(item.part),
        groups=groups,
        prompt=formatting.text(item.prompt),
        references=tuple(references[:3]),
        base=base,
        tuned=tuned,
    )


def _answer(item_id: str, number: int, pair: _Pair, explained: ExplainedAnswer, metrics: _Metrics) -> Answer:
    """One model's answer: of the base (0) or of the tuned model (1)."""
    side, judged = pair[number], metrics.right.get(item_id)
    score = side.value(metrics.graded, item_id)
    return Answer(
        text=explained.prediction,
        right=None if judged is None else judged[number],
        score=None if score is None or metrics.graded is None else formatting.score(metrics.graded, score),
        cut_short=is_cut_off(side.responses[item_id]),
        why=explained.sentences,
    )
