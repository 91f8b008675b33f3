"""Metrics of labels: accuracy by class, precision, recall, F1, Matthews' correlation. Equal to scikit-learn's.

A line is (true label, predicted label), as numbers; all else follows from how often each pair stands there.
"""

from __future__ import annotations

import numpy as np

from tutelage.core.errors import InputError
from tutelage.metrics.catalogue import MetricSpec
from tutelage.metrics.group_sums import Groups, code
from tutelage.metrics.implementation import (
    Estimator,
    Floats,
    ItemStatistics,
    MetricImplementation,
    PseudoItems,
    ScoringBatch,
)


def _count(shared: ScoringBatch, spec: MetricSpec) -> ItemStatistics:
    true, guessed = [], []
    for index, row in enumerate(shared.rows):
        if len(row.references) != 1:
            raise InputError(
                f"{spec.text} needs one true label a row",
                where=f"row {index + 1}",
                found=f"{len(row.references)} references",
            )
        true.append(row.references[0].strip())
        guessed.append(row.prediction.strip())
    lines = np.array([[code(own) for own in true], [code(own) for own in guessed]]).T.reshape(-1, 2)
    return ItemStatistics(np.arange(len(lines)), (lines[:, 0] == lines[:, 1]).astype(np.float64), lines)


class _Table:
    """The confusion table's margins and diagonal for many resamples at once."""

    def __init__(self, lines: Floats) -> None:
        known, numbers = np.unique(lines, return_inverse=True)
        numbers = numbers.reshape(lines.shape)
        self.labels = known
        true, guessed = numbers[:, 0], numbers[:, 1]
        self.true, self.guessed = Groups(true, len(known)), Groups(guessed, len(known))
        self.right = Groups(true, len(known), true == guessed)

    def __call__(self, weights: Floats) -> tuple[Floats, Floats, Floats]:
        """How often each label is true, is guessed, is guessed rightly: each float64 of shape (b, labels)."""
        return self.true.sums(weights), self.guessed.sums(weights), self.right.sums(weights)


def _weigh_f(spec: MetricSpec, lines: Floats) -> Estimator:
    table, average = _Table(lines), str(spec.options["average"])
    positive = _positive(spec, table.labels) if average == "binary" else None

    def value(weights: Floats) -> Floats:
        true, guessed, right = table(weights)
        if positive is not None:
            true, guessed, right = true[:, positive], guessed[:, positive], right[:, positive]
        return averaged(true, guessed, right, str(spec.options["measure"]), average)

    return value


def averaged(true: Floats, guessed: Floats, right: Floats, measure: str, average: str) -> Floats:
    """Precision, recall or F1 from counts by class, each float64 of shape (b, classes), to shape (b,).

    A share of nothing is 0. `macro` is the plain mean over the classes that are true or guessed somewhere.
    """
    if average in ("micro", "binary"):
        true, guessed, right = (own.sum(1, keepdims=True) for own in (true, guessed, right))
    below = {"precision": guessed, "recall": true, "f": (true + guessed) / 2}[measure]
    each = _share(right, below)
    if average == "weighted":
        return _share((each * true).sum(1), true.sum(1))
    if average == "macro":
        present = (true + guessed) > 0
        return _share((each * present).sum(1), present.sum(1).astype(np.float64))
    return each[:, 0]


def _positive(spec: MetricSpec, labels: Floats) -> list[int]:
    label = str(spec.options["positive"])
    if not label:
        raise InputError(
            "average=binary needs the label that counts",
            where=f"metric {spec.text!r}",
            fix="add positive=LABEL",
        )
    return np.flatnonzero(labels == code(label)).tolist()


def _weigh_balanced(_asked: MetricSpec, lines: Floats) -> Estimator:
    table = _Table(lines)

    def value(weights: Floats) -> Floats:
        true, _, right = table(weights)
        return _share(_share(right, true).sum(1), (true > 0).sum(1).astype(np.float64))

    return value


def _weigh_mcc(_asked: MetricSpec, lines: Floats) -> Estimator:
    table = _Table(lines)

    def value(weights: Floats) -> Floats:
        true, guessed, right = table(weights)
        n = true.sum(1)
        together = right.sum(1) * n - (true * guessed).sum(1)
        apart = (n * n - (true * true).sum(1)) * (n * n - (guessed * guessed).sum(1))
        return _share(together, np.sqrt(apart))

    return value


def _unseen(spec: MetricSpec, lines: Floats) -> PseudoItems | None:
    """A right and a wrong item of each true class. The wrong one is guessed as another true class, or another label."""
    classes = np.unique(lines[:, 0])
    if spec.options.get("average") == "binary":
        classes = np.union1d(classes, code(str(spec.options["positive"])))
    others = classes if len(classes) > 1 else np.unique(lines)
    if len(others) < 2:
        return None
    following = np.searchsorted(others, classes) + 1
    wrong = np.stack((classes, others[following % len(others)]), axis=1)
    right = np.stack((classes, classes), axis=1)
    return PseudoItems(wrong, right, np.searchsorted(classes, lines[:, 0]))


def _share(top: Floats, bottom: Floats) -> Floats:
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)


label_f = MetricImplementation(_count, _weigh_f, unseen=_unseen)
balanced_accuracy = MetricImplementation(_count, _weigh_balanced, unseen=_unseen)
mcc = MetricImplementation(_count, _weigh_mcc, unseen=_unseen)
