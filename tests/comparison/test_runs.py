from __future__ import annotations

from pathlib import Path

import pytest

from tutelage.benchmarks.aggregates import weighted
from tutelage.cli.main import main
from tutelage.comparison import compare_runs
from tutelage.comparison.flips import flipped_items
from tutelage.core.errors import InputError
from tutelage.core.types import Response
from tutelage.metrics import Row, score_rows
from tutelage.results import document
from tutelage.results.store import Item, Store

ITEMS = [
    Item(id=f"q{n}", part="even" if n % 2 == 0 else "odd", prompt=f"Question {n}?", references=("yes",))
    for n in range(30)
]


@pytest.fixture
def make_run(tmp_path):
    """A folder with results: for each (model, suite, name) which of the items were answered rightly."""

    def make(folder, answers, *, items=ITEMS, metrics=("accuracy", "rouge1"), clusters=False):
        with Store.open(tmp_path / folder / "results.sqlite") as store:
            for (model, suite, name), right in answers.items():
                one = store.evaluation(
                    model=model, suite=suite, name=name, fingerprint=str(right), provenance={}
                )
                one.declare(items)
                one.add(
                    [
                        Response(id=i.id, text="yes" if i.id in right else "no", finish="stop", tokens=1)
                        for i in items
                    ]
                )
                rows = [
                    Row(
                        "yes" if i.id in right else "no", i.references, cluster=i.id[:2] if clusters else None
                    )
                    for i in items
                ]
                one.write_scores("", score_rows(list(metrics), rows), primary=metrics[0])
                for part in sorted({i.part for i in items}):
                    own = [row for i, row in zip(items, rows, strict=True) if i.part == part]
                    one.write_scores(part, score_rows(list(metrics), own), primary=metrics[0])
        return tmp_path / folder

    return make


def ids(count):
    return tuple(f"q{n}" for n in range(count))


def test_tuned_models_of_two_runs_are_paired_item_by_item(make_run):
    a = make_run(
        "a",
        {
            ("base", "task", "bot"): ids(0),
            ("tuned", "task", "bot"): ids(10),
            ("tuned", "benchmark", "w"): ids(20),
        },
    )
    b = make_run(
        "b",
        {
            ("base", "task", "bot"): ids(0),
            ("tuned", "task", "bot"): ids(30),
            ("tuned", "benchmark", "w"): ids(20),
        },
    )
    (found,) = compare_runs(a, b)
    task = found.comparison.tasks["bot"]
    assert task.primary_difference.value == pytest.approx(20 / 30)
    assert task.primary_difference.n == 30
    assert set(task.parts) == {"even", "odd"}
    assert task.parts["even"].primary_difference.value == pytest.approx(10 / 15)
    assert found.comparison.verdict.learned == "yes"
    assert found.comparison.watched["w"].primary_difference.value == 0
    assert found.as_json()["base"] == "a"
    assert found.as_json()["adjustment"] == "holm"
    assert set(found.as_json()) == {
        "base",
        "tuned",
        "tasks",
        "watched",
        "verdict",
        "adjustment",
        "not_compared",
        "left_out",
        "caveats",
    }
    assert found.as_json()["caveats"] == {}


def test_the_order_of_items_does_not_matter(make_run):
    a = make_run("a", {("m", "benchmark", "w"): ids(7)}, clusters=True, metrics=("rouge1",))
    b = make_run("b", {("m", "benchmark", "w"): ids(25)}, clusters=True, metrics=("rouge1",))
    shuffled = make_run(
        "c", {("m", "benchmark", "w"): ids(25)}, items=ITEMS[::-1], clusters=True, metrics=("rouge1",)
    )
    straight, turned = compare_runs(a, b, shuffled)
    assert _rounded(straight.as_json()["watched"]) == _rounded(turned.as_json()["watched"])


def _rounded(value):
    """What was summed in another order differs in the last digit on some processors."""
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return round(value, 12) if isinstance(value, float) else value


