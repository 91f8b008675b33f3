from __future__ import annotations

import pytest

from tutelage.chat import Conversation
from tutelage.core.errors import InputError


def words(messages):
    """A tokenizer for tests: one token a word."""
    return sum(len(message["content"].split()) for message in messages)


def roles(asked):
    return [(message["role"], message["content"]) for message in asked.messages]


def test_earlier_exchanges_stand_before_the_question_and_the_system_prompt_before_all():
    talk = Conversation(count=words, context=None, room=10, system="be kind")
    talk.hear("one", "first")
    assert roles(talk.ask("two")) == [
        ("system", "be kind"),
        ("user", "one"),
        ("assistant", "first"),
        ("user", "two"),
    ]
    talk.reset()
    assert roles(talk.ask("three")) == [("system", "be kind"), ("user", "three")]


def test_the_oldest_exchanges_go_first_and_whole_and_the_system_prompt_stays():
    talk = Conversation(count=words, context=20, room=10, system="s s")
    for name in ("a", "b", "c"):
        talk.hear(f"{name} {name}", name)
    # 2 for the system prompt, 3 an exchange, 3 for the question: ten tokens hold one exchange of three.
    asked = talk.ask("x y z")
    assert asked.dropped == 2
    assert roles(asked) == [("system", "s s"), ("user", "c c"), ("assistant", "c"), ("user", "x y z")]
    # Nothing is forgotten until that is said, and then for good.
    assert talk.ask("x y z").dropped == 2
    talk.forget_oldest(asked.dropped)
    assert talk.ask("x y z").dropped == 0


def test_the_newest_exchange_can_be_forgotten_and_nothing_before_it():
    talk = Conversation(count=words, context=None, room=1)
    talk.forget_last()
    talk.hear("one", "first")
    talk.hear("two", "second")
    talk.forget_last()
    assert roles(talk.ask("x")) == [("user", "one"), ("assistant", "first"), ("user", "x")]


def test_exactly_what_fits_is_kept():
    talk = Conversation(count=words, context=13, room=5)
    talk.hear("a a a", "b b")
    assert talk.ask("c c c").dropped == 0
    assert talk.ask("c c c c").dropped == 1


def test_a_question_that_alone_is_too_long_is_refused_and_nothing_is_forgotten():
    talk = Conversation(count=words, context=8, room=4)
    talk.hear("a", "b")
    with pytest.raises(InputError, match="too long") as caught:
        talk.ask("1 2 3 4 5")
    assert (caught.value.found, caught.value.expected[:16]) == ("5 tokens", "at most 4 tokens")
    assert len(talk.ask("1 2").messages) == 3


def test_a_model_that_reads_only_the_question_gets_only_the_question():
    talk = Conversation(count=words, context=8, room=4, remembers=False)
    talk.hear("a", "b")
    assert roles(talk.ask("c")) == [("user", "c")]
