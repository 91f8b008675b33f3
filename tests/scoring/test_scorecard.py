from __future__ import annotations

import json

import pytest

from tutelage.core.errors import InputError
from tutelage.metrics import Row, holm, paired_difference, score_rows
from tutelage.scoring.predictions import Predictions
from tutelage.scoring.scorecard import score_predictions


def held(rows):
    return Predictions("rows.jsonl", tuple(rows), tuple(range(10, 10 + len(rows))))


@pytest.fixture
def tokenize_for_rouge():
    """Two models on 40 items of two tasks: the first is right on more of them."""
    rights = [f"the {i} answer stands here" for i in range(40)]
    good = [Row(r if i % 4 else "no idea", (r,), task="ab"[i % 2]) for i, r in enumerate(rights)]
    poor = [Row(r if i % 3 == 0 else "the answer", (r,), task="ab"[i % 2]) for i, r in enumerate(rights)]
    return held(good), held(poor)


def test_scores_are_those_of_score_rows_whole_and_by_task(tokenize_for_rouge):
    found = score_predictions(["rouge1", "accuracy"], tokenize_for_rouge[0])
    rows = tokenize_for_rouge[0].rows
    whole = score_rows(["rouge1", "accuracy"], rows)
    assert {m: s.score for m, s in found.side.scores.items()} == {m: s.score for m, s in whole.items()}
    assert list(found.side.by_task) == ["a", "b"]
    part = score_rows(["accuracy"], [row for row in rows if row.task == "b"])
    assert found.side.by_task["b"]["accuracy"].score == part["accuracy"].score
    assert found.against is None
    assert not found.difference


def test_rows_without_tasks_have_no_scores_by_task():
    assert score_predictions(["accuracy"], held([Row("a", ("a",))])).side.by_task == {}


def test_against_gives_the_paired_difference_with_holm_over_the_metrics(tokenize_for_rouge):
    found = score_predictions(["rouge1", "accuracy"], tokenize_for_rouge[0], against=tokenize_for_rouge[1])
    for metric, one in found.difference.items():
        own = paired_difference(found.against.scores[metric], found.side.scores[metric])
        assert (one.value, one.low, one.high, one.p, one.n) == (own.value, own.low, own.high, own.p, own.n)
        assert one.value > 0
    adjusted = [one.p_adjusted for one in found.difference.values()]
    assert adjusted == holm([one.p for one in found.difference.values()])


def test_the_document_has_the_promised_shape_and_no_nan(tokenize_for_rouge):
    found = score_predictions(
        ["bleu", "accuracy"], tokenize_for_rouge[0], against=tokenize_for_rouge[1]
    ).as_json(per_item=True)
    assert list(found) == ["scores", "by_task", "items", "against", "difference"]
    assert set(found["scores"]["bleu"]) == {"value", "low", "high", "n", "signature"}
    assert set(found["against"]) == {"scores", "by_task"}
    assert found["items"][0]["line"] == 10
    assert found["items"][1]["accuracy"] == 1.0
    json.dumps(found, allow_nan=False)


def test_a_metric_that_counts_some_rows_leaves_the_others_without_a_value():
    rows = [
        Row("19 euro", ("",), {"must_contain": ["19 euro"], "answerable": True}),
        Row("Sorry", ("",), {"must_contain": [], "answerable": False, "refusal": ["sorry"]}),
    ]
    items = score_predictions(["states_fact"], held(rows)).items()
    assert [item["states_fact"] for item in items] == [1.0, None]


def test_a_row_that_a_metric_cannot_read_is_named_by_file_and_line():
    rows = [Row("1", ("1",), task="a"), Row("2", ("2",), task="a"), Row("x", ("3",), task="b")]
    with pytest.raises(InputError, match=r"rows\.jsonl:12"):
        score_predictions(["pearson"], held(rows))


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ([Row("a", ("a",))], "1 rows, and 2 in rows.jsonl"),
        ([Row("a", ("a",)), Row("a", ("c",))], "rows.jsonl:11"),
        ([Row("a", ("a",)), Row("a", ("b",), task="t")], 'task "t"'),
    ],
)
def test_other_items_are_refused(other, says):
    with pytest.raises(InputError) as caught:
        score_predictions(["accuracy"], held([Row("a", ("a",)), Row("b", ("b",))]), against=held(other))
    assert says in caught.value.block()