def test_an_evaluation_scored_last_is_the_one_that_counts(make_run):
    a = make_run("a", {("tuned", "task", "bot"): ids(10)})
    make_run("b", {("tuned", "task", "bot"): ids(10)})
    make_run("b", {("tuned", "task", "bot"): ids(20)})
    b = make_run("b", {("tuned", "task", "bot"): ids(10)})
    (found,) = compare_runs(a, b / "results.sqlite")
    assert found.comparison.tasks["bot"].primary_difference.value == 0
    assert (found.base, found.tuned) == ("a", "b")


def test_what_only_one_measured_is_said(make_run):
    a = make_run("a", {("m", "benchmark", "w"): ids(3), ("m", "benchmark", "x"): ids(3)})
    b = make_run("b", {("n", "benchmark", "w"): ids(3), ("n", "benchmark", "y"): ids(3)})
    (found,) = compare_runs(a, b)
    assert list(found.comparison.watched) == ["w"]
    assert found.not_compared == (("x", "a"), ("y", "b"))


def test_items_that_only_one_was_asked_are_left_out_and_counted(make_run, capsys):
    changed = [*ITEMS[2:-1], Item("q29", "odd", "Changed?", ("yes",)), Item("new", "odd", "?", ("yes",))]
    a = make_run("a", {("m", "benchmark", "w"): ids(10), ("m", "benchmark", "same"): ids(3)}, clusters=True)
    b = make_run("b", {("m", "benchmark", "w"): ids(25)}, items=changed[::-1], clusters=True)
    make_run("b", {("m", "benchmark", "same"): ids(4)}, clusters=True)
    both = ITEMS[2:-1]
    c = make_run(
        "c", {("m", "benchmark", "w"): ids(10), ("m", "benchmark", "same"): ids(3)}, items=both, clusters=True
    )
    d = make_run(
        "d", {("m", "benchmark", "w"): ids(25), ("m", "benchmark", "same"): ids(4)}, items=both, clusters=True
    )
    ((found,), (alone,)) = compare_runs(a, b), compare_runs(c, d)
    assert found.as_json()["left_out"] == [
        {
            "name": "w",
            "both": 27,
            "only_in_base": 2,
            "only_in_tuned": 1,
            "asked_otherwise": 1,
            "averages": [],
        }
    ]
    assert _rounded(found.comparison.watched["w"].as_json()) == _rounded(
        alone.comparison.watched["w"].as_json()
    )
    assert found.comparison.watched["same"].primary_difference.n == 30
    assert {change.item for change in flipped_items(a, b, limit=99) if change.name == "w"} == {
        f"q{n}" for n in range(10, 25)
    }
    assert main(["compare", str(a), str(b)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert (
        "Left out of w: 2 that only a was asked, 1 that only b was asked, 1 that were asked otherwise; 27 items are compared."
        in said
    )
    assert "p by Holm is adjusted over the primary metrics of all benchmarks" in said


def test_averages_over_parts_are_not_made_of_some_of_their_items(make_run, tmp_path):
    folders = (
        make_run("a", {("m", "benchmark", "w"): ids(10)}),
        make_run("b", {("m", "benchmark", "w"): ids(20)}, items=ITEMS[3:]),
    )
    for folder in folders:
        with Store.open(folder / "results.sqlite") as store:
            (one,) = store.evaluations()
            items = one.items()
            parts = [item.part for item in items]
            macro = weighted(one.scores()["accuracy"], parts, {"even": 1.0, "odd": 1.0}, "macro")
            one.write_scores(
                "macro", {"accuracy": macro}, primary="accuracy", ids=[item.id for item in items]
            )
    (whole,), (some,) = compare_runs(folders[0], folders[0]), compare_runs(*folders)
    assert set(whole.comparison.watched["w"].parts) == {"even", "odd", "macro"}
    assert set(some.comparison.watched["w"].parts) == {"even", "odd"}
    assert some.left_out[0].averages == ("macro",)


def test_evaluations_without_a_common_item_are_refused_and_the_items_named(make_run):
    a = make_run("a", {("m", "benchmark", "w"): ids(3)}, items=ITEMS[:9])
    other = [*ITEMS[9:], Item(id="q0", part="odd", prompt="Changed?", references=("yes",))]
    b = make_run("b", {("m", "benchmark", "w"): ids(3)}, items=other)
    with pytest.raises(InputError) as caught:
        compare_runs(a, b)
    said = " ".join(caught.value.block().split())
    assert (
        "8 only in a (q1, q2, q3, q4, q5, ...); 21 only in b (q9, q10, q11, q12, q13, ...); 1 asked otherwise (q0)"
        in said
    )


def test_other_primaries_and_other_options_are_refused(make_run):
    a = make_run("a", {("m", "benchmark", "w"): ids(3)}, metrics=("rouge1", "accuracy"))
    b = make_run("b", {("m", "benchmark", "w"): ids(3)}, metrics=("accuracy",))
    with pytest.raises(InputError, match="same primary metric"):
        compare_runs(a, b)


def test_folders_without_results_are_refused_in_words(make_run, tmp_path):
    a = make_run("a", {("m", "benchmark", "w"): ids(3)})
    other = make_run("other", {("m", "benchmark", "z"): ids(3)})
    several = make_run("several", {("m", "benchmark", "w"): ids(3), ("n", "benchmark", "w"): ids(4)})
    empty = make_run("empty", {})
    (tmp_path / "folder").mkdir()
    for path, says in [
        (tmp_path / "folder", "no results.sqlite"),
        (tmp_path / "gone", "no such file"),
        (Path("rougeL"), "a metric's name"),
        (other, "nothing was measured with both"),
        (several, "none of them is called tuned"),
        (empty, "nothing has been scored"),
    ]:
        with pytest.raises(InputError, match=says):
            compare_runs(a, path)


def test_what_a_runs_results_say_of_a_benchmark_marks_its_name(make_run):
    a, b = (make_run(name, {("tuned", "benchmark", "w"): ids(3)}) for name in "ab")
    (before,) = compare_runs(a, b)
    told = {"version": 1, "substituted_parts": ["odd"], "sampled_of": 90}
    watched = {"w": before.as_json()["watched"]["w"] | {"told": told}}
    comparison = before.as_json() | {"watched": watched}
    results = document.build(recipe={}, provenance={}, comparison=comparison)
    document.write(b / "results.json", document.sealed(results))
    (found,) = compare_runs(a, b)
    assert (before.marks("w"), found.marks("w")) == ("", " (incomplete, sample)")
    assert found.as_json()["caveats"] == {"w": {"tuned": {"substituted_parts": ["odd"], "sampled_of": 90}}}


def test_runs_of_the_same_name_are_told_apart(make_run):
    a = make_run("x/run", {("m", "benchmark", "w"): ids(3)})
    b = make_run("y/run", {("m", "benchmark", "w"): ids(3)})
    (found,) = compare_runs(a, b)
    assert (found.base, found.tuned) == (str(a), str(b))


def test_what_turned_right_and_what_turned_wrong_is_counted_and_can_be_shown(make_run, capsys):
    a = make_run("a", {("m", "benchmark", "w"): ids(10)})
    b = make_run("b", {("m", "benchmark", "w"): ids(25)})
    (found,) = compare_runs(a, b)
    assert found.as_json()["watched"]["w"]["newly_right"] == 15
    assert found.as_json()["watched"]["w"]["newly_wrong"] == 0
    shown = flipped_items(a, b, limit=4)
    assert len(shown) == 4
    assert all(change.right and change.answers[0] not in change.references for change in shown)
    assert all(change.answers[1] in change.references for change in shown)
    assert all(not change.right for change in flipped_items(b, a, limit=99))
    assert len(flipped_items(b, a, limit=99)) == 15
    assert main(["compare", str(a), str(b), "--items", "2"]) == 0
    said = capsys.readouterr().out
    assert "newly right" in said
    assert said.count(": newly right") == 2
