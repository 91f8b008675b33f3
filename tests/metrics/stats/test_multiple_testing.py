"""Many tests at once, against scipy's and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import false_discovery_control

from tutelage.metrics.stats import benjamini_hochberg
from tutelage.metrics.stats.multiple_testing import holm


@pytest.mark.parametrize("seed", range(20))
def test_benjamini_and_hochbergs_is_scipys(seed):
    dice = np.random.default_rng(seed)
    p = np.round(dice.random(dice.integers(1, 12)), int(dice.integers(1, 6)))
    assert benjamini_hochberg(p.tolist()) == pytest.approx(false_discovery_control(p).tolist(), abs=1e-15)


def test_holms_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


def test_what_has_no_p_counts_as_one():
    assert holm([math.nan, 0.01]) == [1.0, 0.02]
    assert benjamini_hochberg([math.nan, 0.01]) == [1.0, 0.02]
