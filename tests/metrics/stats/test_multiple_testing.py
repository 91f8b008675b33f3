"""Many tests at once, by hand."""

from __future__ import annotations

import math

import pytest

from tutelage.metrics.stats.multiple_testing import holm


def test_holms_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


def test_what_has_no_p_counts_as_one():
    assert holm([math.nan, 0.01]) == [1.0, 0.02]
