"""Chat templates: how much text they may write."""

from __future__ import annotations

import pytest

from tutelage.core.clock import Instant
from tutelage.templates.chat_environment import RenderedChat, try_render_chat

MESSAGES = [{"role": "user", "content": "hi"}]


def outcome(template, messages=MESSAGES):
    return try_render_chat(template, messages, {}, Instant.now())


@pytest.mark.parametrize(
    "template",
    [
        "{{ 'a' * 9000000 }}",
        # Written to its end this would take hours.
        "{% for i in range(99999) %}{% for j in range(99999) %}a{% endfor %}{% endfor %}",
    ],
)
def test_a_template_that_writes_far_more_than_the_messages_is_stopped_while_it_writes(template):
    failure = outcome(template)
    assert failure.kind == "too-long"
    assert (
        failure.detail == "more than 101,072 characters"
    )  # 100,000, 1,000 a message, and 12 for each of 6 characters


def test_long_messages_may_be_long_as_text():
    message = {"role": "user", "content": "😀" * 100_000}
    text = outcome("{{ messages[0].content | tojson(ensure_ascii=true) }}", [message])
    assert isinstance(text, RenderedChat)
    assert len(text.text) == 2 + 12 * 100_000
    many = [{"role": "user", "content": "x"}] * 2_000
    assert len(outcome("{% for m in messages %}{{ 'frame ' * 150 }}{% endfor %}", many).text) == 1_800_000
