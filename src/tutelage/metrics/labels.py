"""Metrics of labels: accuracy by class, precision, recall, F1, Matthews' correlation. Equal to scikit-learn's.

The statistics of an item are (true label, predicted label), as numbers; all else follows from how often each pair occurs.
"""

from __future__ import annotations

import numpy as np

from tutelage.core.errors import InputError
from tutelage.metrics.catalogue import MetricSpec
from tutelage.metrics.group_sums import GroupSums, name_code
from tutelage.metrics.implementation import ItemStatistics, MetricImplementation, PseudoItems, ScoringBatch
from tutelage.metrics.row_fields import single_reference
from tutelage.metrics.stats.arrays import Floats
from tutelage.metrics.stats.estimators import Estimator


def _count(batch: ScoringBatch, spec: MetricSpec) -> ItemStatistics:
    pairs = [
        (single_reference(spec, row, index, expected="true label").strip(), row.prediction.strip())
        for index, row in enumerate(batch.rows)
    ]
    codes = np.array([(name_code(true), name_code(predicted)) for true, predicted in pairs]).reshape(-1, 2)
    return ItemStatistics(np.arange(len(codes)), (codes[:, 0] == codes[:, 1]).astype(np.float64), codes)


class _ConfusionTable:
    """The confusion table's margins and diagonal for many resamples at once."""

    def __init__(self, statistics: Floats) -> None:
        self.labels, numbers = np.unique(statistics, return_inverse=True)
        true, predicted = numbers.reshape(statistics.shape).T
        count = len(self.labels)
        self.true, self.predicted = GroupSums(true, count), GroupSums(predicted, count)
        self.right = GroupSums(true, count, true == predicted)

    def __call__(self, weights: Floats) -> tuple[Floats, Floats, Floats]:
        """How often each label is true, is predicted, is predicted rightly: each float64 of shape (b, labels)."""
        return self.true(weights), self.predicted(weights), self.right(weights)


def _precision_recall_f(spec: MetricSpec, statistics: Floats) -> Estimator:
    table, average = _ConfusionTable(statistics), str(spec.options["average"])
    positive = _positive(spec, table.labels) if average == "binary" else slice(None)

    def value(weights: Floats) -> Floats:
        true, predicted, right = (counts[:, positive] for counts in table(weights))
        return averaged(true, predicted, right, str(spec.options["measure"]), average)

    return value


def averaged(true: Floats, predicted: Floats, right: Floats, measure: str, average: str) -> Floats:
    """Precision, recall or F1 from counts by class, each float64 of shape (b, classes), to shape (b,).

    A share of nothing is 0. `macro` is the plain mean over the classes that are true or predicted somewhere.
    """
    if average in ("micro", "binary"):
        true, predicted, right = (counts.sum(1, keepdims=True) for counts in (true, predicted, right))
    denominator = {"precision": predicted, "recall": true, "f": (true + predicted) / 2}[measure]
    by_class = _share(right, denominator)
    if average == "weighted":
        return _share((by_class * true).sum(1), true.sum(1))
    if average == "macro":
        present = (true + predicted) > 0
        return _share((by_class * present).sum(1), present.sum(1).astype(np.float64))
    return by_class[:, 0]


def _positive(spec: MetricSpec, labels: Floats) -> list[int]:
    label = str(spec.options["positive"])
    if not label:
        raise InputError(
            "average=binary needs the label that counts",
            where=f"metric {spec.text!r}",
            fix="add positive=LABEL",
        )
    return np.flatnonzero(labels == name_code(label)).tolist()


def _balanced_accuracy(_spec: MetricSpec, statistics: Floats) -> Estimator:
    table = _ConfusionTable(statistics)

    def value(weights: Floats) -> Floats:
        true, _, right = table(weights)
        return _share(_share(right, true).sum(1), (true > 0).sum(1).astype(np.float64))

    return value


def _mcc(_spec: MetricSpec, statistics: Floats) -> Estimator:
    table = _ConfusionTable(statistics)

    def value(weights: Floats) -> Floats:
        true, predicted, right = table(weights)
        n = true.sum(1)
        covariance = right.sum(1) * n - (true * predicted).sum(1)
        variances = (n * n - (true * true).sum(1)) * (n * n - (predicted * predicted).sum(1))
        return _share(covariance, np.sqrt(variances))

    return value


def _pseudo_items(spec: MetricSpec, statistics: Floats) -> PseudoItems | None:
    """A right and a wrong item of each true class. The wrong one is predicted as another true class, or another label."""
    classes = np.unique(statistics[:, 0])
    if spec.options.get("average") == "binary":
        classes = np.union1d(classes, name_code(str(spec.options["positive"])))
    labels = classes if len(classes) > 1 else np.unique(statistics)
    if len(labels) < 2:
        return None
    following = np.searchsorted(labels, classes) + 1
    wrong = np.stack((classes, labels[following % len(labels)]), axis=1)
    right = np.stack((classes, classes), axis=1)
    return PseudoItems(wrong, right, np.searchsorted(classes, statistics[:, 0]))


def _share(numerator: Floats, denominator: Floats) -> Floats:
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)


label_f = MetricImplementation(_count, _precision_recall_f, pseudo_items=_pseudo_items)
balanced_accuracy = MetricImplementation(_count, _balanced_accuracy, pseudo_items=_pseudo_items)
mcc = MetricImplementation(_count, _mcc, pseudo_items=_pseudo_items)
