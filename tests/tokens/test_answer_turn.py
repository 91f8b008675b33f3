"""What a chat template writes before and behind an answer, and who says it."""

from __future__ import annotations

import pytest
from transformers import AutoTokenizer

from tutelage.core.errors import InputError
from tutelage.core.types import Origin, Prompted
from tutelage.tokens import rendering
from tutelage.tokens.answer_turn import answer_turn, trained_turn
from tutelage.tokens.batch_encoding import encode_all
from tutelage.tokens.encoder import Encoder

from . import shapes

SYSTEM = (("system", "Be brief."),)
EARLIER = (("user", "Is it 12?"), ("assistant", "It is 12."))


@pytest.fixture
def tokenizer(tiny_model_folder):
    return AutoTokenizer.from_pretrained(tiny_model_folder)


def row(completion="Plan 3 costs 12 euros.", history=()):
    prompt = "What is the price?"
    return Prompted("r1", "t", prompt, completion, "own", Origin("rows.jsonl", 1), history=history)


@pytest.mark.parametrize(
    ("template", "opening", "end"),
    [
        (shapes.LLAMA2, " ", " <|im_end|>"),
        (shapes.MISTRAL, " ", "<|im_end|>"),
        (shapes.QWEN3, "<think>\n\n</think>\n\n", "<|im_end|>"),
        (shapes.HEADLESS, "<|im_start|>assistant\n", "<|im_end|>"),
        (shapes.NO_SYSTEM, "", "<|im_end|>"),
    ],
)
@pytest.mark.parametrize("history", [(), EARLIER, SYSTEM, (*SYSTEM, *EARLIER)])
def test_what_stands_before_an_answer_is_learned_with_it(tokenizer, template, opening, end, history):
    rendering.set_template(tokenizer, template)
    encoder = Encoder(tokenizer, encoder_decoder=False)
    taught = row(history=history)
    encoded = encoder.encode(taught)
    asked = encoder.prompt_ids(taught.prompt, history)
    assert (trained_turn(tokenizer).opening, trained_turn(tokenizer).end) == (opening, end)
    assert list(encoded.ids[: len(asked)]) == asked
    assert encoded.loss_mask == (False,) * len(asked) + (True,) * (len(encoded.ids) - len(asked))
    assert tokenizer.decode(encoded.ids[len(asked) :]) == opening + taught.completion + end
    assert list(encode_all(encoder, [taught])) == [encoded]
    if template != shapes.MISTRAL or SYSTEM[0] not in history:
        talk = [{"role": role, "content": text} for role, text in (*history, ("user", taught.prompt))]
        finished = rendering.render(
            tokenizer, [*talk, {"role": "assistant", "content": taught.completion}], generate=False
        )
        assert finished.startswith(tokenizer.decode(encoded.ids))


def test_a_space_before_the_answer_is_one_text_with_its_first_word(tokenizer):
    rendering.set_template(tokenizer, shapes.MISTRAL)
    ids = Encoder(tokenizer, encoder_decoder=False).completion_ids("The plan")
    assert ids[:-1] == tokenizer(" The plan", add_special_tokens=False)["input_ids"]


def test_an_answer_with_thoughts_of_its_own_gets_no_empty_ones(tokenizer):
    rendering.set_template(tokenizer, shapes.QWEN3)
    encoder = Encoder(tokenizer, encoder_decoder=False)
    text = "<think>\nIt is 12.\n</think>\n\n12"
    assert tokenizer.decode(encoder.completion_ids(text)) == text + "<|im_end|>"
    (encoded,) = encode_all(encoder, [row(text)])
    assert encoded == encoder.encode(row(text))


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        (shapes.THINKS, "otherwise than an open one"),
        (shapes.ENDS_BEFORE, "a token that ends answers before the answer"),
        (
            "{% for m in messages %}{{ m['content'] + '\\n' }}{% endfor %}",
            "does not end the assistant's turn",
        ),
    ],
)
def test_a_template_that_cannot_be_trained_can_be_asked(tokenizer, template, problem):
    rendering.set_template(tokenizer, template)
    assert problem in answer_turn(tokenizer).refusal.problem
    with pytest.raises(InputError, match=problem) as caught:
        Encoder(tokenizer, encoder_decoder=False)
    assert "`chat_template: chatml-plain`" in caught.value.fix
    encoder = Encoder(tokenizer, encoder_decoder=False, conversations=False)
    assert encoder.prompt_ids("Hello")
    assert encoder.stop_id == (None if "end the assistant" in problem else 2)


def test_a_template_that_refuses_a_finished_conversation_can_be_asked(tokenizer):
    rendering.set_template(
        tokenizer, "{% if not add_generation_prompt %}{{ raise_exception('no') }}{% endif %}Q"
    )
    assert answer_turn(tokenizer).refusal is not None
    assert Encoder(tokenizer, encoder_decoder=False, conversations=False).stop_id is None
