from __future__ import annotations

import json

import pytest

from tutelage.report import chart, data_card


@pytest.fixture
def told(fake_run):
    return json.loads(
        (fake_run(test_items=5, probe_items=6, steps=2).folder / "data" / "card.json").read_text()
    )


def test_lengths_shares_leaks_and_a_dozen_rows(told):
    (one,) = data_card.tasks(told)
    train = one.splits[0]
    assert (train.loss_share, one.loss_percent) == ("41.1 %", 41.1)
    assert [hist.title for hist in one.histograms] == ["Prompt lengths", "Completion lengths"]
    assert one.repeated == (("train", "3"),)
    assert one.wordings == (("train", "sentiment/one-word 200, sentiment/judge 120"),)
    assert one.shots == "3 before 318 rows, 2 before 2 rows"
    assert (one.leaks, one.leaks_count) == ((("support-bot.jsonl:9", "support-bot.jsonl:8"),), 1)
    assert len(one.examples) == 12
    long, short = one.examples[0], one.examples[1]
    assert (len(long.head), long.skipped, len(long.tail), long.total) == (200, 160, 200, 560)
    assert long.learned == 4 * 40
    assert (len(short.head), short.skipped, short.tail, short.total) == (14, 0, (), 14)


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
