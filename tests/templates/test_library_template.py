"""Rows of a task in the library's words: which wording, which words, what is refused and how it is said."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tutelage.core.errors import InputError, InputErrors
from tutelage.core.types import Example, Origin
from tutelage.templates import ConstantField, WordingOptions, bind_template, find

WORDS = ["fine", "poor", "slow", "kind", "loud", "cheap", "warm", "odd"]


def reviews(count=60, **extra):
    rows = []
    for n in range(count):
        text = f"Visit {n}: {WORDS[n % 8]} and {WORDS[(n // 8) % 8]}."
        rows.append(
            Example(f"r:{n}", {"review": text, "stars": n % 2, **extra}, Origin("reviews.jsonl", n + 1))
        )
    return rows


def template(asked="sentiment", rows=None, fields=None, labels=("negative", "positive"), **manner):
    given_fields = fields if fields is not None else {"text": "review", "label": "stars"}
    return bind_template(
        find(asked),
        rows or reviews(),
        WordingOptions(**manner),
        fields=given_fields,
        labels=labels,
        where="tasks.0",
    )


def refused(**told) -> InputError:
    with pytest.raises(InputError) as caught:
        template(**told)
    assert caught.value.fix
    return caught.value


def test_rows_get_all_wordings_and_the_same_ones_always():
    made = template()
    done = made.render_all(reviews(), "t")
    assert len({row.template for row in done}) == len(made.wordings) >= 10
    assert [row.prompt for row in done] == [row.prompt for row in template().render_all(reviews(), "t")]
    assert made.render(reviews()[3], "t") == done[3]
    other = template(seed=1)
    assert [r.template for r in other.render_all(reviews(), "t")] != [r.template for r in done]


@given(st.integers(0, 1000), st.integers(1, 60))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_a_rows_words_depend_on_no_other_row(seed, count):
    whole = {r.id: r for r in template(options="mixed").render_all(reviews(), "t")}
    some = random.Random(seed).sample(reviews(), count)
    for row in template(options="mixed").render_all(some, "t"):
        assert row == whole[row.id]


def test_what_is_not_used_changes_nothing():
    done = template().render_all(reviews(), "t")
    more = template().render_all(reviews(note="something"), "t")
    assert [(r.prompt, r.template) for r in done] == [(r.prompt, r.template) for r in more]


def test_only_training_rows_are_turned_around_and_as_many_as_asked():
    made = template(inverted=0.3, rows=reviews(600))
    tested = made.render_all(reviews(600), "t")
    trained = made.render_all(reviews(600), "t", training=True)
    turned = {one.name for one in made.inverted_wordings}
    assert not {row.template.partition("/")[2] for row in tested} & turned
    share = sum(row.template.partition("/")[2] in turned for row in trained) / 600
    assert 0.24 < share < 0.36
    same = [
        a == b for a, b in zip(tested, trained, strict=True) if b.template.partition("/")[2] not in turned
    ]
    assert all(same)
    (whole,) = [row for row in trained if row.template.partition("/")[2] in turned][:1]
    assert whole.completion == whole.fields["review"]
    assert whole.choices == ()
    assert any(word in whole.prompt for word in ("negative", "positive"))


def test_options_are_listed_left_out_or_mixed():
    said = {}
    for options in ("listed", "none", "mixed"):
        done = template(options=options).render_all(reviews(200), "t")
        said[options] = sum("negative" in row.prompt and "positive" in row.prompt for row in done) / 200
        assert all(row.choices == ("negative", "positive") and row.completion in row.choices for row in done)
    assert said["listed"] == 1
    assert said["none"] == 0
    assert 0.35 < said["mixed"] < 0.65


@pytest.mark.parametrize(
    ("labels", "raw", "word"),
    [
        (["bad", "good"], 1, "good"),
        (["bad", "good"], "0", "bad"),
        (["bad", "good"], "Good", "good"),
        ({"0": "bad", "1": "good", "2": "good"}, 2, "good"),
        ({"0": "bad", "1": "good"}, 1.0, "good"),
        ({"true": "good", "false": "bad"}, True, "good"),
        ({"neg": "bad", "pos": "good"}, " pos ", "good"),
        (None, "Positive", "positive"),
    ],
)
def test_a_raw_value_is_said_in_the_tasks_words(labels, raw, word):
    rows = [Example("1", {"text": "x", "label": raw}, Origin("f.jsonl", 1))]
    made = template("sentiment/direct-question", rows, fields={}, labels=labels)
    assert made.render_all(rows, "t")[0].completion == word


def test_an_unknown_raw_value_is_told_with_its_line():
    rows = [*reviews(4), Example("9", {"review": "x", "stars": 7}, Origin("reviews.jsonl", 9))]
    with pytest.raises(InputError) as caught:
        template(rows=rows).render_all(rows, "t")
    assert caught.value.where == "reviews.jsonl:9"
    assert caught.value.problem == "the value of stars is no label"
    assert caught.value.found == '"7"'
    assert "tasks.0.labels" in caught.value.fix


def test_numbers_without_words_get_the_line_to_write():
    error = refused(labels=None)
    assert "labels: {0: negative, 1: positive}" in error.fix
    assert "check which is which" in error.fix
    rows = [Example("1", {"text": "x", "label": n}, Origin("f.jsonl", 1)) for n in (0, 1)]
    error = refused(asked="topic-classification", rows=rows, fields={}, labels=None)
    assert "labels: {0: ..., 1: ...}" in error.fix


def test_a_kind_without_usual_labels_takes_the_rows_words():
    rows = [
        Example(str(n), {"text": "x", "label": w}, Origin("f.jsonl", n))
        for n, w in enumerate(["b", "a", "b"], 1)
    ]
    made = template("topic-classification", rows, fields={}, labels=None)
    assert made.render_all(rows, "t")[0].choices == ("a", "b")
    assert made.card()["labels"] == ["a", "b"]


def test_columns_that_are_not_found_get_the_line_to_write():
    error = refused(fields={})
    assert error.found == "the columns review, stars"
    assert error.fix == "write into the task  fields: {text: review, label: stars}"
    rows = [Example("1", {"words": "a long text of words", "mark": "b"}, Origin("f.jsonl", 1))]
    assert "fields: {text: words, label: mark}" in refused(rows=rows, fields={}).fix


@pytest.mark.parametrize(
    ("fields", "problem", "fix"),
    [
        ({"text": "revew", "label": "stars"}, "no row has a column revew", "did you mean review?"),
        ({"txt": "review", "label": "stars"}, "has no field txt", "did you mean text?"),
    ],
)
def test_a_mistyped_field_gets_the_nearest(fields, problem, fix):
    error = refused(fields=fields)
    assert problem in error.problem
    assert fix in error.fix
    assert error.where.startswith("tasks.0.fields.")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"review": "  "}, "the field review is empty"),
        ({"review": None}, "not as sentiment needs it"),
        ({"review": ["x"]}, "is a list here and text in most rows"),
        ({"stars": None}, "no label"),
    ],
)
def test_a_bad_row_is_told_with_its_line(change, problem):
    rows = reviews(5)
    rows[3] = Example("r:3", {**rows[3].fields, **change}, rows[3].origin)
    with pytest.raises(InputError) as caught:
        template(rows=rows).render_all(rows, "t")
    error = caught.value.errors[0] if isinstance(caught.value, InputErrors) else caught.value
    assert error.where == "reviews.jsonl:4"
    assert problem in error.problem
    assert error.fix
    missing = {"stars": 1}
    rows[3] = Example("r:3", missing, rows[3].origin)
    with pytest.raises(InputError, match="has no field review"):
        template(rows=rows).render_all(rows, "t")


def test_one_mistake_in_many_rows_is_printed_once():
    rows = [Example(r.id, {**r.fields, "stars": "x"}, r.origin) for r in reviews(50)]
    with pytest.raises(InputErrors) as caught:
        template(rows=rows).render_all(rows, "t")
    assert len(caught.value.errors) == 50
    assert caught.value.block().count("is no label") == 1


def choice_rows(**fields):
    return [Example("1", {"question": "Which?", **fields}, Origin("f.jsonl", 1))]


@pytest.mark.parametrize(
    ("fields", "mapped"),
    [
        ({"choices": ["p", "q", "r"], "answer": "q"}, {}),
        ({"choices": ["p", "q", "r"], "answer": 1}, {}),
        ({"choices": ["p", "q", "r"], "answer": "1"}, {}),
        ({"choices": ["p", "q", "r"], "answer": "B"}, {}),
        ({"choices": {"text": ["p", "q", "r"], "label": ["1", "2", "3"]}, "answer": "2"}, {}),
        ({"A": "p", "B": "q", "C": "r", "key": "B"}, {"choices": ("A", "B", "C"), "answer": "key"}),
        ({"options": {"list": ["p", "q", "r"]}, "answer": "q"}, {"choices": "options.list"}),
    ],
)
def test_choices_come_in_the_shapes_of_published_data(fields, mapped):
    rows = choice_rows(**fields)
    (row,) = template("multiple-choice/listed-below", rows, fields=mapped, labels=None).render_all(rows, "t")
    assert row.completion == "q"
    assert row.choices == ("p", "q", "r")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"choices": ["p", "q"], "answer": "z"}, "one of the choices, its letter, or its number from 0 to 1"),
        ({"choices": ["p"], "answer": "p"}, "a list of two texts or more"),
        ({"choices": "p, q", "answer": "p"}, "a list of two texts or more"),
        ({"choices": ["p", None], "answer": "p"}, "a list of two texts or more"),
    ],
)
def test_choices_of_another_shape_are_refused(fields, expected):
    rows = choice_rows(**fields)
    with pytest.raises(InputError) as caught:
        template("multiple-choice", rows, fields={}, labels=None).render_all(rows, "t")
    assert caught.value.expected == expected
    assert caught.value.where == "f.jsonl:1"


def test_a_text_for_every_row_may_stand_for_a_column():
    rows = [Example("1", {"translation": {"de": "Ja.", "en": "Yes."}}, Origin("f.jsonl", 1))]
    fields = {
        "text": "translation.de",
        "translation": "translation.en",
        "target_language": ConstantField("English"),
    }
    made = template("translation/translate-into", rows, fields=fields, labels=None)
    (row,) = made.render_all(rows, "t")
    assert (row.prompt, row.completion) == ("Translate into English:\n\nJa.", "Yes.")
    assert [name for name, _, _ in row.spans] == ["translation.de"]
    assert made.prompt_fields == ("translation",)


def test_a_column_with_a_dot_in_its_name_is_a_column():
    rows = [Example("1", {"a.b": "Fine.", "label": "positive"}, Origin("f.jsonl", 1))]
    made = template("sentiment/direct-question", rows, fields={"text": "a.b"}, labels=None)
    assert made.prompt_fields == ("a.b",)
    assert "Fine." in made.render_all(rows, "t")[0].prompt


def test_the_line_to_write_keeps_what_was_written():
    rows = [Example("1", {"p": "x", "q": "y", "stem": "Which?", "key": "A"}, Origin("f.jsonl", 1))]
    error = refused(asked="multiple-choice", rows=rows, fields={"choices": ("p", "q")}, labels=None)
    assert error.fix.endswith("fields: {question: stem, choices: [p, q], answer: key}")


def test_prompt_and_completion_fields_are_the_rows_columns():
    made = template()
    assert (made.prompt_fields, made.completion_fields) == (("review",), ("stars",))
    rows = choice_rows(A="p", B="q", key="A")
    fields = {"choices": ("A", "B"), "answer": "key"}
    made = template("multiple-choice", rows, fields=fields, labels=None)
    assert made.prompt_fields == ("A", "B", "question")
    assert made.completion_fields == ("key",)


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        ({"asked": "summarisation", "fields": {"text": "review", "summary": "stars"}}, "has no labels"),
        (
            {
                "asked": "summarisation",
                "fields": {"text": "review", "summary": "stars"},
                "labels": None,
                "options": "none",
            },
            "no answer choices to list",
        ),
    ],
)
def test_what_a_kind_cannot_do_is_refused(told, problem):
    assert problem in refused(**told).problem


def test_references_may_stand_in_a_field_of_their_own():
    rows = reviews(2, others=["a", "b"])
    done = template(rows=rows, references="others").render_all(rows, "t")
    assert done[0].references == ("a", "b")


def test_the_card_says_what_was_asked():
    card = template(options="mixed", inverted=0.2).card()
    assert card["template"] == "sentiment"
    assert card["fields"] == {"text": "review", "label": "stars"}
    assert (card["labels"], card["options"], card["inverted"]) == (["negative", "positive"], "mixed", 0.2)
    assert "prompt" not in card
    assert template("sentiment/one-word").card()["completion"] == "{{ label }}"


def test_wordings_are_spread_evenly():
    done = template(rows=reviews(2000)).render_all(reviews(2000), "t")
    counts = Counter(row.template for row in done)
    assert max(counts.values()) < 1.5 * min(counts.values())
