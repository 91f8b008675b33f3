"""Answers without what the chat template has the model say before them, and models whose template cannot be trained."""

from __future__ import annotations

from copy import deepcopy

import pytest
from tests.tokens import shapes

from tutelage.core.types import Request
from tutelage.engine import Engine
from tutelage.tokens import rendering

CHAT = Request("1", "generate", "Hello", max_new_tokens=3)


@pytest.fixture
def engine_with(tiny_model):
    """An engine of the tiny Llama with a chat template."""

    def make(template):
        tiny = tiny_model("llama")
        tokenizer = deepcopy(tiny.tokenizer)
        rendering.set_template(tokenizer, template)
        return Engine(tiny.model, tokenizer, encoder_decoder=False)

    return make


@pytest.mark.parametrize(
    ("template", "said", "text", "more"),
    [
        (shapes.QWEN3, "<think>\n\n</think>\n\n12 euros", "12 euros", True),
        (shapes.QWEN3, "<think>\n\n</think>", "", True),
        (shapes.QWEN3, "12 euros", "12 euros", False),
        (shapes.QWEN3, "<think>\nIt is 12.\n</think>\n\n12", "<think>\nIt is 12.\n</think>\n\n12", False),
        (shapes.MISTRAL, " 12 euros", "12 euros", True),
        (shapes.MISTRAL, "12 euros", "12 euros", False),
        (shapes.LLAMA2, " 12 euros ", "12 euros", True),
        (shapes.HEADLESS, "<|im_start|>assistant\n12 euros", "12 euros", True),
        (shapes.NO_SYSTEM, " 12 euros ", " 12 euros ", False),
    ],
)
def test_an_answer_is_shown_without_its_opening_and_may_be_as_long_besides(
    engine_with, template, said, text, more
):
    answer_text = (engine := engine_with(template)).answer_text
    ids = engine.encoder.tokenizer(said, add_special_tokens=False)["input_ids"]
    assert answer_text.text(CHAT, ids, ended=True) == text
    assert answer_text.limit(CHAT, ids) == 3 + (engine.encoder.opening_length if more else 0)
    plain = Request("2", "generate", "Hello", max_new_tokens=3, form="text")
    assert answer_text.limit(plain, ids) == 3
    assert answer_text.text(plain, ids) == engine.tokenizer.decode(ids, skip_special_tokens=True)


def test_room_is_kept_for_the_opening_and_choices_stand_behind_it(engine_with):
    engine = engine_with(shapes.QWEN3)
    (asked,) = engine.request_encoder.encode([CHAT])
    assert asked.max_answer_tokens == 3 + engine.encoder.opening_length
    (choice,) = engine.request_encoder.encode([Request("1", "choose", "Hello", choices=("12", "euros"))])
    assert choice.prompt == [*asked.prompt, *engine.encoder.opening_ids]
    assert engine.tokenizer.decode(choice.prompt).endswith("assistant\n<think>\n\n</think>\n\n")
    spaced = engine_with(shapes.MISTRAL)
    (choice,) = spaced.request_encoder.encode([Request("1", "choose", "Hello", choices=("is", "euros"))])
    assert [spaced.tokenizer.decode(ids) for ids in choice.choices] == [" is", " euros"]


def test_a_trained_opening_is_what_the_model_says_when_it_is_asked(engine_with, monkeypatch):
    """Every path of generation and the stream take the opening off; here the model says just what was trained."""
    engine = engine_with(shapes.QWEN3)
    script = engine.encoder.completion_ids("12 euros")
    monkeypatch.setattr(
        "tutelage.engine.engine.next_tokens", lambda _, generations: [script[len(generations[0].ids)]]
    )
    messages = [{"role": "user", "content": "Hello"}]
    assert "".join(engine.stream(messages, max_new_tokens=20)) == "12 euros"
    short = len(engine.encoder.spoken_ids("12 euros")) - 1
    cut = "".join(engine.stream(messages, max_new_tokens=short))
    assert cut == engine.tokenizer.decode(engine.encoder.spoken_ids("12 euros")[:short])
    (encoded,) = engine.request_encoder.encode(
        [Request("1", "generate", "Hello", max_new_tokens=20, stop=("\n",))]
    )
    assert engine._response(engine._generate_alone(encoded)).text == "12 euros"


@pytest.mark.parametrize(
    "template", [shapes.THINKS, shapes.ENDS_BEFORE, "{% for m in messages %}{{ m['content'] }}{% endfor %}"]
)
def test_a_model_whose_template_cannot_be_trained_answers(engine_with, template):
    engine = engine_with(template)
    requests = [
        Request("text", "choose", "Hello,", choices=(" yes", " no"), form="text"),
        Request("chat", "choose", "Hello", choices=("yes", "no")),
        Request("words", "generate", "Hello", max_new_tokens=2),
    ]
    assert [response.id for response in engine.answer(requests)] == ["text", "chat", "words"]
    assert isinstance("".join(engine.stream([{"role": "user", "content": "Hi"}], max_new_tokens=2)), str)
