from __future__ import annotations

from pathlib import Path

from tutelage import benchmarks
from tutelage.core.types import Origin, Prompted
from tutelage.prepare.contamination import find_contamination
from tutelage.prepare.task_rows import TaskRows


def rows(*texts):
    train = tuple(
        Prompted(f"r:{n}", "t", text, "An answer.", "own", Origin("rows.jsonl", n))
        for n, text in enumerate(texts, 1)
    )
    return [TaskRows(None, train, (), (), {})]


def test_items_of_a_benchmark_among_training_rows_are_found_and_named():
    probe = benchmarks.load("general-probe", root=Path())
    long = max(probe.items, key=lambda item: len(item.prompt))
    told = find_contamination([probe], rows("What does it cost?", long.prompt.upper()), threshold=0.8)
    assert list(told) == ["general-probe"]
    one = told["general-probe"]
    assert one["items"] == len(probe.items)
    assert one["found"] >= 1
    assert long.id in {hit["item"] for hit in one["first"]}
    assert all(hit["train"] == "rows.jsonl:2" for hit in one["first"])


def test_rows_that_share_nothing_are_no_contamination():
    probe = benchmarks.load("general-probe", root=Path())
    told = find_contamination(
        [probe], rows("What does the small plan cost?", "When are you open?"), threshold=0.8
    )
    assert told["general-probe"]["found"] == 0
    assert told["general-probe"]["first"] == []
