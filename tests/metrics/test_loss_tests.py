"""One-sided tests of a loss: known values, their level, and agreement with the intervals of differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import t as student

from tutelage.core.errors import InputError
from tutelage.metrics import Row, paired_difference, score_rows
from tutelage.metrics.loss_tests import p_of_loss


def scored(metric: str, values: list[bool] | list[str], references: list[str] | None = None):
    texts = ["yes" if value is True else "no" if value is False else str(value) for value in values]
    references = references or ["yes"] * len(texts)
    rows = [Row(text, (reference,)) for text, reference in zip(texts, references, strict=True)]
    return score_rows([metric], rows)[metric]


def sides(n: int, gained: int, lost: int):
    base = [True] * lost + [False] * gained + [True] * (n - lost - gained)
    tuned = [False] * lost + [True] * gained + [True] * (n - lost - gained)
    return scored("accuracy", base), scored("accuracy", tuned)


def test_the_published_example_of_tango():
    # T. Tango 1998, section 4: 44 pairs, 1 and 0 discordant, margin 0.10: Z is 1.709, so p is 0.0437.
    base, tuned = sides(44, gained=0, lost=1)
    assert p_of_loss(base, tuned, 0.10) == pytest.approx(0.0437, abs=5e-4)


@pytest.mark.parametrize(("n", "gained", "lost"), [(100, 3, 9), (400, 10, 10), (900, 20, 61), (50, 0, 0)])
def test_at_the_end_of_the_interval_p_is_a_fortieth(n, gained, lost):
    base, tuned = sides(n, gained, lost)
    end = paired_difference(base, tuned).low
    assert p_of_loss(base, tuned, -end) == pytest.approx(0.025, abs=1e-6)


def test_means_have_students_test():
    rng = np.random.default_rng(0)
    words = ["a", "b", "c", "d", "e", "f"]
    references = [" ".join(rng.choice(words, 5)) for _ in range(40)]
    texts = [[" ".join(rng.choice(words, 5)) for _ in range(40)] for _ in range(2)]
    base, tuned = (scored("rougeL", side, references) for side in texts)
    difference = paired_difference(base, tuned)
    p = p_of_loss(base, tuned, -difference.low)
    assert p == pytest.approx(0.025, abs=1e-6)
    changes = tuned.items - base.items
    plain = student.sf((changes.mean() + 0.1) / (changes.std(ddof=1) / math.sqrt(40)), 39)
    assert p_of_loss(base, tuned, 0.1) == pytest.approx(plain, abs=0.01)


def test_lower_can_be_better():
    base = scored("ter", ["a b c d"] * 30, ["a b c d"] * 30)
    worse = scored("ter", ["a b x d"] * 30, ["a b c d"] * 30)
    assert p_of_loss(base, worse, 10) > 0.9
    assert p_of_loss(worse, base, 10) < 0.05


def test_a_metric_without_direction_has_no_loss():
    side = scored("length_ratio", ["a b"] * 5, ["a b"] * 5)
    with pytest.raises(InputError, match="gets better toward one end"):
        p_of_loss(side, side, 1.0)
