"""Metrics of labels: accuracy by class, precision, recall, F1, Matthews' correlation. Equal to scikit-learn's.

The statistics of an item are (true label, predicted label), as numbers; all else follows from how often each pair occurs. In
metrics of rows that list the possible labels, all predictions that are none of them have the same number.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tutelage.core.errors import InputError
from tutelage.metrics.catalogue import MetricSpec
from tutelage.metrics.group_sums import GroupSums, name_code
from tutelage.metrics.implementation import ItemStatistics, MetricImplementation, PseudoItems, ScoringBatch
from tutelage.metrics.row_fields import field_error, possible_labels, single_reference
from tutelage.metrics.score import Row
from tutelage.metrics.stats.arrays import Floats
from tutelage.metrics.stats.estimators import Estimator

NO_LABEL = 0.0
"""The number of predictions that are none of the labels."""


def _count(batch: ScoringBatch, spec: MetricSpec) -> ItemStatistics:
    pairs = [
        (single_reference(spec, row, index, expected="true label").strip(), row.prediction.strip())
        for index, row in enumerate(batch.rows)
    ]
    codes = np.array([(name_code(true), name_code(predicted)) for true, predicted in pairs]).reshape(-1, 2)
    return ItemStatistics(np.arange(len(codes)), (codes[:, 0] == codes[:, 1]).astype(np.float64), codes)


def _count_known(batch: ScoringBatch, spec: MetricSpec) -> ItemStatistics:
    """As `_count`, but a prediction that is no possible label of its row is `NO_LABEL`, or the wrong class where one is positive."""
    codes = np.zeros((len(batch.rows), 2))
    for index, row in enumerate(batch.rows):
        true = single_reference(spec, row, index, expected="true label").strip()
        codes[index] = name_code(true), _known_code(spec, row, index, true)
    return ItemStatistics(np.arange(len(codes)), (codes[:, 0] == codes[:, 1]).astype(np.float64), codes)


def _known_code(spec: MetricSpec, row: Row, index: int, true: str) -> float:
    predicted, positive = row.prediction.strip(), str(spec.options.get("positive", ""))
    labels = possible_labels(row, index)
    if predicted in labels:
        return name_code(predicted)
    if not positive:
        return NO_LABEL
    negative = next((label for label in labels if label != positive), None)
    if negative is None:
        problem, expected = f"{spec.text} needs two labels", f"a label other than {positive}"
        raise field_error(problem, row, f"row {index + 1}", "labels", expected)
    return name_code(negative if true == positive else positive)


def _of_confusion_table(
    combine: Callable[[MetricSpec, Floats, Floats, Floats, Floats], Floats],
    count: Callable[[ScoringBatch, MetricSpec], ItemStatistics] = _count,
) -> MetricImplementation:
    """A metric that `combine` computes from the labels, and how often each is true, predicted, and predicted rightly.

    The labels are float64 of shape (labels,), the counts of many resamples float64 of shape (b, labels) each.
    """

    def estimator(spec: MetricSpec, statistics: Floats) -> Estimator:
        labels, numbers = np.unique(statistics, return_inverse=True)
        true, predicted = numbers.reshape(statistics.shape).T
        masks = (true, None), (predicted, None), (true, true == predicted)
        sums = [GroupSums(groups, len(labels), mask) for groups, mask in masks]
        return lambda weights: combine(spec, labels, *(sum_by_label(weights) for sum_by_label in sums))

    return MetricImplementation(count, estimator, pseudo_items=_pseudo_items)


def _precision_recall_f(
    spec: MetricSpec, labels: Floats, true: Floats, predicted: Floats, right: Floats
) -> Floats:
    average = str(spec.options["average"])
    classes = _positive(spec, labels) if average == "binary" else np.flatnonzero(labels != NO_LABEL)
    true, predicted, right = (counts[:, classes] for counts in (true, predicted, right))
    return averaged(true, predicted, right, str(spec.options["measure"]), average)


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


def _balanced_accuracy(
    _spec: MetricSpec, _labels: Floats, true: Floats, _predicted: Floats, right: Floats
) -> Floats:
    return _share(_share(right, true).sum(1), (true > 0).sum(1).astype(np.float64))


def _mcc(_spec: MetricSpec, _labels: Floats, true: Floats, predicted: Floats, right: Floats) -> Floats:
    n = true.sum(1)
    covariance = right.sum(1) * n - (true * predicted).sum(1)
    variances = (n * n - (true * true).sum(1)) * (n * n - (predicted * predicted).sum(1))
    return _share(covariance, np.sqrt(variances))


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


label_f = _of_confusion_table(_precision_recall_f)
known_label_f = _of_confusion_table(_precision_recall_f, _count_known)
balanced_accuracy = _of_confusion_table(_balanced_accuracy)
mcc = _of_confusion_table(_mcc)
known_label_mcc = _of_confusion_table(_mcc, _count_known)
