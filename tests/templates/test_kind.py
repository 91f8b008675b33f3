"""A person's own file of templates: what may stand in it, and how mistakes are told."""

from __future__ import annotations

import pytest

from tutelage.core.errors import InputError, InputErrors
from tutelage.core.types import Example, Origin
from tutelage.templates import WordingOptions, bind_template, find, subprocess_renderer

OWN = """\
kind: hours
title: Opening hours
fields:
  shop: {about: which shop}
  day: {about: which day}
  open: {about: whether it is open, type: label}
answer: open
labels: ["no", "yes"]
wordings:
  ask:
    prompt: "Is the {{ shop }} open on {{ day }}? {{ options }}"
    layout: either
  tell:
    prompt: "{{ shop }}, {{ day }}: open?{% if options %} {{ options }}{% endif %}"
    completion: "It is: {{ open }}."
    layout: slashes
inverted:
  back:
    prompt: "Open: {{ open }}. On {{ day }}. Which shop?"
    completion: "{{ shop }}"
"""
ROWS = [Example("1", {"shop": "bakery", "day": "Sunday", "open": "yes"}, Origin("f.jsonl", 1))]


@pytest.fixture
def own(tmp_path):
    def write(text=OWN):
        (tmp_path / "hours.yaml").write_text(text, encoding="utf-8")
        return tmp_path

    yield write
    subprocess_renderer.close()


def test_an_own_file_is_used_as_the_librarys(own):
    root = own()
    found = find("hours.yaml", root=root)
    assert found.kind.untrusted
    (row,) = bind_template(found, ROWS).render_all(ROWS, "t")
    assert row.template.startswith("hours/")
    (row,) = bind_template(find("./hours.yaml/tell", root=root), ROWS).render_all(ROWS, "t")
    assert row.prompt == "bakery, Sunday: open? no / yes"
    assert (row.completion, row.choices) == ("It is: yes.", ("It is: no.", "It is: yes."))
    (row,) = bind_template(find("hours.yaml", root=root), ROWS, WordingOptions(inverted=1.0)).render_all(
        ROWS, "t", training=True
    )
    assert row.completion == "bakery"
    assert "in a process of its own" in bind_template(found, ROWS).card()["rendered"]


@pytest.mark.parametrize(
    ("old", "new", "where", "problem"),
    [
        ("kind: hours", "kind: Hours!", "1: kind", "not a name"),
        ("title: Opening hours\n", "", "1: title", "the field title is missing"),
        ("title:", "titel:", "2: titel", "no field titel"),
        ("answer: open", "answer: opn", "7: answer", "not one of the choices"),
        ("type: label", "type: lable", "6: fields.open.type", "not one of the choices"),
        ("{about: which shop}", "{often: [x]}", "4: fields.shop.about", "about is missing"),
        ("  day: {about", "  options: {about", "5: fields.options", "not a field's name"),
        ("answer: open", 'answer: open\ncompletion: "{{ open"', "8: completion", "not valid Jinja"),
        ("title: Opening hours", "title: ' '", "2: title", "nothing is there"),
        ("title: Opening hours", "title:", "2: title", "not text"),
        ('labels: ["no", "yes"]', "labels: yes", "8: labels", "not a list"),
        ('labels: ["no", "yes"]', 'labels: ["no", "no"]', "8: labels", "the same text twice"),
        ("on {{ day }}?", "on {{ dya }}?", "11: wordings.ask.prompt", "reads what is no field"),
        ("on {{ day }}?", "on {{ day ?", "11: wordings.ask.prompt", "not valid Jinja"),
        ("layout: either", "layout: eiter", "12: wordings.ask.layout", "not one of the choices"),
        ("    layout: either\n", "", "10: wordings.ask", "options and their layout go together"),
        (' {{ options }}"\n', '"\n', "10: wordings.ask", "options and their layout go together"),
        ('"It is: {{ open }}."', '"It is {{ day }}."', "15: wordings.tell.completion", "does not give the answer"),
        ('"It is: {{ open }}."', '"{{ open }} {{ day }}"', "15: wordings.tell.completion", "reads nothing else"),
        ('"It is: {{ open }}."', '"{{ letter }}"', "16: wordings.tell.layout", "a letter needs options"),
        ("  back:", "  tell:", "18: inverted.tell", "two wordings of one name"),
        ("  back:", "  rationale:", "18: inverted.rationale", "stands for all"),
        ('    completion: "{{ shop }}"\n', "", "18: inverted.back.completion", "completion is missing"),
        ('    prompt: "Open:', '    layout: dashes\n    prompt: "Open:', "19: inverted.back.layout", "nothing is listed"),
        ("type: label", "type: choice", "7: answer", "needs one field of type choices"),
        ("whether it is open,", "whether it is open, optional: true,", "6: fields.open.optional", "always needed"),
        ("whether it is open,", "whether it is open, optional: 1,", "6: fields.open.optional", "not true or false"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_line_and_field(own, old, new, where, problem):
    assert old in OWN
    root = own(OWN.replace(old, new, 1))
    with pytest.raises(InputError) as caught:
        find("hours.yaml", root=root)
    errors = caught.value.errors if isinstance(caught.value, InputErrors) else [caught.value]
    assert any(e.where == f"hours.yaml:{where}" and problem in e.problem for e in errors), [
        e.block() for e in errors
    ]
    assert all(error.fix for error in errors)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not a file of templates"),
        ("- a\n", "not a file of templates"),
        ("kind: [\n", "not valid YAML"),
        (OWN.replace("kind: hours", "kind: sentiment"), "belongs to a template of the library"),
    ],
)
def test_a_file_that_is_none_is_refused(own, text, problem):
    root = own(text)
    with pytest.raises(InputError) as caught:
        find("hours.yaml", root=root)
    assert problem in caught.value.block()


def test_a_file_that_is_not_there_or_no_text_is_refused(own):
    root = own()
    with pytest.raises(InputError, match=r"hour\.yaml"):
        find("hour.yaml", root=root)
    (root / "bad.yaml").write_bytes(b"kind: \xff\n")
    with pytest.raises(InputError, match="not UTF-8"):
        find("bad.yaml", root=root)
    (root / "big.yaml").write_bytes(b"#" * 1_000_001)
    with pytest.raises(InputError, match="too large"):
        find("big.yaml", root=root)


def test_an_own_wording_that_takes_too_much_is_told_with_its_place(own, monkeypatch):
    keeper = subprocess_renderer.SubprocessRenderer(subprocess_renderer.RenderLimits(memory=400 << 20))
    monkeypatch.setattr(subprocess_renderer, "shared_renderer", keeper)
    root = own(OWN.replace("open on {{ day }}?", "open on {{ day.center(10**10) }}?"))
    with pytest.raises(InputError) as caught:
        bind_template(find("hours.yaml/ask", root=root), ROWS).render_all(ROWS, "t")
    keeper.close()
    assert caught.value.where == "f.jsonl:1"
    assert "too much memory" in caught.value.problem
    assert "wordings.ask.prompt of hours.yaml" in caught.value.fix
