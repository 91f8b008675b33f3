from __future__ import annotations

import pytest

from tutelage.chat import Conversation
from tutelage.core.errors import InputError


def words(messages):
    """A tokenizer for tests: one token a word."""
    return sum(len(message["content"].split()) for message in messages)


def roles(prompt):
    return [(message["role"], message["content"]) for message in prompt.messages]


def test_earlier_exchanges_stand_before_the_question_and_the_system_prompt_before_all():
    conversation = Conversation(count=words, context=None, max_new_tokens=10, system="be kind")
    conversation.append("one", "first")
    assert roles(conversation.prompt("two")) == [
        ("system", "be kind"),
        ("user", "one"),
        ("assistant", "first"),
        ("user", "two"),
    ]


def test_the_oldest_exchanges_go_first_and_whole_and_the_system_prompt_stays():
    conversation = Conversation(count=words, context=20, max_new_tokens=10, system="s s")
    for name in ("a", "b", "c"):
        conversation.append(f"{name} {name}", name)
    # 2 for the system prompt, 3 an exchange, 3 for the question: ten tokens hold one exchange of three.
    prompt = conversation.prompt("x y z")
    assert prompt.dropped == 2
    assert roles(prompt) == [("system", "s s"), ("user", "c c"), ("assistant", "c"), ("user", "x y z")]
    # Nothing is forgotten before `forget_oldest`.
    assert conversation.prompt("x y z").dropped == 2
    conversation.forget_oldest(prompt.dropped)
    assert conversation.prompt("x y z").dropped == 0


def test_the_newest_exchange_can_be_forgotten_and_nothing_before_it():
    conversation = Conversation(count=words, context=None, max_new_tokens=1)
    conversation.forget_last()
    conversation.append("one", "first")
    conversation.append("two", "second")
    conversation.forget_last()
    assert roles(conversation.prompt("x")) == [("user", "one"), ("assistant", "first"), ("user", "x")]


def test_exactly_what_fits_is_kept():
    conversation = Conversation(count=words, context=13, max_new_tokens=5)
    conversation.append("a a a", "b b")
    assert conversation.prompt("c c c").dropped == 0
    assert conversation.prompt("c c c c").dropped == 1


def test_a_question_that_alone_is_too_long_is_refused_and_nothing_is_forgotten():
    conversation = Conversation(count=words, context=8, max_new_tokens=4)
    conversation.append("a", "b")
    with pytest.raises(InputError, match="too long") as caught:
        conversation.prompt("1 2 3 4 5")
    assert (caught.value.found, caught.value.expected[:16]) == ("5 tokens", "at most 4 tokens")
    assert len(conversation.prompt("1 2").messages) == 3


def test_a_model_that_reads_only_the_question_gets_only_the_question():
    conversation = Conversation(count=words, context=8, max_new_tokens=4, remembers=False)
    conversation.append("a", "b")
    assert roles(conversation.prompt("c")) == [("user", "c")]
