from __future__ import annotations

from types import SimpleNamespace

import pytest

from tutelage.comparison.slices import NO_VALUE, sliced
from tutelage.core.errors import InputError
from tutelage.core.types import Origin, Prompted, Response
from tutelage.metrics import Row, holm, score_rows
from tutelage.prepare.slice_columns import check_slices
from tutelage.report.slices import slice_tables
from tutelage.results.store import Item, Store

TOPICS = ["bills"] * 30 + ["tariffs"] * 25 + [None] * 5


@pytest.fixture
def sides(tmp_path):
    """Base and tuned model: the tuned one is right on bills alone."""
    items = [Item(f"q{n}", "", "?", ("yes",), {"topic": topic, "n": n}) for n, topic in enumerate(TOPICS)]
    answers = {"base": ["no"] * 60, "tuned": ["yes" if topic == "bills" else "no" for topic in TOPICS]}
    with Store.open(tmp_path / "results.sqlite") as store:
        made = []
        for model, texts in answers.items():
            side = store.evaluation(model=model, suite="task", name="t", fingerprint=model, provenance={})
            side.declare(items)
            side.add([Response(item.id, text, "stop", 1) for item, text in zip(items, texts, strict=True)])
            rows = [Row(text, item.references) for text, item in zip(texts, items, strict=True)]
            side.write_scores("", score_rows(["accuracy"], rows), primary="accuracy")
            made.append(side)
        yield made


def test_each_value_has_the_scores_of_its_items_and_p_for_all_slices(sides):
    task = sliced(*sides, ["topic"])
    (column,) = task.columns
    assert {each.value: (each.base.value, each.tuned.value, each.tuned.n) for each in column.slices} == {
        "bills": (0.0, 1.0, 30),
        "tariffs": (0.0, 0.0, 25),
        NO_VALUE: (0.0, 0.0, 5),
    }
    assert task.tests == 3
    p = [each.difference.p for each in column.slices]
    assert [each.difference.p_adjusted for each in column.slices] == holm(p)
    assert column.slices[0].tuned.low < 1


def test_small_slices_and_many_comparisons_are_said(sides):
    (table,) = slice_tables(sliced(*sides, ["topic"]).as_json())
    assert [(row[0], row[1], row[-1]) for row in table.rows] == [
        ("bills", "30", "better"),
        ("tariffs", "25", ""),
        (NO_VALUE, "5", "few items"),
    ]
    assert "adjusted (Holm) for the 3 slices" in table.note
    assert "1 of them, of fewer than 20 items, can say little" in table.note


def test_rare_values_are_counted_and_not_scored(sides):
    (column,) = sliced(*sides, ["n"]).columns
    assert (len(column.slices), column.left_out) == (20, 40)


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        (["topik"], "did you mean topic?"),
        (["tags"], "a column of plain values"),
        (["n"], "a column whose values come more than once"),
    ],
)
def test_a_column_that_cannot_be_sliced_by_is_an_error_before_the_run(columns, says):
    rows = [
        Prompted(
            str(n), "t", "?", "yes", "x", Origin("a.jsonl", n + 1), {"topic": "a", "tags": ["b"], "n": n}
        )
        for n in range(4)
    ]
    check_slices(SimpleNamespace(slices=["topic"]), rows, "tasks.0")
    with pytest.raises(InputError, match=r"tasks\.0\.slices\.1") as caught:
        check_slices(SimpleNamespace(slices=["topic", *columns]), rows, "tasks.0")
    assert says in str(caught.value)
