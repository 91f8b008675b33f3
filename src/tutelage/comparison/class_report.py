"""Classes one by one: how often each was true, predicted and rightly predicted by both models, and what was taken for what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tutelage.core.types import Response
from tutelage.metrics.catalogue import catalogue
from tutelage.results.evaluation import Item

MAX_CLASSES = 40
_MAX_OTHER = 5  # answers that are no class, named
_EXACT = ("accuracy", "exact_match")
"""Metrics under which an answer is right when it equals the class; those of `metrics.labels` are others."""


@dataclass(frozen=True, slots=True)
class ClassCounts:
    """How often a class was true, predicted, and predicted rightly."""

    name: str
    true: int
    predicted: int
    right: int

    @property
    def precision(self) -> float:
        """The share of its predictions that are right; 0 without any."""
        return self.right / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """The share of its items that were found; 0 without any."""
        return self.right / self.true if self.true else 0.0

    @property
    def f1(self) -> float:
        """Precision and recall in one number: their harmonic mean."""
        return 2 * self.right / (self.true + self.predicted) if self.true + self.predicted else 0.0

    def as_json(self) -> dict[str, Any]:
        """The counts and shares (0 to 1)."""
        shares = {"precision": self.precision, "recall": self.recall, "f1": self.f1}
        return {"true": self.true, "predicted": self.predicted, "right": self.right, **shares}


@dataclass(frozen=True, slots=True)
class Confusion:
    """One model's predictions against the true classes.

    Attributes:
        classes: the counts of each class.
        matrix: by true class, how often each class was predicted; the last column counts answers that are no class.
        others: the most frequent answers that are no class, with their numbers.
    """

    classes: tuple[ClassCounts, ...]
    matrix: tuple[tuple[int, ...], ...]
    others: tuple[tuple[str, int], ...]

    @property
    def no_class(self) -> int:
        """How many answers are no class."""
        return sum(row[-1] for row in self.matrix)

    def most_confused(self, limit: int) -> list[tuple[str, str, int]]:
        """The most frequent mistakes: (true class, predicted class, how often)."""
        names = [each.name for each in self.classes]
        mistakes = [
            (names[true], names[predicted], count)
            for true, row in enumerate(self.matrix)
            for predicted, count in enumerate(row[:-1])
            if count and true != predicted
        ]
        return sorted(mistakes, key=lambda mistake: -mistake[2])[:limit]

    def as_json(self) -> dict[str, Any]:
        """Counts of each class, the matrix, and answers that are no class."""
        return {
            "classes": {each.name: each.as_json() for each in self.classes},
            "matrix": [list(row) for row in self.matrix],
            "no_class": {"count": self.no_class, "most_frequent": dict(self.others)},
        }


@dataclass(frozen=True, slots=True)
class ClassReport:
    """Both models' predictions of the same items' classes."""

    base: Confusion
    tuned: Confusion

    @property
    def names(self) -> tuple[str, ...]:
        """The classes, the most frequent first."""
        return tuple(each.name for each in self.tuned.classes)

    def as_json(self) -> dict[str, Any]:
        """Both sides."""
        return {"base": self.base.as_json(), "tuned": self.tuned.as_json()}


def class_report(
    metrics: Sequence[str], items: Sequence[Item], base: Mapping[str, Response], tuned: Mapping[str, Response]
) -> ClassReport | None:
    """Count the predictions of each class.

    Args:
        metrics: what the items are scored by; one of them has to compare whole answers, as accuracy and F1 of classes do.
        items: with one reference each, their class.
        base: the base's responses by item id.
        tuned: the tuned model's.

    Returns:
        The counts; None where no metric compares whole answers, or the references are no classes (`classes_of`).
    """
    names = classes_of(items) if any(map(_compares_whole_answers, metrics)) else None
    if names is None:
        return None
    sides = [[responses[item.id].text.strip() for item in items] for responses in (base, tuned)]
    true = [item.references[0].strip() for item in items]
    return ClassReport(*(_confusion(names, true, predicted) for predicted in sides))


def classes_of(items: Sequence[Item]) -> tuple[str, ...] | None:
    """The classes of items, the most frequent first, then those that rows list as `labels` and that are never true.

    References are classes where every item has one, each class comes twice on average, and there are 2 to 40 of them.
    """
    if not items or any(len(item.references) != 1 for item in items):
        return None
    counts = Counter(item.references[0].strip() for item in items)
    if 2 * len(counts) > len(items) or len(counts) > MAX_CLASSES:
        return None
    names = [name for name, _ in counts.most_common()]
    for item in items:
        labels = item.fields.get("labels")
        texts = labels if isinstance(labels, list) else []
        names += [text.strip() for text in texts if isinstance(text, str) and text.strip() not in names]
    return tuple(names) if 2 <= len(names) <= MAX_CLASSES else None


def _compares_whole_answers(metric: str) -> bool:
    name = metric.partition(":")[0]
    entry = catalogue().get(name)
    return name in _EXACT or (entry is not None and entry.module == "labels")


def _confusion(names: Sequence[str], true: Sequence[str], predicted: Sequence[str]) -> Confusion:
    columns = {name: column for column, name in enumerate(names)}
    pairs = Counter((columns[t], columns.get(p, len(names))) for t, p in zip(true, predicted, strict=True))
    matrix = tuple(tuple(pairs[row, column] for column in range(len(names) + 1)) for row in range(len(names)))
    others = Counter(text for text in predicted if text not in columns)
    classes = tuple(
        ClassCounts(name, sum(matrix[at]), sum(row[at] for row in matrix), matrix[at][at])
        for at, name in enumerate(names)
    )
    return Confusion(classes, matrix, tuple(others.most_common(_MAX_OTHER)))
