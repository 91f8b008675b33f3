from __future__ import annotations

import numpy as np
import pytest

from tutelage.core.errors import InputError
from tutelage.metrics import Row, paired_difference, score_rows


def rows(predictions: list[str], clusters: list[str | None] | None = None) -> list[Row]:
    named = clusters or [None] * len(predictions)
    return [Row(text, ("a b c d",), cluster=own) for text, own in zip(predictions, named, strict=True)]


def test_right_or_wrong_items_get_mcnemar():
    base = score_rows(["accuracy"], rows(["x"] * 10 + ["a b c d"] * 10))["accuracy"]
    tuned = score_rows(["accuracy"], rows(["a b c d"] * 19 + ["x"]))["accuracy"]
    found = paired_difference(base, tuned)
    assert found.value == pytest.approx(0.45)
    assert found.p == pytest.approx(2 * sum(__import__("math").comb(11, k) for k in (0, 1)) / 2**11)
    assert found.low < 0.45 < found.high
    assert found.test == "McNemar exact"
    assert found.n == 20


def test_item_values_get_randomisation_and_the_same_seed_gives_the_same_numbers():
    dice = np.random.default_rng(0)
    texts = [" ".join(dice.choice(list("abcdxyz"), 5)) for _ in range(80)]
    better = [text.replace("x", "a").replace("y", "b") for text in texts]
    base, tuned = (score_rows(["rouge1"], rows(own))["rouge1"] for own in (texts, better))
    found = paired_difference(base, tuned, seed=3)
    assert found == paired_difference(base, tuned, seed=3)
    assert found.p == pytest.approx(1 / 10_001)
    assert 0 < found.low < found.value < found.high
    assert found.effect is not None
    assert found.minimum_detectable_effect is not None
    assert 0 < found.minimum_detectable_effect < found.value


def test_nothing_changed():
    base = score_rows(["accuracy", "rougeL"], rows(["a b", "a b c d", "q"]))
    for name, scored in base.items():
        found = paired_difference(scored, scored)
        assert (found.value, found.p) == (0.0, 1.0), name
        assert found.low <= 0.0 <= found.high


def test_clusters_are_exchanged_whole():
    texts = ["x"] * 12
    same = ["one"] * 6 + ["two"] * 6
    base = score_rows(["accuracy"], rows(texts, same))["accuracy"]
    tuned = score_rows(["accuracy"], rows(["a b c d"] * 12, same))["accuracy"]
    found = paired_difference(base, tuned)
    assert found.test == "approximate randomisation"
    assert found.p == pytest.approx(0.5, abs=0.03), (
        "two clusters can be arranged in four ways, two as extreme"
    )


def test_different_rows_are_refused():
    one = score_rows(["accuracy", "rouge1"], rows(["x"] * 3))
    two = score_rows(["accuracy"], rows(["x"] * 4))
    with pytest.raises(InputError, match="same rows"):
        paired_difference(one["accuracy"], two["accuracy"])
    with pytest.raises(InputError, match="different metrics"):
        paired_difference(one["accuracy"], one["rouge1"])
    clustered = score_rows(["accuracy"], rows(["x"] * 3, ["a", "a", "b"]))
    with pytest.raises(InputError, match="clustered"):
        paired_difference(one["accuracy"], clustered["accuracy"])


def test_the_difference_of_one_row_alone_stays_inside_the_metrics_range():
    base, tuned = (score_rows(["rouge1"], [Row(said, ("a b c",))])["rouge1"] for said in ("a", "a b"))
    found = paired_difference(base, tuned)
    assert (found.low, found.high) == (-1.0, 1.0)
