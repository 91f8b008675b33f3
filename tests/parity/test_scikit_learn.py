"""Labels, correlations and calibration against scikit-learn and scipy: random inputs and degenerate ones."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from tutelage.metrics import Row, score_rows


def value(metric: str, true: Sequence[object], guessed: Sequence[object]) -> float:
    rows = [Row(str(own), (str(reference),)) for reference, own in zip(true, guessed, strict=True)]
    return score_rows([metric], rows)[metric].score.value


def cases() -> list[tuple[str, list[str], list[str]]]:
    dice = np.random.default_rng(5)
    found = []
    for classes in (2, 3, 10):
        for n in (1, 2, 7, 200):
            true = [f"c{own}" for own in dice.integers(classes, size=n)]
            guessed = [own if dice.random() < 0.6 else f"c{dice.integers(classes + 1)}" for own in true]
            found.append((f"{classes} classes, n {n}", true, guessed))
    found += [
        ("one class, all right", ["a"] * 5, ["a"] * 5),
        ("one class, all wrong", ["a"] * 5, ["b"] * 5),
        ("constant prediction", list("aabbb"), ["b"] * 5),
        ("empty label", ["", "a", "a"], ["", "", "a"]),
        ("labels only guessed", list("aabb"), list("cdab")),
    ]
    return found


@pytest.mark.parametrize(
    ("name", "true", "guessed"), cases(), ids=lambda own: own if isinstance(own, str) else ""
)
def test_labels(name: str, true: list[str], guessed: list[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = {
            "accuracy": sk.accuracy_score(true, guessed),
            "balanced_accuracy": sk.balanced_accuracy_score(true, guessed),
            "mcc": sk.matthews_corrcoef(true, guessed),
        }
        for metric, theirs in (
            ("f1", sk.f1_score),
            ("precision", sk.precision_score),
            ("recall", sk.recall_score),
        ):
            for average in ("macro", "micro", "weighted"):
                expected[f"{metric}:average={average}"] = theirs(
                    true, guessed, average=average, zero_division=0
                )
            if "c1" in true:
                binary = theirs(np.array(true) == "c1", np.array(guessed) == "c1", zero_division=0)
                expected[f"{metric}:average=binary:positive=c1"] = binary
    for metric, wanted in expected.items():
        assert value(metric, true, guessed) == pytest.approx(wanted, rel=0, abs=1e-12), (name, metric)


@pytest.mark.parametrize("n", [2, 3, 50, 1000])
@pytest.mark.parametrize("levels", [2, 5, 10_000])
def test_correlations(n: int, levels: int) -> None:
    dice = np.random.default_rng(n + levels)
    x = dice.integers(levels, size=n) + 1e3
    y = x + dice.integers(levels, size=n)
    if len(set(x)) > 1 and len(set(y)) > 1:
        assert value("pearson", x, y) == pytest.approx(stats.pearsonr(x, y).statistic, rel=0, abs=1e-12)
        assert value("spearman", x, y) == pytest.approx(stats.spearmanr(x, y).statistic, rel=0, abs=1e-12)
    assert math.isnan(value("pearson", x, [0.1] * n))
    assert math.isnan(value("spearman", [7] * n, x))


def confident(dice: np.random.Generator, n: int, levels: int) -> list[Row]:
    told = np.round(dice.random(n) * levels) / levels
    return [Row("a" if dice.random() < own else "b", ("a",), {"confidence": float(own)}) for own in told]


@pytest.mark.parametrize("levels", [4, 10, 10**9])
@pytest.mark.parametrize("n", [1, 5, 13, 300])
def test_calibration(n: int, levels: int) -> None:
    rows = confident(np.random.default_rng(n), n, levels)
    confidence = np.array([row.fields["confidence"] for row in rows], float)
    right = np.array([row.prediction == "a" for row in rows], float)
    found = {
        name: own.score.value for name, own in score_rows(["brier", "ece", "ece:binning=mass"], rows).items()
    }
    assert found["brier"] == pytest.approx(float(np.mean((confidence - right) ** 2)), abs=1e-12)
    if 0 < right.sum() < n:
        assert found["brier"] == pytest.approx(sk.brier_score_loss(right, confidence), abs=1e-12)
    edges = [own / 10 for own in range(11)]
    width = 0.0
    for low, high in pairwise(edges):
        inside = (confidence > low) & (confidence <= high) | ((low == 0) & (confidence == 0))
        if inside.any():
            width += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    assert found["ece"] == pytest.approx(width, abs=1e-12)
    assert found["ece:binning=mass"] == pytest.approx(equal_mass(confidence, right), abs=1e-12)


def equal_mass(confidence: np.ndarray, right: np.ndarray, bins: int = 10) -> float:
    """What uncertainty-calibration 0.1.4 does in `get_ece_em`, written out from its description."""
    parts = [own for own in np.array_split(np.sort(confidence), min(bins, len(confidence))) if len(own)]
    edges = sorted({(left[-1] + next_[0]) / 2 for left, next_ in pairwise(parts)} | {1.0})
    place = np.searchsorted(edges, confidence, side="left")
    total = 0.0
    for own in set(place.tolist()):
        inside = place == own
        total += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    return total


@pytest.mark.parametrize("n", [1, 7, 200])
def test_selective_accuracy_is_the_mean_over_all_orders_of_equal_confidence(n: int) -> None:
    dice = np.random.default_rng(n)
    rows = confident(dice, n, 5)
    confidence = np.array([row.fields["confidence"] for row in rows], float)
    right = np.array([row.prediction == "a" for row in rows], float)
    means = np.array([right[confidence == own].mean() for own in confidence])[np.argsort(-confidence)]
    curve = np.cumsum(means) / np.arange(1, n + 1)
    assert score_rows(["selective_area"], rows)["selective_area"].score.value == pytest.approx(
        curve.mean(), abs=1e-12
    )
    for coverage in (0.1, 0.5, 1.0):
        name = f"selective_accuracy:coverage={coverage}"
        taken = math.ceil(coverage * n - 1e-9)
        assert score_rows([name], rows)[name].score.value == pytest.approx(curve[taken - 1], abs=1e-12)


def test_multirc_against_its_definition() -> None:
    dice = np.random.default_rng(2)
    rows = [
        Row(str(dice.integers(2)), (str(dice.integers(2)),), {"question": int(own) // 3}) for own in range(90)
    ]
    found = score_rows(["multirc_f1a", "multirc_em"], rows)
    true, guessed = [row.references[0] for row in rows], [row.prediction for row in rows]
    assert found["multirc_f1a"].score.value == pytest.approx(
        sk.f1_score(true, guessed, pos_label="1"), abs=1e-12
    )
    whole = [true[at : at + 3] == guessed[at : at + 3] for at in range(0, 90, 3)]
    assert found["multirc_em"].score.value == pytest.approx(float(np.mean(whole)))
    assert found["multirc_em"].score.n == 30
