"""Entities by type: how many were found, missed and invented, and which ones most often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tutelage.comparison.class_report import ClassCounts
from tutelage.core.types import Response
from tutelage.metrics.catalogue import catalogue
from tutelage.metrics.entities import missed_and_invented
from tutelage.metrics.mentions import Mention
from tutelage.metrics.score import Row
from tutelage.results.evaluation import Item

MAX_NAMED = 10


@dataclass(frozen=True, slots=True)
class EntityCounts:
    """One model's entities against the true ones.

    Attributes:
        types: the counts of each type, the most frequent first.
        missed: the entities that it missed most often, each (type, words), with their numbers.
        invented: the same of entities that are not there.
    """

    types: tuple[ClassCounts, ...]
    missed: tuple[tuple[Mention, int], ...]
    invented: tuple[tuple[Mention, int], ...]

    def as_json(self) -> dict[str, Any]:
        """Counts of each type, and the entities that were missed and invented most often."""
        named = {"missed": self.missed, "invented": self.invented}
        return {
            "types": {each.name: each.as_json() for each in self.types},
            **{
                key: [{"type": kind, "words": words, "count": count} for (kind, words), count in mentions]
                for key, mentions in named.items()
            },
        }


@dataclass(frozen=True, slots=True)
class EntityReport:
    """Both models' entities in the same items; one with a wrong border or type is missed and invented."""

    base: EntityCounts
    tuned: EntityCounts

    def as_json(self) -> dict[str, Any]:
        """Both sides."""
        return {"base": self.base.as_json(), "tuned": self.tuned.as_json()}


def entity_report(
    metrics: Sequence[str], items: Sequence[Item], base: Mapping[str, Response], tuned: Mapping[str, Response]
) -> EntityReport | None:
    """Count the entities that both models found, missed and invented.

    Args:
        metrics: what the items are scored by; the first metric of entities says how they are read.
        items: with their true entities as references.
        base: the base's responses by item id.
        tuned: the tuned model's.

    Returns:
        The counts; None without a metric of entities.
    """
    metric = next((name for name in metrics if _reads_entities(name)), None)
    if metric is None or not items:
        return None
    return EntityReport(*(_counts(metric, items, responses) for responses in (base, tuned)))


def _reads_entities(metric: str) -> bool:
    entry = catalogue().get(metric.partition(":")[0])
    return entry is not None and entry.module == "entities"


def _counts(metric: str, items: Sequence[Item], responses: Mapping[str, Response]) -> EntityCounts:
    right, missed, invented = Counter[Mention](), Counter[Mention](), Counter[Mention]()
    for item in items:
        row = Row(responses[item.id].text, item.references, item.fields)
        for counter, mentions in zip(
            (right, missed, invented), missed_and_invented(metric, row), strict=True
        ):
            counter.update(mentions)
    by_type = [_by_type(counter) for counter in (right, missed, invented)]
    counts = [
        ClassCounts(kind, found + lost, found + extra, found)
        for kind in dict.fromkeys(kind for counter in by_type for kind in counter)
        for found, lost, extra in [[counter[kind] for counter in by_type]]
    ]
    return EntityCounts(
        tuple(sorted(counts, key=lambda each: (-each.true, each.name))),
        tuple(missed.most_common(MAX_NAMED)),
        tuple(invented.most_common(MAX_NAMED)),
    )


def _by_type(mentions: Counter[Mention]) -> Counter[str]:
    counts = Counter[str]()
    for (kind, _), count in mentions.items():
        counts[kind] += count
    return counts
