from __future__ import annotations

from dataclasses import replace

import pytest

from tutelage.comparison import PairedScores, compare_models
from tutelage.comparison.reach import reach_word
from tutelage.comparison.share_words import share_in_words
from tutelage.comparison.verdict import SideNames, verdict
from tutelage.metrics import Row, score_rows


@pytest.fixture
def judge():
    def make(tasks=(), watched=(), **budgets):
        return verdict(list(tasks), list(watched), budgets=budgets, names=SideNames())

    return make


def test_learned_is_yes_only_when_every_task_rose_beyond_chance(make_comparison, judge):
    rose = make_comparison("a", value=0.3, low=0.2, high=0.4, p=0.001)
    open_ = make_comparison("b", value=0.3, low=-0.1, high=0.5, p=0.06)
    fell = make_comparison("c", value=-0.3, low=-0.4, high=-0.2, p=0.001)
    assert judge([rose, rose]).learned == "yes"
    assert judge([rose, open_]).learned == "unclear"
    assert judge([rose, fell]).learned == "no"
    assert judge([open_]).learned == "unclear"


def test_p_of_exactly_five_percent_is_not_enough(make_comparison, judge):
    assert judge([make_comparison(value=0.3, low=0.2, high=0.4, p=0.05)]).learned == "unclear"
    assert judge([make_comparison(value=0.3, low=0.2, high=0.4, p=0.0499)]).learned == "yes"


def test_the_metrics_direction_decides_what_rose_means(make_comparison, judge):
    fewer_refusals = make_comparison(value=-0.3, low=-0.4, high=-0.2, p=0.001, primary="wrongly_refuses")
    assert judge([fewer_refusals]).learned == "yes"
    assert judge([], [fewer_refusals]).forgot == "no"
    more_refusals = make_comparison(value=0.3, low=0.2, high=0.4, p=0.001, primary="wrongly_refuses")
    assert judge([more_refusals]).learned == "no"
    assert judge([], [more_refusals]).forgot == "yes"


def test_forgot_is_no_only_when_a_loss_above_the_budget_is_excluded_everywhere(make_comparison, judge):
    tight = make_comparison("tight", value=-0.01, low=-0.04, high=0.02)
    wide = make_comparison("wide", value=0.0, low=-0.06, high=0.06)
    assert judge([], [tight]).forgot == "no"
    assert judge([], [tight, wide]).forgot == "unclear"
    assert judge([], [tight, wide], wide=6.0).forgot == "no"
    assert judge([], [tight], tight=3.0).forgot == "unclear"


def test_a_loss_beyond_chance_is_forgetting_and_said_to_be_within_budget_or_over_it(make_comparison, judge):
    small = make_comparison("probe", value=-0.03, low=-0.05, high=-0.01, p=0.001)
    large = make_comparison("probe", value=-0.08, low=-0.1, high=-0.06, p=0.001)
    assert judge([], [small]).forgot == "yes"
    assert "within budget" in judge([], [small], probe=5.0).sentence
    assert "more than the budget" in judge([], [large], probe=5.0).sentence
    # 8 points were lost, but 10 are possible: that this is within 8.5 cannot be told.
    unsettled = judge([], [large], probe=8.5)
    assert "a loss above the budget is not excluded" in unsettled.sentence
    assert "items would settle it" in unsettled.sentence
    assert "within budget" in judge([], [large], probe=10.0).sentence


def test_without_a_stated_budget_none_is_named(make_comparison, judge):
    small = make_comparison("probe", value=-0.03, low=-0.05, high=-0.01, p=0.001)
    steady = make_comparison("probe", value=0.0, low=-0.04, high=0.04)
    wide = make_comparison("probe", value=0.0, low=-0.12, high=0.12)
    sentences = {
        name: judge([], [one]).sentence
        for name, one in (("small", small), ("steady", steady), ("wide", wide))
    }
    assert not any("budget" in sentence for sentence in sentences.values())
    assert "It forgot some of probe" in sentences["small"]
    assert "a loss above 5.0 is excluded" in sentences["small"]
    assert "It did not measurably forget probe" in sentences["steady"]
    assert "a loss above 4.0 is excluded" in sentences["steady"]
    assert "Whether it forgot probe is not clear" in sentences["wide"]
    assert "a loss above 12.0 is excluded" in sentences["wide"]


def test_only_a_stated_budget_can_be_broken_and_only_beyond_chance(make_comparison, judge):
    large = make_comparison("probe", value=-0.08, low=-0.1, high=-0.06, p=0.001)
    by_chance = make_comparison("probe", value=-0.08, low=-0.2, high=0.04, p=0.2)
    assert judge([], [large]).over_budget == ()
    assert judge([], [large], probe=5.0).over_budget == ("probe",)
    assert judge([], [large], probe=9.0).over_budget == ()
    assert judge([], [by_chance], probe=5.0).over_budget == ()


