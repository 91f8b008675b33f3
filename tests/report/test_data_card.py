from __future__ import annotations

import json

import pytest

from tutelage.report import chart, data_card, run_page


@pytest.fixture
def told(fake_run):
    return json.loads(
        (fake_run(test_items=5, probe_items=6, steps=2).folder / "data" / "card.json").read_text()
    )


def test_lengths_shares_leaks_and_a_dozen_rows(told):
    (one,) = data_card.tasks(told)
    train = one.splits[0]
    assert train.loss_share == "41.1 %"
    assert [hist.title for hist in one.histograms] == ["Prompt lengths", "Completion lengths"]
    assert len(one.examples) == 12
    long, short = one.examples[0], one.examples[1]
    assert (len(long.head), long.skipped, len(long.tail), long.total) == (200, 160, 200, 560)
    assert long.learned == 4 * 40
    assert (len(short.head), short.skipped, short.tail, short.total) == (14, 0, (), 14)


def test_counts_wordings_and_leaks_stand_on_the_page(fake_run):
    page = run_page.render(run_page.read(fake_run(test_items=5, probe_items=6, steps=2).folder))
    for name, value in {
        "wordings, train": "sentiment/one-word 200, sentiment/judge 120",
        "exemplars": "3 before 318 rows, 2 before 2 rows",
        "repeated rows": "3 in train",
        "nearly repeated": "2 in train",
        "left out": "1 in all<br>support-bot.jsonl:7: empty completion",
        "test rows also in training": "1 in all<br>support-bot.jsonl:9 stands in support-bot.jsonl:8",
        "test rows looked at before tuning ended": "none",
    }.items():
        assert f"<dt>{name}</dt><dd>{value}</dd>" in page


def test_a_dozen_rows_are_shared_by_many_tasks(told):
    (name, one), *_ = told["tasks"].items()
    told["tasks"] = {f"{name} {n}": one for n in range(50)}
    cards = data_card.tasks(told)
    assert len(cards) == data_card.MAX_TASKS
    assert [len(task.examples) for task in cards] == [1] * 12 + [0] * 28


def test_bars_stand_where_they_should():
    found = chart.bars(10, 5, [1, 4, 2, 0])
    assert found.bars == ((0.0, 25.0, 25.0), (25.0, 25.0, 100.0), (50.0, 25.0, 50.0), (75.0, 25.0, 0.0))
    assert found.ticks == ((0.0, "10"), (50.0, "20"), (100.0, "30"))
