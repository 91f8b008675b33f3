from __future__ import annotations

import pytest

from tutelage.core.errors import InputError, InputErrors
from tutelage.core.types import Example, Origin
from tutelage.templates import TaskTemplate


def row(line=2, **fields):
    return Example(f"r:{line}", fields, Origin("rows.jsonl", line))


TEMPLATE = TaskTemplate("Sum up.\n\n{{ dialogue }}", "{{ summary }}", where="tasks.0")


def refused(example, template=TEMPLATE) -> InputError:
    with pytest.raises(InputError) as caught:
        template.render(example, "sum")
    assert caught.value.where == str(example.origin)
    assert caught.value.found
    assert caught.value.fix
    return caught.value


def test_a_row_becomes_prompt_and_completion():
    prompted = TEMPLATE.render(row(dialogue="Hi.", summary="A greeting.", topic="x"), "sum")
    assert prompted.prompt == "Sum up.\n\nHi."
    assert prompted.completion == "A greeting."
    assert prompted.spans == (("dialogue", 9, 12),)
    assert prompted.references == ("A greeting.",)
    assert (prompted.task, prompted.template, prompted.id) == ("sum", "own", "r:2")
    assert prompted.fields["topic"] == "x"
    assert TEMPLATE.prompt_fields == ("dialogue",)
    assert TEMPLATE.completion_fields == ("summary",)


def test_a_missing_field_gets_line_and_nearest_name():
    error = refused(row(line=7, dialog="Hi.", summary="x"))
    assert error.where == "rows.jsonl:7"
    assert "uses dialogue, which the row does not have" in error.problem
    assert "dialog, summary" in error.found
    assert "{{ dialog }}" in error.fix


@pytest.mark.parametrize(
    ("value", "found", "fix"),
    [
        (None, "summary is null", "fill it"),
        (["a"], "summary is a list", "join(', ')"),
        ({"a": "b"}, "summary is an object", "{{ summary['a'] }}"),
        (True, "summary is true or false", "'yes' if summary"),
    ],
)
def test_a_field_that_is_no_text_is_refused(value, found, fix):
    error = refused(row(dialogue="Hi.", summary=value))
    assert "in the field summary" in error.problem
    assert error.found == found
    assert fix in error.fix


@pytest.mark.parametrize("value", ["", "  \n\t"])
def test_an_empty_completion_or_prompt_is_refused(value):
    error = refused(row(dialogue="Hi.", summary=value))
    assert error.problem == "the completion is empty"
    assert "summary" in error.found
    assert "summary" in error.fix
    bare = TaskTemplate("{{ dialogue }}", "{{ summary }}")
    assert refused(row(dialogue=value, summary="x"), bare).problem == "the prompt is empty"


def test_a_guarded_field_may_be_missing_or_null():
    template = TaskTemplate("{{ a }}{% if b is defined and b %} {{ b }}{% endif %}", "{{ c }}")
    assert template.render(row(a="x", c="y"), "t").prompt == "x"
    assert template.render(row(a="x", b=None, c="y"), "t").prompt == "x"
    assert template.render(row(a="x", b="z", c=5), "t").prompt == "x z"


def test_a_template_that_fails_on_a_row_names_the_row():
    template = TaskTemplate("{{ a / b }}", "{{ c }}", where="tasks.3")
    error = refused(row(line=9, a=1, b=0, c="x"), template)
    assert "ZeroDivisionError" in error.found
    assert "tasks.3.prompt" in error.fix
    error = refused(row(a="x", c="x"), TaskTemplate("{{ a.__class__ }}", "{{ c }}", where="tasks.3"))
    assert "may not" in error.problem


def test_both_templates_are_checked_at_once():
    with pytest.raises(InputErrors) as caught:
        TaskTemplate("{{ a", "b", where="tasks.1")
    assert [error.where for error in caught.value.errors] == ["tasks.1.prompt", "tasks.1.completion"]


def test_all_bad_rows_come_together():
    examples = [
        row(1, dialogue="a", summary="b"),
        row(2, dialogue="a"),
        row(3, summary="b"),
        row(4, dialogue="a", summary=""),
    ]
    with pytest.raises(InputErrors) as caught:
        TEMPLATE.render_all(examples, "sum")
    assert [error.where for error in caught.value.errors] == ["rows.jsonl:2", "rows.jsonl:3", "rows.jsonl:4"]
    assert "task sum" in caught.value.title
    with pytest.raises(InputErrors) as caught:
        TEMPLATE.render_all([row(n, dialogue="a", summary="") for n in range(1, 100)], "sum")
    assert len(caught.value.errors) == 99
    assert caught.value.block().count("the completion is empty") == 1


def test_a_field_that_no_row_has_is_a_mistake_of_the_template():
    with pytest.raises(InputError) as caught:
        TEMPLATE.render_all([row(n, dialogue="a") for n in range(1, 100)], "sum")
    assert caught.value.problem == "the completion uses summary, which no row has"
    assert caught.value.where.endswith(".completion")
    assert "rows.jsonl:1" in caught.value.found
    assert "on_bad_row" not in caught.value.fix  # it would leave no row


def test_a_number_among_texts_is_refused_and_a_column_of_numbers_is_not():
    mixed = [row(n, dialogue="a", summary="b") for n in range(1, 4)] + [row(9, dialogue="a", summary=1)]
    with pytest.raises(InputError) as caught:
        TEMPLATE.render_all(mixed, "sum")
    assert caught.value.where == "rows.jsonl:9"
    assert caught.value.problem == "the field summary is a number here and text in most rows"
    assert [
        p.completion for p in TEMPLATE.render_all([row(dialogue="a", summary=n) for n in (1, 2.5)], "s")
    ] == ["1", "2.5"]


def test_references_come_from_their_field():
    template = TaskTemplate("{{ a }}", "{{ b }}", references="all")
    assert template.render(row(a="x", b="y", all=["y", "z"]), "t").references == ("y", "z")
    assert template.render(row(a="x", b="y", all="z"), "t").references == ("z",)
    for wrong in ([], [""], [1], None, 3):
        assert "holds no references" in refused(row(a="x", b="y", all=wrong), template).problem
    assert "did you mean al?" in refused(row(a="x", b="y", al="z"), template).fix
