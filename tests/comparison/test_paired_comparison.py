from __future__ import annotations

import pytest

from tutelage.comparison import PairedScores, compare_models
from tutelage.core.errors import InputError
from tutelage.metrics import Row, holm, score_rows
from tutelage.results import document

NEVER, ALWAYS = [0] * 40, [1] * 40
SOME = [1, 0] * 20


def test_tasks_and_watched_are_two_families_of_primary_metrics(measured):
    tasks = {"a": measured(NEVER, ALWAYS), "b": measured(SOME, [1] * 6 + SOME[6:]), "c": measured(SOME, SOME)}
    watched = {"w": measured(SOME, [0] * 6 + SOME[6:])}
    found = compare_models(tasks, watched)
    p = [found.tasks[name].primary_difference.p for name in tasks]
    assert [found.tasks[name].primary_difference.p_adjusted for name in tasks] == holm(p)
    assert found.watched["w"].primary_difference.p_adjusted == found.watched["w"].primary_difference.p
    assert found.tasks["a"].difference["rouge1"].p_adjusted is None
    assert found.tasks["a"].difference["rouge1"].p < 0.05


def test_parts_are_a_family_of_their_own(measured):
    parts = {"x": measured(ALWAYS, NEVER), "y": measured(SOME, SOME)}
    found = compare_models({}, {"w": measured(ALWAYS + SOME, NEVER + SOME, parts=parts)})
    inner = found.watched["w"].parts
    assert [inner[name].primary_difference.p_adjusted for name in parts] == holm(
        [inner[name].primary_difference.p for name in parts]
    )
    assert inner["x"].worsened
    assert not inner["y"].worsened


def test_the_whole_way_to_a_verdict_and_to_results_json(measured):
    found = compare_models(
        {"bot": measured(NEVER, ALWAYS)}, {"probe": measured(ALWAYS, SOME)}, budgets={"probe": 5.0}
    )
    assert (found.verdict.learned, found.verdict.forgot, found.over_budget) == ("yes", "yes", True)
    made = document.build(recipe={}, provenance={}, comparison=found.as_json())
    assert list(made["tasks"]["bot"]) == [
        "primary",
        "base",
        "tuned",
        "difference",
        "parts",
        "newly_right",
        "newly_wrong",
    ]
    assert made["tasks"]["bot"]["difference"]["accuracy"]["value"] == 1.0
    assert made["watched"]["probe"]["difference"]["accuracy"]["value"] == -0.5
    assert set(made["verdict"]) == {"learned", "forgot", "sentence"}


def test_nothing_watched_is_unclear(measured):
    found = compare_models({"bot": measured(NEVER, ALWAYS)}, {})
    assert found.verdict.forgot == "unclear"
    assert not found.over_budget


def test_the_same_seed_gives_the_same_numbers(measured):
    both = [
        compare_models({"a": measured(SOME, ALWAYS, primary="rouge1")}, {}, seed=3).as_json()
        for _ in range(2)
    ]
    assert both[0] == both[1]


def test_a_budget_for_what_is_not_watched_is_refused_with_the_nearest_name(measured):
    with pytest.raises(InputError, match="did you mean 'general-probe'"):
        compare_models({}, {"general-probe": measured(SOME, SOME)}, budgets={"general-prob": 5.0})
    with pytest.raises(InputError, match="nothing is watched"):
        compare_models({}, {}, budgets={"general-probe": 5.0})
    with pytest.raises(InputError, match="from 0 to 100"):
        compare_models({}, {"w": measured(SOME, SOME)}, budgets={"w": -1.0})


def test_sides_that_were_scored_differently_are_refused(measured):
    one, other = measured(SOME, SOME), measured(SOME, SOME, metrics=("accuracy",))
    with pytest.raises(InputError, match="not scored alike"):
        compare_models({"a": PairedScores("accuracy", one.base, other.base)}, {})
    with pytest.raises(InputError, match="primary bleu"):
        compare_models({"a": PairedScores("bleu", one.base, one.base)}, {})


def test_a_metric_that_counts_no_item_was_not_measured():
    rows = [
        Row("Monday", ("Monday",), {"must_contain": ["Monday"], "must_not_contain": [], "answerable": True})
    ]
    metrics = ["states_fact", "rightly_refuses"]
    rows = [Row(row.prediction, row.references, {**row.fields, "refusal": ["sorry"]}) for row in rows] * 4
    scored = score_rows(metrics, rows)
    assert scored["rightly_refuses"].score.n == 0
    found = compare_models({"bot": PairedScores("states_fact", scored, scored)}, {})
    assert list(found.tasks["bot"].base) == ["states_fact"]
    part = PairedScores("rightly_refuses", scored, scored)
    assert (
        compare_models({"bot": PairedScores("states_fact", scored, scored, {"p": part})}, {})
        .tasks["bot"]
        .parts
        == {}
    )
    with pytest.raises(InputError, match="counts no item"):
        compare_models({"bot": part}, {})
