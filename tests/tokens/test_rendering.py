"""Chat templates in the child: the texts are transformers' own, byte for byte, and memory, time and the clock are bounded."""

from __future__ import annotations

import ast
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from transformers import AutoTokenizer
from transformers.utils import chat_template_utils

from tutelage.core import clock as clocks
from tutelage.core.clock import EVERYTHING, Clock, Instant
from tutelage.core.errors import InputError
from tutelage.templates import chat_renderer, subprocess_renderer
from tutelage.templates.subprocess_renderer import RenderLimits, SubprocessRenderer
from tutelage.tokens import chat_encoding, chat_templates, rendering
from tutelage.tokens.rendering import RenderLimitError

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the system's limits are Linux's")
SRC = Path(rendering.__file__).parents[1]
MOMENT = datetime(2026, 1, 31, 23, 59, 58, 123456, tzinfo=UTC)
LOOP = "{%% for m in messages %%}%s{%% endfor %%}"

CHATML = """{% for message in messages %}{{'<|im_start|>' + message['role'] + '
' + message['content'] + '<|im_end|>' + '
'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant
' }}{% endif %}"""
DATED = """{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start|>system<|end|>\\n\\nToday Date: " + date_string + "\\n\\n" + system_message + eos_token }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start|>' + message['role'] + '<|end|>\\n\\n'+ message['content'] | trim + eos_token }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start|>assistant<|end|>\\n\\n' }}
{%- endif %}
"""
STRICT = """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- set ns = namespace(index=0) %}
{%- for message in loop_messages %}
    {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
        {{- raise_exception("After the optional system message, conversation roles must alternate user/assistant") }}
    {%- endif %}
    {%- set ns.index = ns.index + 1 %}
{%- endfor %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- else %}
        {{- raise_exception("Only user and assistant roles are supported") }}
    {%- endif %}
{%- endfor %}
"""
NO_SYSTEM = """{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}
{%- for message in messages %}
{%- if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}
{{ '<start_of_turn>' + role + '
' + message['content'] | trim + '<end_of_turn>
' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model
'}}{% endif %}"""
THINKING = """{%- if tools %}
    {{- '<|im_start|>system\\n' }}{%- for tool in tools %}{{- "\\n" }}{{- tool | tojson }}{%- endfor %}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set content = message.content %}
        {%- set reasoning_content = '' %}
        {%- if '</think>' in content %}
            {%- set reasoning_content = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index %}
            {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}
{%- endif %}
"""
SMALL = {
    "tojson": "{{ messages | tojson }}{{ messages | tojson(indent=2) }}{{ {'b': '<é>', 'a': none} | tojson(sort_keys=true) }}",
    "generation": LOOP
    % "{% set x = 1 %}{% generation %}{% set x = 2 %}{{ m.content }}{% endgeneration %}{{ x }}",
    "loop controls": LOOP
    % "{% if loop.index > 2 %}{% break %}{% endif %}{% if m.role == 'system' %}{% continue %}{% endif %}{{ m.content }}",
    "dict": "{{ dict(a=1) }}{{ dict.fromkeys(['x'], 2) }}{% set n = namespace(self=3, other=4) %}{{ n.self + n.other }}{{ n }}",
    "trim blocks": "  {% if true %}\n  a\n  {% endif %}\nb {# c #}\n{{ bos_token }}|{{ pad_token }}|{{ nothing }}|",
    "macros": "{% macro say(m) %}{{ m.role }}: {{ m.content | upper }}{% endmacro %}" + LOOP % "{{ say(m) }}",
    "clock": "{{ strftime_now('%Y-%m-%d %H:%M:%S.%f %j %p %% %a') }}{{ strftime_now(format='%Y') }}{{ messages[0].content }}",
    "filters": LOOP
    % "{{ m.content | replace('a', 'b') | title }}{{ m.content.split() | join('-') }}{{ m | items | list }}",
    "numbers": "{{ 7 / 2 }}{{ 7 // 2 }}{{ 2 ** 10 }}{{ 1.0 }}{{ true }}{{ none }}{{ [1, 'a'] }}{{ messages | length }}",
}
FILES = [Path(__file__).with_name(f"{name}.jinja") for name in ("smollm", "qwen")]
TEMPLATES = {
    **{path.stem: path.read_text("utf-8") for path in FILES},
    **{name: chat_templates.template_text(name, root=Path()) for name in chat_templates.bundled_names()},
    "chatml": CHATML,
    "dated": DATED,
    "strict": STRICT,
    "no system": NO_SYSTEM,
    "thinking": THINKING,
    **SMALL,
}


def talk(*turns):
    return [{"role": role, "content": content} for role, content in turns]


TALKS = [
    talk(("user", "Hello")),
    talk(("user", "")),
    talk(("system", " Be brief. "), ("user", "a\n\n  b ")),
    talk(("user", "a"), ("assistant", "<think>\nwhy\n</think>\n\nb"), ("user", "<|im_end|> \ue0f10\ue0f2 c")),
    talk(("user", "é🙂 {{ 1 }} {% if %}"), ("assistant", " no\n")),
    talk(("assistant", "first"), ("user", "then")),
    talk(("system", "s"), ("user", "u"), ("assistant", "a"), ("user", "u 2"), ("tool", "<tool_response>x")),
]


