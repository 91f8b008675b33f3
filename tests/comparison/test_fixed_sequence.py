"""Fixed-sequence testing: where it stops, what it chooses, and that few items promise nothing."""

from __future__ import annotations

import pytest

from tutelage.comparison import PairedScores
from tutelage.comparison.fixed_sequence import LossTest, loss_test, search, with_fallen_parts
from tutelage.comparison.task_comparison import Estimate
from tutelage.core.errors import InputError
from tutelage.metrics import Row, score_rows


def passed(*, within: bool) -> LossTest:
    return LossTest(5.0, 1.0, 0.0, 2.0, 0.01 if within else 0.5, 400, within)


def run_search(path: tuple[float, ...], safe: float, gains: dict[float, float]):
    asked: list[float] = []

    def losses_at(scale: float, level: float) -> dict[str, LossTest]:
        assert level == 0.025
        asked.append(scale)
        return {"a": passed(within=True), "b": passed(within=scale <= safe)}

    return search(
        path, losses_at, lambda scale: Estimate(gains[scale], gains[scale] - 1, gains[scale] + 1)
    ), asked


def test_it_stops_at_the_first_candidate_that_fails():
    gains = {0.4: 10.0, 0.55: 30.0, 0.7: 20.0, 1.0: 40.0}
    result, asked = run_search((1.0, 0.4, 0.7, 0.55), 0.55, gains)
    assert asked == [1.0, 0.4, 0.55, 0.7]
    assert [(each.scale, each.within, each.gain and each.gain.value) for each in result.candidates] == [
        (1.0, False, None),
        (0.4, True, 10.0),
        (0.55, True, 30.0),
        (0.7, False, None),
    ]
    assert result.chosen == 0.55
    assert result.as_json()["path"] == [0.4, 0.55, 0.7, 1.0]


def test_the_best_gain_is_chosen_and_of_equal_ones_the_safest():
    assert run_search((0.4, 0.7, 1.0), 0.7, {0.4: 5.0, 0.7: 9.0, 1.0: 8.0})[0].chosen == 0.7
    assert run_search((0.4, 0.7, 1.0), 0.7, {0.4: 9.0, 0.7: 9.0, 1.0: 9.0})[0].chosen == 0.4
    assert run_search((0.4, 0.7, 1.0), 0.7, {0.4: -3.0, 0.7: -2.0, 1.0: -9.0})[0].chosen == 0.7


def test_a_whole_change_within_budget_is_delivered_and_nothing_else_is_asked():
    result, asked = run_search((0.4, 0.7, 1.0), 1.0, {0.4: 5.0, 0.7: 9.0, 1.0: 8.0})
    assert (result.chosen, asked, result.full_gain.value) == (1.0, [1.0], 8.0)
    assert result.as_json()["level"] == 0.025
    alone = search((1.0,), lambda _, level: {"a": passed(within=level == 0.05)}, lambda _: Estimate(1, 0, 2))
    assert (alone.chosen, alone.as_json()["level"]) == (1.0, 0.05)


def test_the_level_decides():
    scores = paired(1000, 22)
    p = loss_test("a", scores, 3.2).p
    assert 0.025 < p < 0.05
    assert loss_test("a", scores, 3.2).within
    assert not loss_test("a", scores, 3.2, level=0.025).within


def test_nothing_is_chosen_when_the_safest_fails():
    result, asked = run_search((0.4, 0.7), 0.0, {1.0: 20.0})
    assert (result.chosen, asked) == (None, [0.7, 0.4])


def test_a_part_that_fell_ends_the_search_though_the_mean_is_within_budget():
    right, wrong = Row("yes", ("yes",)), Row("no", ("yes",))

    def pair(base: list[Row], tuned: list[Row], **parts: PairedScores) -> PairedScores:
        return PairedScores(
            "accuracy", score_rows(["accuracy"], base), score_rows(["accuracy"], tuned), parts=parts
        )

    half, fallen = [right] * 60 + [wrong] * 60, [right] * 30 + [wrong] * 90
    risen = [right] * 90 + [wrong] * 30
    probe = pair(
        half + half,
        fallen + risen,
        knowledge=pair(half, fallen),
        format=pair(half, risen),
        same=pair(half, half),
    )
    tests = with_fallen_parts({"probe": loss_test("probe", probe, 10.0)}, {"probe": probe})
    assert (tests["probe"].within, tests["probe"].fell, tests["probe"].passed) == (
        True,
        ("knowledge",),
        False,
    )
    assert tests["probe"].as_json()["fell"] == ["knowledge"]
    result = search((0.5, 1.0), lambda *_: tests, lambda _: Estimate(9.0, 8.0, 10.0))
    assert (result.chosen, [each.within for each in result.candidates]) == (None, [False, False])
    assert "parts of probe fell: knowledge" in result.sentence()
    steady = with_fallen_parts({"probe": tests["probe"]}, {"probe": pair(half, half, same=pair(half, half))})
    assert steady["probe"].passed
    assert "fell" not in steady["probe"].as_json()


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
