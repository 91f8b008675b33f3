from __future__ import annotations

from tutelage.core.types import Response
from tutelage.metrics import Row, score_rows
from tutelage.report.examples import MAX_EXAMPLES, MAX_PER_GROUP, collect
from tutelage.results.store import Item, Store

BOTH = [("task", "support-bot"), ("benchmark", "general-probe")]


def open_store(run):
    return Store.open(run.folder / "results.sqlite", read_only=True)


def by_key(examples):
    return {group.key: group for group in examples.groups}


def test_what_turned_right_or_wrong_is_shown_by_the_metric_that_tells(fake_run):
    with open_store(fake_run()) as store:
        task, probe = collect(store, BOTH)
        assert [task, probe] == collect(store, BOTH)
        values = [
            dict(zip(ids, scored.items.tolist(), strict=True))
            for model in ("base", "tuned")
            for scored, ids in [
                store.evaluations(model=model, suite="benchmark", name="general-probe")[0].item_scores()[
                    "accuracy"
                ]
            ]
        ]
    assert (task.right_by, task.graded_by, task.total) == (
        "States the fact, else Rightly refuses",
        "ROUGE-L",
        60,
    )
    assert (probe.right_by, probe.graded_by) == ("Accuracy", "")
    groups = by_key(probe)
    assert list(groups) == ["still", "cut", "wrong", "right", "random"]
    both_wrong = sum(values[0][item] == values[1][item] == 0 for item in values[0])
    assert (groups["still"].title, groups["still"].count) == ("Still wrong", both_wrong)
    assert all((item.base.right, item.tuned.right) == (False, False) for item in groups["still"].items)
    change = {item: values[1][item] - values[0][item] for item in values[0]}
    assert groups["wrong"].count == sum(value < 0 for value in change.values())
    assert groups["right"].count == sum(value > 0 for value in change.values())
    assert len(groups["wrong"].items) == MAX_PER_GROUP
    assert all((item.base.right, item.tuned.right) == (True, False) for item in groups["wrong"].items)
    assert all((item.base.right, item.tuned.right) == (False, True) for item in groups["right"].items)


def test_most_gained_and_most_lost_are_in_order_and_stand_once(fake_run):
    with open_store(fake_run()) as store:
        task, _ = collect(store, BOTH)
    everything = [item for group in task.groups for item in group.items]
    assert len({item.id for item in everything}) == len(everything) == task.count
    for group in task.groups:
        chosen = [item for item in everything if group.key in item.groups]
        assert len(chosen) == len(group.items) + group.above
        assert all(item.groups[0] == group.key for item in group.items)
    gained = [item for item in everything if "gained" in item.groups]
    assert len(gained) == MAX_PER_GROUP
    least = min(item.tuned.score.raw - item.base.score.raw for item in gained)
    others = [item for item in everything if "gained" not in item.groups and item.base.score]
    assert others
    assert all(item.tuned.score.raw - item.base.score.raw <= least for item in others)


def test_nothing_that_got_worse_is_shown_as_most_lost_when_nothing_did(fake_run):
    with open_store(fake_run()) as store:
        (task,) = collect(store, BOTH[:1])
    groups = by_key(task)
    assert groups["wrong"].items == ()
    assert groups["wrong"].count == 0


def test_what_both_have_is_marked_and_the_score_is_explained(fake_run):
    with open_store(fake_run()) as store:
        task, _ = collect(store, BOTH)
    item = next(
        item
        for group in task.groups
        for item in group.items
        if item.tuned.score.raw == 1 and dict(item.tuned.why).keys() >= {"States the fact"}
    )
    assert [text for marked, text in item.tuned.text.parts if marked] == [
        "".join(text for _, text in item.references[0].parts).rstrip(".")
    ]
    assert ("States the fact", "Must have: “") in [(label, said[:12]) for label, said in item.tuned.why]
    assert any(
        said.startswith("precision 6/6 = 1.0000") for label, said in item.tuned.why if label == "ROUGE-L"
    )


def test_what_only_one_model_answered_is_left_out(fake_run):
    with open_store(fake_run()) as store:
        assert collect(store, [("task", "something else")]) == []


def test_many_benchmarks_do_not_fill_the_page(fake_run):
    with open_store(fake_run()) as store:
        found = collect(store, [("benchmark", "general-probe")] * 150)
    assert 0 < sum(one.count for one in found) <= MAX_EXAMPLES


def test_long_texts_make_it_fewer_but_never_none(fake_run, monkeypatch):
    with open_store(fake_run()) as store:
        every = collect(store, BOTH)
        monkeypatch.setattr("tutelage.report.examples.MAX_CHARACTERS", 30_000)
        fewer = collect(store, BOTH)
        monkeypatch.setattr("tutelage.report.examples.MAX_CHARACTERS", 1)
        single = collect(store, BOTH)
    for all_of, some, one in zip(every, fewer, single, strict=True):
        assert one.count < some.count <= all_of.count
        assert all_of.name == "general-probe" or some.count < all_of.count
        for group, cut, least in zip(all_of.groups, some.groups, one.groups, strict=True):
            assert cut.items == group.items[: len(cut.items)]
            assert sum(item.weight for item in cut.items) <= 30_000 // 10 or len(cut.items) == 1
            assert len(least.items) == min(1, len(group.items))


def test_nearer_to_a_target_is_gained_and_no_direction_grades_nothing(tmp_path):
    answers = {"base": ["a b c", "a", "a b"], "tuned": ["a", "a b c", "a b"]}
    items = [Item(f"q{n}", "", "why?", (reference,)) for n, reference in enumerate(("x", "x", "x y"))]
    with Store.open(tmp_path / "results.sqlite") as store:
        for name, metric in (("near", "length_ratio"), ("long", "answer_length")):
            for model, texts in answers.items():
                evaluation = store.evaluation(
                    model=model, suite="task", name=name, fingerprint=model, provenance={}
                )
                evaluation.declare(items)
                responses = [
                    Response(item.id, text, "stop", 1) for item, text in zip(items, texts, strict=True)
                ]
                evaluation.add(responses)
                rows = [Row(text, item.references) for item, text in zip(items, texts, strict=True)]
                evaluation.write_scores("", score_rows([metric], rows), primary=metric)
        near, long = collect(store, [("task", "near"), ("task", "long")])
    chosen_for = {item.id: set(item.groups) for group in near.groups for item in group.items}
    assert chosen_for["q0"] == {"gained", "random"}
    assert chosen_for["q1"] == {"still", "lost", "random"}
    assert by_key(near)["still"].title == "Lowest scores"
    assert (long.graded_by, list(by_key(long))) == ("", ["cut", "random"])