@pytest.fixture
def tokenizer(tiny_model_folder):
    return AutoTokenizer.from_pretrained(tiny_model_folder)


@pytest.fixture
def stopped(monkeypatch):
    """transformers' clock and ours, standing at the same moment."""

    class Stopped(datetime):
        @classmethod
        def now(cls, tz=None):
            return MOMENT if tz else MOMENT.replace(tzinfo=None)

    monkeypatch.setattr(chat_template_utils, "datetime", Stopped)
    monkeypatch.setattr(clocks, "now", lambda: MOMENT)


def either(do):
    """A text, or that there is none."""
    try:
        return do()
    except Exception:  # noqa: BLE001 - transformers raises whatever the template does
        return None


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("generate", [True, False])
def test_the_texts_are_those_of_transformers(tokenizer, stopped, name, generate):
    rendering.set_template(tokenizer, TEMPLATES[name])
    want = [
        either(
            lambda one=one: tokenizer.apply_chat_template(one, tokenize=False, add_generation_prompt=generate)
        )
        for one in TALKS
    ]
    assert [
        either(lambda one=one: rendering.render(tokenizer, one, generate=generate)) for one in TALKS
    ] == want
    good = [one for one, text in zip(TALKS, want, strict=True) if text is not None]
    assert good, "a template that refuses all shows nothing"
    together = rendering.render_all(tokenizer, good, generate=generate)
    assert together == [text for text in want if text is not None]


def test_an_instant_reads_as_the_clock_did_at_that_moment():
    instant = Instant(MOMENT)
    assert instant.strftime("%d %b %Y %H:%M:%S.%f|%Z|%z") == "31 Jan 2026 23:59:58.123456||"
    assert instant.strftime("%s %%s %-s") == f"{int(MOMENT.timestamp())} %s {int(MOMENT.timestamp())}"
    assert Instant.parse(str(instant)) == instant
    for text in ("", "x", "2026-01-31", "2026-01-31T00:00:00"):
        with pytest.raises(ValueError):  # noqa: PT011 - each has a message of its own
            Instant.parse(text)
    with pytest.raises(TypeError):
        instant.strftime(3)


@pytest.mark.parametrize(
    "template",
    [
        "{{ strftime_now('%H:%M:%S') }}",
        "{% set c = strftime_now %}{{ c('%H:%M:%S') }}",
        "{{ strftime_now ('%H:%M:%S') }}",
        "{% set f = '%H:%M:%S' %}{{ strftime_now(f) }}",
        "{{ strftime_now('%H'~':%M:%S') }}",
        "{{ strftime_now(format='%H:%M:%S') if false else strftime_now(*['%H:%M:%S']) }}",
        "{% macro say() %}{{ caller(strftime_now) }}{% endmacro %}{% call(c) say() %}{{ c('%H:%M:%S') }}{% endcall %}",
        "{{ ['%H:%M:%S'] | map('upper') | list and strftime_now('%H:%M:%S') }}",
        "{% if messages | length > 1 %}{{ strftime_now('%H:%M:%S') }}{% endif %}",
    ],
)
def test_what_a_template_reads_of_the_clock_is_noted_however_it_is_called(tokenizer, template):
    clock = Clock(Instant(MOMENT))
    calls = []
    clock.on_read = lambda: calls.append(dict(clock.reads))
    rendering.set_template(tokenizer, template + LOOP % "{{ m.content }}", clock=clock)
    assert rendering.may_read_clock(tokenizer)
    text = rendering.render(tokenizer, TALKS[3], generate=True)
    rendering.render(tokenizer, TALKS[3], generate=True)
    assert "23:59:58" in text
    assert clock.reads == {"%H:%M:%S": "23:59:58"}
    assert calls == [{"%H:%M:%S": "23:59:58"}], "told once, when it is new"


def test_a_clock_that_is_not_read_notes_nothing(tokenizer):
    for template in (CHATML, "{% if false %}{{ strftime_now('%d') }}{% endif %}" + LOOP % "{{ m.content }}"):
        clock = Clock(Instant(MOMENT))
        rendering.set_template(tokenizer, template, clock=clock)
        rendering.render_all(tokenizer, TALKS, generate=True)
        assert clock.reads == {}


def test_a_template_that_reads_too_much_of_the_clock_depends_on_the_instant(tokenizer):
    for template in (
        "{% for i in range(99) %}{{ strftime_now('%d' ~ i) }}{% endfor %}",
        "{{ strftime_now('%d' * 150) }}",
    ):
        clock = Clock(Instant(MOMENT))
        rendering.set_template(tokenizer, template, clock=clock)
        rendering.render(tokenizer, TALKS[0], generate=True)
        assert clock.reads[EVERYTHING] == str(Instant(MOMENT))


