"""A user's turn that the model writes itself: what it reads, and what ends it."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest

from tutelage.core.errors import InputError
from tutelage.core.types import Request, Sampling
from tutelage.engine import Engine
from tutelage.engine.sampling import draws
from tutelage.tokens import rendering

TURN = Request("u", "generate", "", max_new_tokens=40, form="user", sampling=Sampling(1.0, 1.0, 3))
TEMPLATES = {
    "another token": "{% for m in messages %}{% if m['role'] == 'user' %}<|im_start|>{{ m['content'] }}<|endoftext|>"
    "{% else %}{{ m['content'] }}<|im_end|>{% endif %}{% endfor %}",
    "a text": "{% for m in messages %}{% if m['role'] == 'user' %}{{ m['content'] }} A{% else %}{{ m['content'] }}<|im_end|>"
    "{% endif %}{% endfor %}",
}


@pytest.fixture
def engine(tiny_model):
    tiny = tiny_model("llama")
    return Engine(copy.deepcopy(tiny.model).double(), copy.deepcopy(tiny.tokenizer), encoder_decoder=False)


def test_the_model_reads_what_stands_before_a_users_text(engine):
    (encoded,) = engine.request_encoder.encode([TURN])
    assert engine.tokenizer.decode(encoded.prompt) == "<|im_start|>user\n"


def test_turns_are_drawn_apart_and_end_like_the_template_ends_them(engine):
    responses = engine.answer(draws(TURN, 40))
    assert len({response.text for response in responses}) > 30
    assert {response.finish for response in responses} == {"stop", "length"}
    again = engine.answer(draws(TURN, 40)[5:9])
    assert again == responses[5:9]


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_end_of_a_users_turn_is_recognised_where_it_is_no_end_of_an_answer(engine, template):
    """The token or text alone ends a turn: an engine that does not know it goes on."""
    rendering.set_template(engine.tokenizer, TEMPLATES[template])
    fresh = Engine(engine.model, engine.tokenizer, encoder_decoder=False)
    turn = fresh.request_encoder.user_turn
    assert turn.end_id not in fresh.stop_ids
    requests = draws(replace(TURN, max_new_tokens=100), 60)
    ended = {response.id: response for response in fresh.answer(requests) if response.finish == "stop"}
    opening = fresh.tokenizer.decode(turn.opening) or fresh.tokenizer.bos_token
    plain = [replace(request, form="text", prompt=opening) for request in requests]
    fresh.request_encoder.encoder.with_added_tokens([])
    encoded = [
        replace(alone, prompt=list(turn.opening) or alone.prompt)
        for alone in fresh.request_encoder.encode([replace(request, prompt="") for request in plain])
    ]
    longer = {
        generation.request.id: generation for finished in fresh.generate(encoded) for generation in finished
    }
    by_its_end = [
        response
        for response in ended.values()
        if (turn.end_id in longer[response.id].ids)
        or (turn.end_text and turn.end_text in fresh.text_of(longer[response.id].ids))
    ]
    assert by_its_end
    for response in by_its_end:
        ids = longer[response.id].ids
        if turn.end_id is None:
            assert response.text == fresh.text_of(ids).partition(turn.end_text)[0]
        else:
            assert response.text == fresh.text_of(ids[: ids.index(turn.end_id)])


def test_an_encoder_decoder_model_writes_no_turn(tiny_model):
    with pytest.raises(InputError, match="writes no user's turn"):
        tiny_model("t5").engine().answer([TURN])


@pytest.mark.parametrize("changes", [{"prompt": "a"}, {"kind": "choose", "sampling": None}])
def test_a_turn_is_written_from_nothing(changes):
    with pytest.raises(InputError, match="written from nothing"):
        replace(TURN, **changes)
