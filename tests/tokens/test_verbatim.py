"""Which chat templates are shown to write what was said as it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from tutelage.templates.chat_renderer import writes_contents_verbatim
from tutelage.tokens import chat_templates

LOOP = "{%% for m in messages %%}%s{%% endfor %%}"
SMOLLM, QWEN = (Path(__file__).with_name(f"{name}.jinja").read_text("utf-8") for name in ("smollm", "qwen"))
"""Chat templates as these families have them."""


@pytest.mark.parametrize(
    "name", [name for name in chat_templates.bundled_names() if name != "system-in-user"]
)
def test_the_bundled_templates_are(name, tmp_path):
    assert writes_contents_verbatim(chat_templates.template_text(name, root=tmp_path))


@pytest.mark.parametrize(
    "template",
    [
        SMOLLM,
        QWEN,
        LOOP % "{{ m.content if m.role == 'user' else m['content'] ~ eos_token }}",
        LOOP % "{% if m.content is string %}{{ m.content }}{% endif %}",
        LOOP
        % "{% if m.role not in ['user'] %}{{ raise_exception('no ' + m.role) }}{% endif %}{{ m.content }}",
        "{{ strftime_now('%d') }}" + LOOP % "{{ m.content }}",  # the same instant for all
        "{% set rest = messages[1:] %}{% for m in rest %}{{ m['content'] }}{% endfor %}{{ messages | length }}",
        LOOP % "{% if 'tool_calls' in m %}x{% endif %}{{ m.content }}{{ messages[loop.index0 - 1]['role'] }}",
    ],
)
def test_what_only_puts_contents_out_is(template):
    assert writes_contents_verbatim(template)


@pytest.mark.parametrize(
    "template",
    [
        LOOP % "{{ m.content | trim }}",
        LOOP % "{{ m.content[:2] }}",
        LOOP % "{{ m.content.strip() }}",
        LOOP % "{{ m.get('content') }}",
        LOOP % "{{ m | tojson }}",
        LOOP % "{{ m }}",
        LOOP % "{{ m['con' + 'tent'] | upper }}",
        LOOP % "{% for k in m %}{{ m[k] }}{% endfor %}",
        LOOP % "{% set c = m.content %}{{ c | upper }}",
        LOOP % "{% if m.content %}{{ m.content }}{% endif %}",
        LOOP % "{% if '</think>' in m.content %}x{% endif %}{{ m.content }}",
        LOOP % "{% if m.content == 'a' %}x{% endif %}{{ m.content }}",
        LOOP % "{{ ('<' + m.content) | upper }}",
        LOOP % "{{ m.content * 2 }}",
        LOOP % "{{ m.content }}{{ loop.previtem }}",
        LOOP % "{% if loop.changed(m.content) %}x{% endif %}{{ m.content }}",
        LOOP % "{% set x %}{{ m.content }}{% endset %}{{ x | upper }}",
        LOOP % "{% filter upper %}{{ m.content }}{% endfilter %}",
        LOOP % "{% set ns = namespace(c=m.content) %}{{ ns.c | upper }}",
        "{% macro say(m) %}{{ m.content }}{% endmacro %}" + LOOP % "{{ say(m) | upper }}",
        "{% for a, b in messages %}{{ a }}{% endfor %}",
        "{{ messages | map(attribute='content') | join }}",
        "{% for m in messages | reverse %}{{ m.content | upper }}{% endfor %}",
        "{% set c = strftime_now %}{% for m in messages %}{{ m.content }}{{ c('%d') }}{% endfor %}",
        "{% for m in messages %}{{ strftime_now(m.content) }}{% endfor %}",
        LOOP % "{{ m.content }}{{ ['a', 'b'] | random }}",
        LOOP % "{{ self }}{{ m.content }}",
        "{% for m in messages if m.content %}{{ m.content }}{% endfor %}",
        "{% for m in messages %}{{ m.content }",
        LOOP % "{% generation %}{{ m.content }}{% endgeneration %}",
        LOOP % "{% set messages = [m.content | upper] %}{{ messages[0] }}",
    ],
)
def test_what_looks_at_contents_is_not(template):
    assert not writes_contents_verbatim(template)
