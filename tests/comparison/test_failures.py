from __future__ import annotations

import pytest

from tutelage.comparison.class_report import class_report
from tutelage.comparison.entity_report import entity_report
from tutelage.comparison.failures import failures
from tutelage.comparison.untold_labels import labels_are_untold
from tutelage.core.types import Response
from tutelage.metrics import Row, score_rows
from tutelage.results.store import Item, Store


@pytest.fixture
def evaluated(tmp_path):
    """Two scored evaluations of the same items, from the answers of base and tuned model."""
    with Store.open(tmp_path / "results.sqlite") as store:

        def make(items, metrics, finish=("stop", "length"), **answers):
            sides = []
            for (model, texts), ending in zip(answers.items(), finish, strict=True):
                side = store.evaluation(model=model, suite="task", name="t", fingerprint=model, provenance={})
                side.declare(items)
                side.add(
                    [
                        Response(item.id, text, ending if text.endswith("~") else "stop", 1)
                        for item, text in zip(items, texts, strict=True)
                    ]
                )
                rows = [
                    Row(text, item.references, item.fields) for text, item in zip(texts, items, strict=True)
                ]
                side.write_scores("", score_rows(metrics, rows), primary=metrics[0])
                sides.append(side)
            return sides

        yield make


def responses_of(items, texts):
    return {item.id: Response(item.id, text, "stop", 1) for item, text in zip(items, texts, strict=True)}


def test_still_wrong_is_wrong_before_and_after_and_cut_off_ended_at_the_limit(evaluated):
    items = [Item(f"q{n}", "", "?", ("yes",)) for n in range(5)]
    sides = evaluated(
        items, ["accuracy"], base=["no", "no", "yes", "no~", "yes"], tuned=["no", "yes", "no", "no~", "yes"]
    )
    found = failures(*sides)
    assert (found.items, found.judged, found.wrong) == (5, 5, 3)
    assert found.still_wrong == ("q0", "q3")
    assert found.cut_off == ("q3",)


def test_what_the_first_metric_does_not_count_is_judged_by_the_next(evaluated):
    known = {"must_contain": ["7"], "must_not_contain": [], "answerable": True, "refusal": ["not know"]}
    unknown = {**known, "must_contain": [], "answerable": False}
    items = [Item("a", "", "?", ("7",), known), Item("b", "", "?", ("I do not know.",), unknown)]
    metrics = ["states_fact", "rightly_refuses", "wrongly_refuses"]
    sides = evaluated(items, metrics, base=["It is 8.", "It is 9."], tuned=["It is 7.", "It is 9."])
    found = failures(*sides)
    assert found.judges == ("states_fact", "rightly_refuses")
    assert found.still_wrong == ("b",)


def test_without_a_metric_that_judges_nothing_is_called_wrong(evaluated):
    items = [Item("a", "", "?", ("one two",))]
    found = failures(*evaluated(items, ["rougeL"], base=["three"], tuned=["one"]))
    assert (found.judged, found.still_wrong, found.classes, found.entities) == (0, (), None, None)


CLASSES = ("cat", "cat", "dog", "dog", "cow", "cow")


def test_classes_have_precision_recall_f1_and_a_matrix_whose_diagonal_is_the_right_answers():
    items = [Item(str(n), "", "?", (name,)) for n, name in enumerate(CLASSES)]
    base = responses_of(items, ["an animal"] * 5 + ["cat"])
    tuned = responses_of(items, ["cat", "dog", "dog", " dog ", "dog", "a bird"])
    report = class_report(["rougeL", "f1:average=macro"], items, base, tuned)
    assert report.names == ("cat", "dog", "cow")
    assert report.tuned.matrix == ((1, 1, 0, 0), (0, 2, 0, 0), (0, 1, 0, 1))
    rows = [Row(tuned[item.id].text, item.references) for item in items]
    right = score_rows(["accuracy"], rows)["accuracy"].score.value * len(items)
    assert sum(report.tuned.matrix[n][n] for n in range(3)) == right
    cat, dog, cow = report.tuned.classes
    assert (dog.true, dog.predicted, dog.right) == (2, 4, 2)
    assert (dog.precision, dog.recall, dog.f1) == (0.5, 1.0, pytest.approx(2 / 3))
    assert (cat.precision, cat.recall) == (1.0, 0.5)
    assert (cow.precision, cow.recall, cow.f1) == (0.0, 0.0, 0.0)
    assert report.tuned.others == (("a bird", 1),)
    assert report.base.no_class == 5
    assert report.tuned.most_confused(5) == [("cat", "dog", 1), ("cow", "dog", 1)]


