"""Templates that only put fields into a text: the sandbox's outcome, without the sandbox."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tutelage.core import limits
from tutelage.core.errors import InputError
from tutelage.core.types import Example, Origin
from tutelage.templates import TaskTemplate, placeholders, sandbox, subprocess_renderer
from tutelage.templates.sandbox import RenderedText, RenderFailure

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
    assert all(placeholders.parse_placeholders(source) is not None for source in PLAIN)
    assert not any(placeholders.parse_placeholders(source) for source in MORE)
    assert placeholders.parse_placeholders("x{{ a }}") == ("x", placeholders.Placeholder("a"))


@pytest.mark.parametrize("source", [*PLAIN, *MORE])
@given(FIELDS, FIELDS)
@settings(max_examples=120, deadline=None, derandomize=True)
def test_the_outcome_is_the_sandboxs(source, fields, extra):
    assert placeholders.try_render(source, fields, extra) == sandbox.try_render(source, fields, extra)
    assert placeholders.try_render(source, fields) == sandbox.try_render(source, fields)


def test_a_value_that_is_no_json_is_told_as_the_sandbox_tells_it():
    assert placeholders.try_render("{{ a }}", {"a": "x", "b": object()}) == RenderFailure(
        "failed", "TypeError: object is no JSON value"
    )


def test_a_text_is_bounded_before_it_is_made(monkeypatch):
    monkeypatch.setattr(placeholders, "MAX_RENDERED_CHARACTERS", 1000)
    assert placeholders.fill("{{ a }}" * 100, {"a": "x" * 11}) is None
    assert placeholders.fill("{{ a }}" * 100, {"a": "x" * 10}) is not None
    assert limits.MAX_RENDERED_CHARACTERS > 1000


def test_a_foreign_template_with_gaps_alone_needs_no_process(monkeypatch):
    def never(_jobs):
        raise AssertionError("a child was asked")

    rows = [Example("1", {"a": "x", "n": 3}, Origin("r.jsonl", 1))]
    template = TaskTemplate("Say {{ a }}", "{{ n }}", untrusted=True)
    with monkeypatch.context() as patched:
        patched.setattr(subprocess_renderer, "shared_renderer", never)
        (made,) = template.render_all(rows, "t")
        assert "rendered" not in template.card()
        with pytest.raises(AssertionError):
            TaskTemplate("Say {{ a | upper }}", "{{ n }}", untrusted=True).render_all(rows, "t")
    assert (made.prompt, made.completion, made.spans) == ("Say x", "3", (("a", 4, 5),))
    with pytest.raises(InputError, match="does not have"):
        TaskTemplate("Say {{ b }}", "{{ n }}", untrusted=True).render_all(rows, "t")
    assert isinstance(placeholders.try_render("Say {{ a }}", rows[0].fields), RenderedText)
