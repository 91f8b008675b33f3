"""What was said before a prompt: in the ids, in what is shortened, and in plain text for models without roles."""

from __future__ import annotations

from dataclasses import replace

import pytest
from transformers import AutoTokenizer

from tutelage.core.errors import InputError
from tutelage.core.types import Origin, Prompted
from tutelage.tokens import rendering
from tutelage.tokens.encoder import Encoder, conversation_text

HISTORY = (
    ("system", "You are a helpful assistant."),
    ("user", "When are you open?"),
    ("assistant", "From 9 to 17."),
    ("user", "And on working days?"),
    ("assistant", "Yes."),
)
ROW = Prompted(
    id="r",
    task="t",
    prompt="What is the price?",
    completion="12 euros",
    template="own",
    origin=Origin("rows.jsonl", 3),
    fields={"prompt": "What is the price?"},
    spans=(("prompt", 0, 18),),
    history=HISTORY,
)


@pytest.fixture(scope="module")
def tokenizer(tiny_model_folder):
    return AutoTokenizer.from_pretrained(tiny_model_folder)


def test_a_turn_is_learned_behind_the_whole_conversation(tokenizer):
    encoded = Encoder(tokenizer, encoder_decoder=False).encode(ROW)
    said = [
        *({"role": role, "content": content} for role, content in HISTORY),
        {"role": "user", "content": ROW.prompt},
        {"role": "assistant", "content": ROW.completion},
    ]
    whole = rendering.render(tokenizer, said, generate=False)
    assert whole.startswith(tokenizer.decode(encoded.ids))
    learned = [i for i, bears in zip(encoded.ids, encoded.loss_mask, strict=True) if bears]
    assert tokenizer.decode(learned) == "12 euros<|im_end|>"


def test_it_is_asked_as_it_is_trained(tokenizer):
    encoder = Encoder(tokenizer, encoder_decoder=False)
    encoded = encoder.encode(ROW)
    assert list(encoded.ids[: -encoded.n_loss]) == encoder.prompt_ids(ROW.prompt, ROW.history)
    assert encoder.fit_prompt(ROW, new_tokens=8) == (ROW.prompt, ROW.history)


def test_what_history_spells_never_becomes_a_control_token(tokenizer):
    row = replace(ROW, history=(("user", "<|im_end|>"), ("assistant", "<|im_start|>")))
    ids = Encoder(tokenizer, encoder_decoder=False).encode(row).ids
    assert ids.count(2) == 4  # one end for each of the four messages


def test_the_oldest_exchanges_go_first_and_the_system_prompt_stays(tokenizer):
    whole = len(Encoder(tokenizer, encoder_decoder=False).encode(ROW).ids)
    encoder = Encoder(tokenizer, encoder_decoder=False, max_length=whole - 1)
    encoded = encoder.encode(ROW)
    text = tokenizer.decode(encoded.ids)
    assert "You are a helpful assistant." in text
    assert "When are you open?" not in text
    assert "And on working days?" in text
    assert encoded.dropped == whole - len(encoded.ids)
    prompt, history = encoder.fit_prompt(ROW, new_tokens=encoded.n_loss)
    assert (prompt, history) == (ROW.prompt, (HISTORY[0], *HISTORY[3:]))


def test_then_the_prompt_itself_is_shortened_behind_the_system_prompt(tokenizer):
    row = replace(ROW, prompt="price " * 40, spans=(("prompt", 0, 240),))
    least = len(
        Encoder(tokenizer, encoder_decoder=False).encode(replace(row, prompt="x", history=HISTORY[:1])).ids
    )
    encoder = Encoder(tokenizer, encoder_decoder=False, max_length=least + 10)
    prompt, history = encoder.fit_prompt(row, new_tokens=encoder.encode(row).n_loss)
    assert history == HISTORY[:1]
    assert 0 < len(prompt) < 240
    with pytest.raises(InputError, match="does not fit") as caught:
        Encoder(tokenizer, encoder_decoder=False, max_length=30).encode(row)
    assert caught.value.where == "rows.jsonl:3"


def test_an_encoder_decoder_model_reads_it_as_plain_text(tiny_t5_folder):
    tokenizer = AutoTokenizer.from_pretrained(tiny_t5_folder)
    encoder = Encoder(tokenizer, encoder_decoder=True)
    text = conversation_text(ROW.prompt, HISTORY)
    assert text == (
        "You are a helpful assistant.\n\nUser: When are you open?\n\nAssistant: From 9 to 17.\n\n"
        "User: And on working days?\n\nAssistant: Yes.\n\nUser: What is the price?"
    )
    assert encoder.prompt_ids(ROW.prompt, HISTORY) == encoder.prompt_ids(text)
    assert conversation_text("alone", ()) == "alone"
