"""Templates that only put fields into a text: the sandbox's outcome, without the sandbox."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tutelage.core import limits
from tutelage.core.errors import InputError
from tutelage.core.nouns import Example, Origin
from tutelage.templates import TaskTemplate, apart, gaps, sandbox
from tutelage.templates.sandbox import Failure, Rendered

PLAIN = [
    "{{ a }}",
    "Sum up:\n\n{{ a }}\n",
    "{{ a }}{{ b }} {{- a -}} x",
    "{# a note #}{{ b }}",
    "{% raw %}{{ a }}{% endraw %}{{ b }}",
    "<function {{ a }}>",
    "{{ range }} {{ c }}",
    "{{ missing }}",
    "{{ _ }}",
]
MORE = [
    "{{ a | trim }}",
    "{{ row }}",
    "{{ row['a'] }}",
    "{% if a %}{{ a }}{% endif %}",
    "{{ self }}",
    "{{ a.b }}",
    "{{ 1 }}",
]
VALUES = (
    st.text(max_size=6)
    | st.sampled_from(["x at 0x12ab", "<method f>", "<b>", "\ud83d", "é", "", "{{ b }}"])
    | st.integers()
    | st.floats()
    | st.booleans()
    | st.none()
    | st.lists(st.integers(), max_size=2)
)
FIELDS = st.dictionaries(st.sampled_from(["a", "b", "c", "range", "row", "self", "_"]), VALUES, max_size=5)


def test_what_only_puts_fields_into_a_text_is_known():
    assert all(gaps.gaps(source) is not None for source in PLAIN)
    assert not any(gaps.gaps(source) for source in MORE)
    assert gaps.gaps("x{{ a }}") == ("x", gaps.Gap("a"))


@pytest.mark.parametrize("source", [*PLAIN, *MORE])
@given(FIELDS, FIELDS)
@settings(max_examples=120, deadline=None, derandomize=True)
def test_the_outcome_is_the_sandboxs(source, fields, extra):
    assert gaps.attempt(source, fields, extra) == sandbox.attempt(source, fields, extra)
    assert gaps.attempt(source, fields) == sandbox.attempt(source, fields)


def test_a_value_that_is_no_json_is_told_as_the_sandbox_tells_it():
    assert gaps.attempt("{{ a }}", {"a": "x", "b": object()}) == Failure(
        "failed", "TypeError: object is no JSON value"
    )


@pytest.mark.parametrize(
    "completion", ["{{ a }}", "{{ c }}\n", "{{ b | trim }}", "{% if c %}{{ c }}{% endif %}"]
)
@pytest.mark.parametrize("prompt", [*PLAIN, *MORE])
@given(FIELDS)
@settings(max_examples=50, deadline=None, derandomize=True)
def test_two_filled_texts_are_the_sandboxs(prompt, completion, fields):
    filling = gaps.filling(prompt, completion)
    if filling is None:
        assert "row" in prompt or "range" in prompt
        return
    if not fields.keys() >= set(filling.fields):
        return
    made = filling.fill([fields[name] for name in filling.fields])
    wanted = [sandbox.attempt(source, fields) for source in (prompt, completion)]
    if made is not None:
        assert all(isinstance(one, Rendered) for one in wanted)
        assert made == tuple(one.text for one in wanted)
    else:  # only what the whole way refuses, or has a look at
        texts = [one.text if isinstance(one, Rendered) else "" for one in wanted]
        assert any(not text.strip() or "<" in text for text in texts)


def test_what_a_template_reads_is_all_that_fills_it():
    assert gaps.filling("{{ b }} {{ a }}", "{{ b }}").fields == ("b", "a")
    assert gaps.filling("{{ b | trim }} {{ a if b }}", "{{ d }}").fields == ("a", "b", "d")
    assert gaps.filling("{{ a | trim }}", "{{ row['a c'] }}") is None
    assert gaps.filling("{{ a }}", "{% for name in row %}{{ name }}{% endfor %}") is None
    assert TaskTemplate("{{ a }}", "{{ b }}").filling.fill(["x", 2]) == ("x", "2")
    assert TaskTemplate("{{ a }}", "{{ b + 1 }}").filling.fill(["x", 2]) == ("x", "3")
    assert TaskTemplate("{{ a }}", "{{ b }}", references="c").filling is None
    assert TaskTemplate("{{ a }}", "{{ b }}", foreign=True).filling is not None
    assert TaskTemplate("{{ a }}", "{{ b + 1 }}", foreign=True).filling is None  # another process renders it


def test_a_text_is_bounded_before_it_is_made(monkeypatch):
    monkeypatch.setattr(gaps, "MAX_RENDERED_CHARACTERS", 1000)
    assert gaps.fill("{{ a }}" * 100, {"a": "x" * 11}) is None
    assert gaps.fill("{{ a }}" * 100, {"a": "x" * 10}) is not None
    for value, made in (("x" * 11, False), ("x" * 10, True)):
        assert (gaps.filling("{{ a }}" * 100, "{{ a }}").fill([value]) is not None) is made
    assert gaps.filling("{{ a }}", "{{ a }}").fill(["x" * 1001]) is None
    monkeypatch.setattr(gaps, "MAX_RENDERED_CHARACTERS", 10**6)
    assert gaps.filling("{{ a }}" * 10**5, "{{ a }}").fill(["x" * 10**8]) is None  # ten terabytes
    assert limits.MAX_RENDERED_CHARACTERS > 1000


def test_a_foreign_template_with_gaps_alone_needs_no_process(monkeypatch):
    def never(_jobs):
        raise AssertionError("a child was asked")

    rows = [Example("1", {"a": "x", "n": 3}, Origin("r.jsonl", 1))]
    template = TaskTemplate("Say {{ a }}", "{{ n }}", foreign=True)
    with monkeypatch.context() as patched:
        patched.setattr(apart, "render", never)
        (made,) = template.render_all(rows, "t")
        assert "rendered" not in template.card()
        with pytest.raises(AssertionError):
            TaskTemplate("Say {{ a | upper }}", "{{ n }}", foreign=True).render_all(rows, "t")
    assert (made.prompt, made.completion, made.spans) == ("Say x", "3", (("a", 4, 5),))
    with pytest.raises(InputError, match="does not have"):
        TaskTemplate("Say {{ b }}", "{{ n }}", foreign=True).render_all(rows, "t")
    assert isinstance(gaps.attempt("Say {{ a }}", rows[0].fields), Rendered)
