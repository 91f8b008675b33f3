"""Rows' texts without the rows: what the whole template makes, or nothing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tutelage.templates import TaskTemplate, column_renderer, sandbox
from tutelage.templates.sandbox import RenderedText

from .test_placeholders import MORE, PLAIN, VALUES

ROWS = st.fixed_dictionaries(
    dict.fromkeys(["a", "b", "c", "missing", "_"], VALUES),
    optional=dict.fromkeys(["range", "row", "self"], VALUES),
)


@pytest.mark.parametrize(
    "completion", ["{{ a }}", "{{ c }}\n", "{{ b | trim }}", "{% if c %}{{ c }}{% endif %}"]
)
@pytest.mark.parametrize("prompt", [*PLAIN, *MORE])
@given(ROWS)
@settings(max_examples=50, deadline=None, derandomize=True)
def test_two_texts_are_the_sandboxs(prompt, completion, fields):
    made = column_renderer.column_renderer(prompt, completion)
    if made is None:
        assert "row" in prompt or "range" in prompt
        return
    if not fields.keys() >= set(made.fields):
        assert {"range", "self"} & set(made.fields)
        return
    texts = made.fill([fields[name] for name in made.fields])
    wanted = [sandbox.try_render(source, fields) for source in (prompt, completion)]
    if texts is not None:
        assert all(isinstance(one, RenderedText) for one in wanted)
        assert texts == tuple(one.text for one in wanted)
    else:  # only what the whole way refuses, or has a look at
        said = [one.text if isinstance(one, RenderedText) else "" for one in wanted]
        assert any(not text.strip() or "<" in text for text in said)


def test_what_a_template_reads_is_all_that_fills_it():
    found = column_renderer.column_renderer
    assert found("{{ b }} {{ a }}", "{{ b }}").fields == ("b", "a")
    assert found("{{ b | trim }} {{ a if b }}", "{{ d }}").fields == ("a", "b", "d")
    assert found("{{ a | trim }}", "{{ row['a c'] }}") is None
    assert found("{{ a }}", "{% for name in row %}{{ name }}{% endfor %}") is None


def test_a_task_that_needs_more_than_two_texts_is_not_filled():
    assert TaskTemplate("{{ a }}", "{{ b }}").column_renderer.fill(["x", 2]) == ("x", "2")
    assert TaskTemplate("{{ a }}", "{{ b + 1 }}").column_renderer.fill(["x", 2]) == ("x", "3")
    assert TaskTemplate("{{ a }}", "{{ b }}", references="c").column_renderer is None
    assert TaskTemplate("{{ a }}", "{{ b }}", untrusted=True).column_renderer is not None
    assert (
        TaskTemplate("{{ a }}", "{{ b + 1 }}", untrusted=True).column_renderer is None
    )  # another process renders it


def test_a_text_is_bounded_before_it_is_made(monkeypatch):
    monkeypatch.setattr(column_renderer, "MAX_RENDERED_CHARACTERS", 1000)
    for value, made in (("x" * 11, False), ("x" * 10, True)):
        assert (column_renderer.column_renderer("{{ a }}" * 100, "{{ a }}").fill([value]) is not None) is made
    assert column_renderer.column_renderer("{{ a }}", "{{ a }}").fill(["x" * 1001]) is None
    monkeypatch.setattr(column_renderer, "MAX_RENDERED_CHARACTERS", 10**6)
    assert (
        column_renderer.column_renderer("{{ a }}" * 10**5, "{{ a }}").fill(["x" * 10**8]) is None
    )  # ten terabytes
