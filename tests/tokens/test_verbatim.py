"""Which chat templates are shown to write what was said as it stands."""

from __future__ import annotations

import pytest

from tutelage.tokens import chat
from tutelage.tokens.verbatim import verbatim

LOOP = "{%% for m in messages %%}%s{%% endfor %%}"
SMOLLM = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n"
    "You help<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>'"
    " + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
QWEN = (
    "{%- if messages[0].role == 'system' %}{{- '<|im_start|>system\n' + messages[0].content + '<|im_end|>\n' }}"
    "{%- else %}{{- '<|im_start|>system\nYou help.<|im_end|>\n' }}{%- endif %}"
    "{%- for message in messages %}"
    "{%- if (message.role == 'user') or (message.role == 'system' and not loop.first) or (message.role == 'assistant' "
    "and not message.tool_calls) %}{{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' }}"
    "{%- endif %}{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
)


@pytest.mark.parametrize("name", chat.names())
def test_the_bundled_templates_are(name, tmp_path):
    assert verbatim(chat.text_of(name, root=tmp_path))


@pytest.mark.parametrize(
    "template",
    [
        SMOLLM,
        QWEN,
        LOOP % "{{ m.content if m.role == 'user' else m['content'] ~ eos_token }}",
        LOOP % "{% if m.content is string %}{{ m.content }}{% endif %}",
        LOOP
        % "{% if m.role not in ['user'] %}{{ raise_exception('no ' + m.role) }}{% endif %}{{ m.content }}",
        "{% set rest = messages[1:] %}{% for m in rest %}{{ m['content'] }}{% endfor %}{{ messages | length }}",
        LOOP % "{% if 'tool_calls' in m %}x{% endif %}{{ m.content }}{{ messages[loop.index0 - 1]['role'] }}",
    ],
)
def test_what_only_puts_contents_out_is(template):
    assert verbatim(template)


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
        "{% for m in messages %}{{ m.content }}{{ strftime_now('%d') }}{% endfor %}",
        LOOP % "{{ m.content }}{{ ['a', 'b'] | random }}",
        LOOP % "{{ self }}{{ m.content }}",
        "{% for m in messages if m.content %}{{ m.content }}{% endfor %}",
        "{% for m in messages %}{{ m.content }",
        LOOP % "{% generation %}{{ m.content }}{% endgeneration %}",
        LOOP % "{% set messages = [m.content | upper] %}{{ messages[0] }}",
    ],
)
def test_what_looks_at_contents_is_not(template):
    assert not verbatim(template)
