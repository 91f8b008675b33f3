from __future__ import annotations

from tutelage.report.examples import MOST, collect
from tutelage.results.store import Store


def open_store(run):
    return Store.open(run.folder / "results.sqlite", read_only=True)


def test_examples_are_the_largest_changes_of_the_primary_metric_and_some_at_random(fake_run):
    run = fake_run()
    with open_store(run) as store:
        task, probe = collect(store, [("task", "support-bot"), ("benchmark", "general-probe")])
        again = collect(store, [("task", "support-bot"), ("benchmark", "general-probe")])
    assert (task.metric, task.total) == ("states_fact", 60)
    groups = {key: items for key, _, items in probe.groups}
    assert [item.base.score.text for item in groups["gained"]] == ["0.0"] * 4
    assert [item.tuned.score.text for item in groups["gained"]] == ["100.0"] * 4
    assert [item.tuned.score.text for item in groups["lost"]] == ["0.0"] * 4
    assert len(groups["random"]) == 4
    assert [task, probe] == again
    gained = round(run.comparison.tasks["support-bot"].main.value * 48)
    assert task.gained_count - task.lost_count == gained


def test_nothing_that_got_worse_is_shown_as_most_lost_when_nothing_did(fake_run):
    with open_store(fake_run()) as store:
        (task,) = collect(store, [("task", "support-bot")])
    assert [items for key, _, items in task.groups if key == "lost"] == [()]
    assert task.lost_count == 0


def test_what_only_one_model_answered_is_left_out(fake_run):
    with open_store(fake_run()) as store:
        assert collect(store, [("task", "something else")]) == []


def test_many_benchmarks_do_not_fill_the_page(fake_run):
    with open_store(fake_run()) as store:
        found = collect(store, [("benchmark", "general-probe")] * 150)
    assert sum(len(items) for one in found for _, _, items in one.groups) <= MOST