def test_what_was_not_measured_is_never_shown_as_fine(judge):
    found = judge()
    assert (found.learned, found.forgot) == ("unclear", "unclear")
    assert "nothing was watched" in found.sentence
    assert "not measured" in found.sentence


def test_a_metric_without_a_scale_of_100_cannot_be_within_a_budget(make_comparison, judge):
    steady = make_comparison(value=0.0, low=-0.1, high=0.1, primary="perplexity")
    worse = make_comparison(value=0.4, low=0.3, high=0.5, p=0.001, primary="perplexity")
    assert judge([], [steady]).forgot == "unclear"
    found = judge([], [worse])
    assert found.forgot == "yes"
    assert "within budget" not in found.sentence
    assert "of 100" not in found.sentence


def test_bleu_points_are_points_already(make_comparison, judge):
    bleu = make_comparison("mt", value=-3.0, low=-4.5, high=-1.0, primary="bleu")
    assert judge([], [bleu]).forgot == "no"
    assert judge([], [bleu], mt=4.0).forgot == "unclear"


def test_the_sentence_has_the_numbers_in_plain_words(make_comparison, judge):
    rose = make_comparison("bot", value=0.338, low=0.25, high=0.42, p=0.001, primary="states_fact")
    kept = make_comparison("probe", value=-0.004, low=-0.02, high=0.012)
    assert judge([rose], [kept], probe=5.0).sentence == (
        "It got better at bot: answers that state the right fact rose from 50.0 to 83.8 of 100 (+33.8 points, 95 % interval "
        "+25.0 to +42.0, 100 items). It did not measurably forget probe: right answers fell from 50.0 to 49.6 of 100 "
        "(\N{MINUS SIGN}0.4 points, 95 % interval \N{MINUS SIGN}2.0 to +1.2, 100 items, budget 5.0), so a loss above the "
        "budget is excluded."
    )


def test_a_part_that_fell_is_not_hidden_by_the_whole(make_comparison, judge):
    part = make_comparison("probe: arithmetic", value=-0.2, low=-0.3, high=-0.1, p=0.001)
    whole = make_comparison("probe", value=-0.01, low=-0.03, high=0.01, parts={"arithmetic": part})
    found = judge([], [whole])
    assert found.forgot == "no"
    assert "Parts that got worse: arithmetic of probe: right answers fell from 50.0 to 30.0" in found.sentence


def test_many_are_named_shortly(make_comparison, judge):
    kept = [make_comparison(f"b{n}", value=0.0, low=-0.01, high=0.01) for n in range(6)]
    sentence = judge([], kept).sentence
    assert "b0, b1, b2, and 3 more" in sentence
    assert "b3" not in sentence


def test_an_average_that_fell_is_no_part(make_comparison, judge):
    macro = make_comparison("probe: macro", value=-0.2, low=-0.3, high=-0.1, p=0.001)
    whole = make_comparison("probe", value=-0.01, low=-0.03, high=0.01, parts={"macro": macro})
    assert "Parts that got worse" not in judge([], [whole]).sentence


@pytest.mark.parametrize(
    ("stated", "word", "says"),
    [
        (("accuracy", 60, 0.83), "reached", "bot reaches its target (right answers: 83.0 of 100"),
        (("accuracy", 75, 0.83), "cannot tell", "Whether bot reaches its target is not clear"),
        (("accuracy", 95, 0.83), "missed", "asks for at least 95.0)"),
        (("wrongly_refuses", 10, 0.3), "missed", "asks for at most 10.0)"),
        (("wrongly_refuses", 50, 0.3), "reached", "bot reaches its target"),
    ],
)
def test_a_target_is_reached_missed_or_cannot_be_told(make_comparison, judge, stated, word, says):
    metric, points, tuned = stated
    rose = make_comparison(
        "bot", value=tuned - 0.5, low=tuned - 0.6, high=tuned - 0.4, p=0.001, primary=metric
    )
    target = reach_word(metric, rose.tuned[metric], points)
    assert target.word == word
    verdict = judge([replace(rose, reach=(target,))])
    assert says in verdict.sentence
    assert verdict.reached == {"reached": "yes", "missed": "no", "cannot tell": "unclear"}[word]
    assert verdict.as_json()["reached"] == verdict.reached
    if word == "cannot tell":
        # 8 points above with a half width of 10: (2.49 / 1.96 * 10 / 8) ** 2 times as many as the 100.
        assert target.items == 252
        assert "about 252 items would settle it" in verdict.sentence


