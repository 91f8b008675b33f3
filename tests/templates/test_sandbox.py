from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tutelage.core.errors import InputError
from tutelage.templates import sandbox
from tutelage.templates.sandbox import MissingFieldError, NotTextError, TooLongError, check, reference, render

TEXTS = st.text(alphabet="ab {}%#<\ue000\uffff\u2028\n\x01é", max_size=12)


@given(TEXTS, TEXTS)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_a_span_holds_its_fields_value_exactly(one, two):
    rendered = render("A {{ one }}{{ two }} B\n{% if one %}{{ one }}{% endif %}", {"one": one, "two": two})
    assert rendered.text == f"A {one}{two} B\n{one}"
    values = {"one": one, "two": two}
    assert [rendered.text[start:end] for _, start, end in rendered.spans] == [
        values[n] for n, _, _ in rendered.spans
    ]
    assert [name for name, _, _ in rendered.spans] == [name for name in ("one", "two", "one") if values[name]]


@pytest.mark.parametrize(
    ("source", "text", "spans"),
    [
        ("{{ a }}", "xyz", [("a", 0, 3)]),
        ("{{ a | trim }}", "xyz", []),
        ("{{ a | upper }}-{{ a }}", "XYZ-xyz", [("a", 4, 7)]),
        ("{{ a[:2] }}", "xy", []),
        ("{{ a ~ '!' }}", "xyz!", []),
        ("{% set b = a %}{{ b }}", "xyz", [("a", 0, 3)]),
        ("{% set b %}{{ a }}!{% endset %}{{ b | length }}", "4", []),
        ("{% filter upper %}{{ a }}{% endfilter %}", "XYZ", []),
        ("{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(a) }}", "<xyz>", []),
        ("{% for c in ['1', '2'] %}{{ a }}{{ c }}{% endfor %}", "xyz1xyz2", [("a", 0, 3), ("a", 4, 7)]),
        ("{{ 'q' if n == 3 else a }}{{ n }}", "q3", []),
        ("{{ row['odd name'] }}", "odd", [("odd name", 0, 3)]),
        ("{{ o.inner }}{{ o['inner'] }}", "deepdeep", []),
        ("{{ x | default('none') }}{{ f }}", "none0.5", []),
        ("{{ 'x' if a is defined and nothing is not defined }}{{ a }}", "xxyz", [("a", 1, 4)]),
    ],
)
def test_spans_are_claimed_only_where_a_whole_value_stands(source, text, spans):
    fields = {"a": "xyz", "n": 3, "f": 0.5, "o": {"inner": "deep"}, "odd name": "odd"}
    rendered = render(source, fields)
    assert rendered.text == text
    assert list(rendered.spans) == spans


def test_markup_is_left_as_it_stands():
    assert render("<b>{{ a }}</b>", {"a": "<i>&{{ b }}"}).text == "<b><i>&{{ b }}</b>"


@pytest.mark.parametrize(
    "source",
    ["{{ b }}", "{{ b | upper }}", "{% if b %}x{% endif %}", "{{ b.c }}", "{{ dict }}", "{{ lipsum }}"],
)
def test_a_missing_field_is_never_empty_text(source):
    with pytest.raises(MissingFieldError) as caught:
        render(source, {"a": "x"})
    assert caught.value.name in source
    assert not caught.value.inside


def test_a_missing_part_of_a_value_is_told_apart():
    with pytest.raises(MissingFieldError) as caught:
        render("{{ a.b }}", {"a": {"c": "x"}})
    assert caught.value.inside
    assert caught.value.name == "b"


@pytest.mark.parametrize("value", [None, True, False, [], ["x"], {}, {"a": 1}])
def test_what_is_no_text_is_not_printed_as_python_would(value):
    with pytest.raises(NotTextError):
        render("{{ a }}", {"a": value})