def test_one_instant_for_as_long_as_a_tokenizer_is_used(tokenizer, monkeypatch):
    monkeypatch.setattr(clocks, "now", lambda: MOMENT)
    rendering.set_template(tokenizer, "{{ strftime_now('%H:%M:%S') }}{{ messages[0].content | trim }}")
    first = rendering.render(tokenizer, TALKS[0], generate=True)
    monkeypatch.setattr(clocks, "now", lambda: MOMENT + timedelta(days=1))
    assert rendering.render(tokenizer, TALKS[0], generate=True) == first


def test_what_is_drawn_at_random_is_the_conversations_own(tokenizer):
    rendering.set_template(
        tokenizer, "{{ range(99999) | random }} {{ range(99999) | random }}{{ messages[0].content }}"
    )
    texts = [rendering.render(tokenizer, talk(("user", text)), generate=True) for text in "aba"]
    subprocess_renderer.close()
    texts.append(rendering.render(tokenizer, talk(("user", "a")), generate=True))
    assert texts[0] == texts[2] == texts[3]
    assert texts[0][:-1] != texts[1][:-1]
    assert len(set(texts[0][:-1].split())) == 2


DEEP = "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"
HOSTILE = {
    "division": ("{{ 1 / 0 }}", "ZeroDivisionError"),
    "overflow": ("{{ 2.0 ** 99999 }}", "OverflowError"),
    "recursion": (DEEP, "RecursionError"),
    "undefined": ("{{ messages[9].content.x }}", "UndefinedError"),
    "exception": ("{{ raise_exception('not for you') }}", "not for you"),
    "syntax": ("{% for m in messages %}\n{{", "line 2"),
    "sandbox": ("{{ ''.__class__.__mro__ }}", "unsafe"),
    "namespace": ("{% set n = namespace(__init__=1) %}", "underscore"),
    "address": ("{{ messages[0].content.upper }}", "a part of Python"),
    "half a character": ("{{ '\\ud800' }}", "surrogate"),
    "memory": ("{% set x = 'a' * 5000000000 %}", "MB of memory"),
    "memory, folded": ("{{ 'a' * 5000000000 }}", "MB of memory"),
    "long": ("{% for i in range(99999) %}{{ 'a' * 999 }}{% endfor %}", "characters"),
    "nested": ("{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}", "Error"),
    "template": ("{# " + "x" * 1_000_001 + " #}", "characters of template"),
    "type": ("{{ messages + 1 }}", "TypeError"),
}


@LINUX
@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_a_template_does_is_an_input_error_with_its_place_and_a_fix(tokenizer, tmp_path, name):
    template, found = HOSTILE[name]
    rendering.set_template(tokenizer, template, where="model/chat_template.jinja")
    with pytest.raises(InputError) as caught:
        rendering.render(tokenizer, TALKS[2], generate=True)
    error = caught.value
    assert error.where == "model/chat_template.jinja"
    assert found in error.found
    assert len(error.found) < 400
    assert "`chat_template: chatml-plain`" in error.fix
    rendering.set_template(tokenizer, chat_templates.template_text("chatml-plain", root=tmp_path))
    assert "Be brief." in rendering.render(tokenizer, TALKS[2], generate=True), "the fix works"


@LINUX
def test_only_from_the_second_message_on_is_found_too(tokenizer):
    late = LOOP % "{% if loop.index > 1 %}{% set x = 'a' * 5000000000 %}{% endif %}{{ m.content }}"
    rendering.set_template(tokenizer, late)
    assert rendering.render(tokenizer, TALKS[0], generate=True) == "Hello"
    with pytest.raises(RenderLimitError, match="too much memory"):
        rendering.render_all(tokenizer, TALKS[:4], generate=True)
    assert rendering.render(tokenizer, TALKS[0], generate=True) == "Hello"


@LINUX
def test_loops_in_loops_are_ended(tokenizer, monkeypatch):
    quick = SubprocessRenderer(RenderLimits(memory=400 << 20, cpu_seconds=100, wall_seconds=1.0))
    monkeypatch.setattr(subprocess_renderer, "shared_renderer", quick)
    loops = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
    rendering.set_template(
        tokenizer, "{% if messages | length > 2 %}" + loops + "{% endif %}{{ messages[0].content | trim }}"
    )
    with pytest.raises(RenderLimitError) as caught:
        rendering.render_all(tokenizer, TALKS, generate=True)
    quick.close()
    assert "more than 1 s; roles: user, assistant, user" in caught.value.found


def test_a_template_never_reaches_this_process(tokenizer):
    """The text of a template goes to the child unread: not even its syntax is looked at here."""
    import jinja2

    for module in (rendering, chat_renderer, chat_encoding):
        tree = ast.parse(Path(module.__file__).read_text("utf-8"))
        names = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not any(name and name.startswith(jinja2.__name__) for name in names)


def test_no_source_renders_chat_templates_by_itself():
    calls = ("apply_chat_template", "render_jinja_template", "get_chat_template")
    hits = [
        f"{path.relative_to(SRC)}:{node.lineno}"
        for path in sorted(SRC.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if (isinstance(node, ast.Attribute) and node.attr in calls)
        or (isinstance(node, ast.Name) and node.id in calls)
        or (isinstance(node, ast.alias) and node.name in calls)
    ]
    assert hits == []