def test_of_many_targets_the_missed_ones_come_first_and_the_rest_is_counted(make_comparison, judge):
    tasks = []
    for n in range(6):
        task = make_comparison(f"t{n}", value=0.3, low=0.2, high=0.4, p=0.001)
        target = reach_word("accuracy", task.tuned["accuracy"], 99 if n == 5 else 60)
        tasks.append(replace(task, reach=(target,)))
    sentence = judge(tasks).sentence
    assert sentence.index("t5 misses its target") < sentence.index("t0 reaches its target")
    assert "Of 3 more targets: 3 reached." in sentence


def test_without_a_target_the_verdict_has_no_word_for_it(make_comparison, judge):
    assert "reached" not in judge([make_comparison(value=0.3, low=0.2, high=0.4, p=0.001)]).as_json()


@pytest.mark.parametrize(
    ("count", "total", "words"),
    [
        (0, 84, "none of 84"),
        (12, 12, "all 12"),
        (3, 12, "3 of 12"),
        (600, 1000, "6 of 10"),
        (4, 84, "5 of 100"),
        (2, 900, "fewer than 1 of 100 (2 of 900)"),
        (899, 900, "99 of 100"),
    ],
)
def test_shares_are_said_in_words(count, total, words):
    assert share_in_words(count, total) == words


def test_two_runs_are_spoken_of_as_two_runs(make_comparison):
    rose = make_comparison("bot", value=0.3, low=0.2, high=0.4, p=0.001)
    found = verdict([rose], [], budgets={}, names=SideNames(kind="runs", base="old", tuned="new"))
    assert found.sentence.startswith("new, compared with old. It is better at bot: right answers rose")
    assert "learned" not in found.sentence


@pytest.mark.parametrize(
    ("lost", "n", "budget"),
    [(10, 200, 5.0), (3, 60, 5.0), (7, 1000, 0.7), (29, 100, 29.0), (57, 1000, 5.7), (1, 3, 100 / 3)],
)
def test_a_loss_that_meets_its_budget_exactly_is_within_it(lost, n, budget):
    side = [Row("yes", ("yes",))] * n
    after = [Row("no", ("yes",))] * lost + side[lost:]
    base, tuned = (score_rows(["accuracy"], rows) for rows in (side, after))
    found = compare_models({}, {"probe": PairedScores("accuracy", base, tuned)}, budgets={"probe": budget})
    assert found.verdict.over_budget == ()
    assert "more than the budget" not in found.verdict.sentence
    less = compare_models(
        {}, {"probe": PairedScores("accuracy", base, tuned)}, budgets={"probe": budget - 0.01}
    )
    assert less.over_budget == found.watched["probe"].worsened


@pytest.mark.parametrize(
    "metric", ["rougeL", "token_f1", "chrf", "bleu", "f1", "mcc", "accuracy", "sentence_bleu"]
)
@pytest.mark.parametrize("n", [2, 3, 10, 40])
def test_few_unchanged_items_exclude_no_loss(metric, n):
    rows = [Row("a b c d e" if i % 2 else "f g h i j", ("a b c d e",)) for i in range(n)]
    scored = score_rows([metric], rows)
    found = compare_models({}, {"probe": PairedScores(metric, scored, scored)})
    assert found.verdict.forgot == "unclear"
    assert "is not clear" in found.verdict.sentence


def test_items_that_hardly_changed_exclude_no_loss_when_they_are_few(make_comparison, judge):
    """All 40 items lost a thousandth of a point: still 7 of 100 others may be unlike them."""
    few, enough = (
        replace(one, difference={"accuracy": replace(one.primary_difference, n=n)})
        for n in (40, 60)
        for one in [make_comparison(value=-0.00001, low=-0.00002, high=0.0)]
    )
    assert judge([], [few]).forgot == "unclear"
    assert "too few items" in judge([], [few], probe=5.0).sentence
    assert judge([], [enough]).forgot == "no"
    clustered = replace(enough, difference={"accuracy": replace(enough.primary_difference, units=6)})
    assert judge([], [clustered]).forgot == "unclear"


def test_a_change_that_only_the_adjustment_leaves_open_is_told_with_both_p(make_comparison, judge):
    one = make_comparison(value=0.3, low=0.1, high=0.5, p=0.03)
    one = replace(one, difference={"accuracy": replace(one.primary_difference, p_adjusted=0.09)})
    found = judge([one])
    assert found.learned == "unclear"
    assert "p 0.0300, but 0.0900 adjusted for all that were compared" in found.sentence
