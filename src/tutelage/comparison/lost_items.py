"""Why items of a watched benchmark were lost: those right before and wrong after, by what became of the answer.

The kinds stand in the order in which they are looked for; the first that fits an item counts.

    never stopped   cut off at the limit, where the base's answer ended
    refused         has a phrase of a refusal that neither the base's answer nor a right answer has
    other language  in a script or language of neither the question, nor a right answer, nor the base's answer
    format broken   states the right answer and no other one, or none of the listed choices; the benchmark's scorer does not accept it
    wrong           everything else, and all items that are answered by the likeliest choice
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from tutelage.comparison import languages, stated_answers
from tutelage.core import yamltext
from tutelage.core.types import Response
from tutelage.metrics.catalogue import catalogue
from tutelage.metrics.facts import contains
from tutelage.results.store import Evaluation, Item, Store

NEVER_STOPPED, REFUSED, OTHER_LANGUAGE = "never stopped", "refused", "other language"
FORMAT_BROKEN, WRONG = "format broken", "wrong"
KINDS = (NEVER_STOPPED, REFUSED, OTHER_LANGUAGE, FORMAT_BROKEN, WRONG)


@dataclass(frozen=True, slots=True)
class LostItems:
    """The items of a benchmark that changed between right and wrong.

    Attributes:
        metric: by which an item is right or wrong.
        kinds: the ids of the newly wrong items by kind, each of `KINDS`.
        newly_right: the ids of the items that turned right.
        latin_languages: whether languages of Latin script were told apart, which needs langdetect.
    """

    metric: str
    kinds: Mapping[str, tuple[str, ...]]
    newly_right: tuple[str, ...]
    latin_languages: bool

    @property
    def newly_wrong(self) -> tuple[str, ...]:
        """The ids of all items that turned wrong."""
        return tuple(id_ for ids in self.kinds.values() for id_ in ids)

    def as_json(self) -> dict[str, Any]:
        """As in results.json, under `watched.NAME.lost_items`."""
        return {
            "metric": self.metric,
            "kinds": {kind: list(ids) for kind, ids in self.kinds.items()},
            "newly_right": list(self.newly_right),
            "latin_languages": self.latin_languages,
        }


def of_benchmark(store: Store, name: str) -> LostItems | None:
    """Group a benchmark's newly wrong items by kind, from the stored answers of base and tuned model.

    Args:
        store: of a run.
        name: the benchmark's.

    Returns:
        The groups; None where one of the two was not scored, or no metric says right or wrong of an item.
    """
    scored = store.last_scored()
    base, tuned = (scored.get((model, "benchmark", name)) for model in ("base", "tuned"))
    return None if base is None or tuned is None else lost_items(base, tuned)


def lost_items(base: Evaluation, tuned: Evaluation) -> LostItems | None:
    """As `of_benchmark`, of two scored evaluations of the same items."""
    values = _right_or_wrong(base, tuned)
    if values is None:
        return None
    metric, before, after = values
    newly_wrong = {id_ for id_ in before if id_ in after and before[id_] > after[id_]}
    answers = base.responses(), tuned.responses()
    items = tuned.items()
    closed = stated_answers.closed_sets(items)
    kinds: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for item in items:
        if item.id in newly_wrong:
            first, second = (side[item.id] for side in answers)
            kinds[kind_of(item, first, second, rivals=closed.get(item.part, ()))].append(item.id)
    return LostItems(
        metric,
        {kind: tuple(ids) for kind, ids in kinds.items()},
        tuple(id_ for id_ in before if id_ in after and after[id_] > before[id_]),
        languages.detector_is_installed(),
    )


def kind_of(item: Item, base: Response, tuned: Response, *, rivals: Sequence[str] = ()) -> str:
    """Which of `KINDS` a newly wrong item is.

    Args:
        item: with its right answers as references.
        base: the right answer of the base.
        tuned: the wrong one of the tuned model.
        rivals: the answers between which the items of the part choose, where they are few.
    """
    if tuned.choice is not None:
        return WRONG
    if tuned.finish == "length" and base.finish != "length":
        return NEVER_STOPPED
    if _refuses(item, tuned.text) and not any(_refuses(item, text) for text in (base.text, *item.references)):
        return REFUSED
    if languages.differs(tuned.text, (item.prompt, base.text, *item.references)):
        return OTHER_LANGUAGE
    if stated_answers.is_misformatted(item, tuned.text, rivals):
        return FORMAT_BROKEN
    return WRONG


def sentence(name: str, lost: Mapping[str, Any]) -> str:
    """The groups of results.json in one line: `general-probe: 171 newly wrong: 60 format broken, 111 wrong; 12 newly right`."""
    counts = Counter({kind: len(ids) for kind, ids in lost["kinds"].items()})
    kinds = ", ".join(f"{counts[kind]} {kind}" for kind in KINDS if counts[kind])
    wrong = f"{counts.total()} newly wrong: {kinds}" if counts.total() else "none newly wrong"
    return f"{name}: {wrong}; {len(lost['newly_right']) or 'none'} newly right"


def _right_or_wrong(
    base: Evaluation, tuned: Evaluation
) -> tuple[str, dict[str, float], dict[str, float]] | None:
    """The metric that says right (1) or wrong (0) of each item, the primary one if it does, and its values of both sides by item id."""
    sides = base.item_scores(), tuned.item_scores()
    primary = base.primary()
    shared = [metric for metric in sides[0] if metric in sides[1]]
    for metric in sorted(shared, key=lambda name: name != primary):
        entry = catalogue().get(metric.partition(":")[0])
        if entry is None or entry.kind != "proportion" or entry.better != "higher":
            continue
        before, after = (
            {
                id_: value
                for id_, value in zip(side[metric][1], side[metric][0].items.tolist(), strict=True)
                if math.isfinite(value)
            }
            for side in sides
        )
        if {*before.values(), *after.values()} <= {0.0, 1.0}:
            return metric, before, after
    return None


def _refuses(item: Item, text: str) -> bool:
    """Whether a text has a phrase of a refusal."""
    listed = item.fields.get("refusal")
    phrases = [phrase for phrase in listed if isinstance(phrase, str)] if isinstance(listed, list) else []
    straight = text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    return any(contains(straight, phrase) for phrase in (*phrases, *_phrases()))


@cache
def _phrases() -> tuple[str, ...]:
    table: dict[str, list[str]] = yamltext.table("tutelage.comparison", "refusals.yaml")
    return tuple(table["phrases"])