@pytest.mark.parametrize(
    "source",
    [
        "{{ a | trim }}", "{{ a | upper }}", "{{ a | replace('x', 'y') }}", "{{ a | string }}", "{{ a | indent(2) }}",
        "{{ a | truncate(9) }}", "{{ '%s' | format(a) }}", "{{ '%s' % a }}", "{{ '%s %s' % ('x', a) }}", "{{ a ~ 'x' }}",
        "{{ a | safe }}", "{{ a | forceescape }}", "{{ a | pprint }}", "{{ {'z': a} | urlencode }}", "{{ '%(x)s' | format(x=a) }}",
        "{{ 'x' | replace('x', a) }}", "{{ [{'k': a}] | join('-', attribute='k') }}", "{{ [{'k': a}] | join('-', 'k') }}",
        "{{ ['x', 'y'] | join(a) }}", "{{ '{}'.format(a) }}", "{{ '{x}'.format(x=a) }}", "{{ '{0[z]}'.format({'z': a}) }}",
        "{{ '{z}'.format_map({'z': a}) }}", "{{ '%(z)s' % {'z': a} }}", "{{ 'x' ~ a ~ 'y' }}", "{{ ['x', a] | join(' ') }}", "{{ [a] | join }}", "{{ (a ~ 'x') | length }}",
    ],
)  # fmt: skip
@pytest.mark.parametrize("value", [None, ["x"], {"a": 1}])
def test_no_filter_or_operator_makes_a_word_of_what_is_no_text(source, value):
    """Jinja itself makes the word None of `{{ a | trim }}`, which a model would then learn."""
    with pytest.raises(NotTextError):
        render(source, {"a": value})


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ (a or 'none') | trim }}", "none"),
        ("{{ a | default('x', true) | upper }}", "X"),
        ("{% if a %}{{ a ~ '!' }}{% endif %}{{ n ~ ' of ' ~ n }}", "3 of 3"),
        ("{{ yes | lower }}", "true"),
        ("{{ yes | string | lower }}", "true"),
        ("{{ '%(n)s of %(m)d' % {'n': n, 'm': 4, 'a': a} }}", "3 of 4"),
        ("{{ '{} {x:>3}'.format(n, x='y') }}{{ '{z}'.format_map({'z': n}) }}", "3   y3"),
        ("{{ text.format(n) }}", "so 3"),
        ("{{ {'q': 'a b', 'n': n} | urlencode }}", "q=a+b&n=3"),
        ("{{ rows | map(attribute='k') | join(', ') }}", "u, 2"),
        ("{{ rows | join('-', attribute='k') }}{{ n % 2 }}", "u-21"),
        ("{{ '%s: %d' % ('x', n) }}{{ n | string | center(3) }}", "x: 3 3 "),
    ],
)
def test_a_guarded_null_and_what_is_text_are_rendered(source, text):
    row = {"a": None, "n": 3, "yes": True, "text": "so {}", "rows": [{"k": "u"}, {"k": 2}]}
    assert render(source, row).text == text


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__ }}",
        "{{ a.__class__.__mro__ }}",
        "{{ a._field }}",
        "{{ (a | attr('__class__')) }}",
        "{{ a.upper.__self__ }}",
        "{{ range(10**9) | length }}",
        "{{ o.update({'x': 1}) }}",
        "{{ l.append(1) }}",
        "{{ '{0.__class__}'.format(a) }}",
        "{% include 'x' %}{{ a }}",
        "{{ a.upper }}",
        "{{ namespace.__init__ }}",
    ],
)
def test_nothing_gets_out_of_the_sandbox(source):
    with pytest.raises(Exception) as caught:  # noqa: PT011  # the kinds differ; none may be a result
        render(source, {"a": "x", "o": {}, "l": []})
    assert not isinstance(caught.value, AssertionError)


def test_objects_with_behaviour_do_not_reach_a_template():
    with pytest.raises(TypeError, match="no JSON value"):
        render("{{ a }}", {"a": object()})

    class Loud(str):
        __slots__ = ()

        def upper(self):
            raise AssertionError

    assert render("{{ a | upper }}", {"a": Loud("x")}).text == "X"


def test_the_output_is_bounded(monkeypatch):
    monkeypatch.setattr(sandbox, "MAX_RENDERED_CHARACTERS", 100)
    assert len(render("{{ a * 50 }}", {"a": "ab"}).text) == 100
    with pytest.raises(TooLongError):
        render("{% for i in range(60) %}{{ a }}{% endfor %}", {"a": "ab"})


@pytest.mark.parametrize(
    ("source", "problem", "found"),
    [
        ("line\n{{ a", "not valid Jinja", "line 2"),
        ("{% if a %}x", "not valid Jinja", "line 1"),
        ("{{ a | nofilter }}", "not valid Jinja", "nofilter"),
        ("{ a }", "uses no field", "{ a }"),
        ("", "uses no field", '""'),
    ],
)
def test_a_template_is_checked_before_any_row(source, problem, found):
    with pytest.raises(InputError) as caught:
        check(source, where="tasks.0.prompt")
    assert caught.value.where == "tasks.0.prompt"
    assert problem in caught.value.problem
    assert found in caught.value.found
    assert caught.value.fix


def test_the_fields_that_a_template_reads():
    assert check("{{ b }}{% if a %}{{ c.d }}{% endif %}{% set e = 1 %}{{ e }}", where="w") == ("a", "b", "c")
    assert check("{{ row['x y'] }}{% for i in range(2) %}{{ z }}{% endfor %}", where="w") == ("x y", "z")


@pytest.mark.parametrize("name", ["plain", "odd name", "it's", "if", "ünï", "1st", 'quo"te', "back\\slash"])
def test_a_reference_to_any_name_renders(name):
    assert render(reference(name), {name: "value"}).text == "value"