@pytest.mark.parametrize(
    ("references", "fields", "metric", "names"),
    [
        (CLASSES, {}, "accuracy", ("cat", "dog", "cow")),
        (CLASSES, {"labels": ["pig", "cat"]}, "accuracy", ("cat", "dog", "cow", "pig")),
        (CLASSES, {}, "rougeL", None),
        (tuple("abcdef"), {}, "accuracy", None),  # every answer is another one
        (("cat",) * 6, {}, "accuracy", None),
    ],
)
def test_what_counts_as_classes(references, fields, metric, names):
    items = [Item(str(n), "", "?", (name,), fields) for n, name in enumerate(references)]
    same = responses_of(items, references)
    report = class_report([metric], items, same, same)
    assert (report and report.names) == names


def test_entities_that_were_missed_and_invented_are_named_with_their_words():
    tokens = ["Ada", "met", "Bob", "in", "Rome"]
    items = [Item(str(n), "", "?", ("PER: Ada\nPER: Bob\nLOC: Rome",), {"tokens": tokens}) for n in range(2)]
    base = responses_of(items, ["none", "none"])
    tuned = responses_of(items, ["PER: Ada\nLOC: Bob\nLOC: Rome", "PER: Ada\nORG: Acme\nLOC: Rome"])
    report = entity_report(["entity_f1:form=text"], items, base, tuned)
    assert {each.name: (each.true, each.predicted, each.right) for each in report.tuned.types} == {
        "PER": (4, 2, 2),
        "LOC": (2, 3, 2),
        "ORG": (0, 1, 0),
    }
    assert report.tuned.missed == ((("PER", "Bob"), 2),)
    assert set(report.tuned.invented) == {(("LOC", "Bob"), 1), (("ORG", "Acme"), 1)}
    assert sum(each.true - each.right for each in report.base.types) == 6
    assert all(each.predicted == each.right for each in report.base.types)


def test_entities_as_tags_are_named_by_their_tokens_where_the_row_has_them():
    items = [Item("a", "", "?", ("B-PER I-PER O",), {"tokens": ["Ada", "Byron", "wrote"]})]
    answers = responses_of(items, ["B-PER O O"])
    report = entity_report(["entity_f1"], items, answers, answers)
    assert report.tuned.missed == ((("PER", "Ada Byron"), 1),)
    assert report.tuned.invented == ((("PER", "Ada"), 1),)
    assert entity_report(["accuracy"], items, answers, answers) is None


ASKED = "Classify: {} is small."
TOLD = "Is it cat, dog or cow? {} is small."


@pytest.mark.parametrize(
    ("prompt", "answers", "untold"),
    [
        (ASKED, ["an animal"] * 6, True),
        (TOLD, ["an animal"] * 6, False),  # the prompt says them
        ("这是cat还是dog或者cow。{}", ["an animal"] * 6, False),  # without spaces around them
        (ASKED, list(CLASSES), False),  # it knows them
    ],
)
def test_a_base_that_was_never_told_the_labels(prompt, answers, untold):
    items = [Item(str(n), "", prompt.format(n), (name,)) for n, name in enumerate(CLASSES)]
    assert labels_are_untold(["accuracy"], items, responses_of(items, answers)) is untold


def test_answers_that_are_no_labels_are_never_untold():
    items = [Item(str(n), "", "?", (name,)) for n, name in enumerate("abcdef")]
    assert not labels_are_untold(["accuracy"], items, responses_of(items, "x" * 6))
