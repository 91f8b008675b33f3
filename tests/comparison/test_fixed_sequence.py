"""Fixed-sequence testing: where it stops, what it chooses, and that few items promise nothing."""

from __future__ import annotations

import pytest

from tutelage.comparison import PairedScores
from tutelage.comparison.fixed_sequence import LossTest, loss_test, search
from tutelage.comparison.task_comparison import Estimate
from tutelage.core.errors import InputError
from tutelage.metrics import Row, score_rows


def passed(*, within: bool) -> LossTest:
    return LossTest(5.0, 1.0, 0.0, 2.0, 0.01 if within else 0.5, 400, within)


def run_search(path: tuple[float, ...], safe: float, gains: dict[float, float]):
    asked: list[float] = []

    def losses_at(scale: float) -> dict[str, LossTest]:
        asked.append(scale)
        return {"a": passed(within=True), "b": passed(within=scale <= safe)}

    return search(
        path, losses_at, lambda scale: Estimate(gains[scale], gains[scale] - 1, gains[scale] + 1)
    ), asked


def test_it_stops_at_the_first_candidate_that_fails():
    gains = {0.4: 10.0, 0.55: 30.0, 0.7: 20.0, 1.0: 40.0}
    result, asked = run_search((1.0, 0.4, 0.7, 0.55), 0.55, gains)
    assert asked == [0.4, 0.55, 0.7]
    assert [(each.scale, each.within, each.gain and each.gain.value) for each in result.candidates] == [
        (0.4, True, 10.0),
        (0.55, True, 30.0),
        (0.7, False, None),
    ]
    assert result.chosen == 0.55
    assert result.as_json()["path"] == [0.4, 0.55, 0.7, 1.0]


def test_the_best_gain_is_chosen_and_of_equal_ones_the_safest():
    assert run_search((0.4, 0.7, 1.0), 1.0, {0.4: 5.0, 0.7: 9.0, 1.0: 8.0})[0].chosen == 0.7
    assert run_search((0.4, 0.7, 1.0), 1.0, {0.4: 9.0, 0.7: 9.0, 1.0: 9.0})[0].chosen == 0.4
    assert run_search((0.4, 0.7, 1.0), 1.0, {0.4: -3.0, 0.7: -2.0, 1.0: -9.0})[0].chosen == 0.7


def test_nothing_is_chosen_when_the_safest_fails():
    result, asked = run_search((0.4, 0.7), 0.0, {1.0: 20.0})
    assert (result.chosen, asked) == (None, [0.4])


def paired(n: int, lost: int) -> PairedScores:
    rows = [Row("yes", ("yes",))] * n
    worse = [Row("no", ("yes",))] * lost + rows[lost:]
    return PairedScores("accuracy", score_rows(["accuracy"], rows), score_rows(["accuracy"], worse))


def test_a_loss_is_in_points_and_few_items_exclude_none():
    test = loss_test("probe", paired(400, 4), 5.0)
    assert test.loss == pytest.approx(1.0)
    assert (test.budget, test.n, test.within) == (5.0, 400, True)
    assert test.low < 1.0 < test.high < 5.0
    assert not loss_test("probe", paired(58, 0), 5.0).within  # the rule of three: 3 / 58 is above 5 %
    assert loss_test("probe", paired(59, 0), 5.0).within
    assert not loss_test("probe", paired(400, 20), 5.0).within


def test_a_metric_without_points_has_no_budget():
    rows = [Row("a b", ("a b",))] * 3
    scores = score_rows(["length_ratio"], rows)
    with pytest.raises(InputError, match="no scale of 0 to 100"):
        loss_test("probe", PairedScores("length_ratio", scores, scores), 5.0)
