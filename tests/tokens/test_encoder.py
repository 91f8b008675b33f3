"""Prompts and completions to ids: the loss mask, truncation, pairs."""

from __future__ import annotations

import random

import pytest
from transformers import AutoTokenizer

from tutelage.core.errors import InputError
from tutelage.core.types import Origin, Prompted
from tutelage.tokens import chat_templates
from tutelage.tokens.encoder import Encoder, Truncation


@pytest.fixture(scope="module")
def tokenizer(tiny_model_folder):
    return AutoTokenizer.from_pretrained(tiny_model_folder)


@pytest.fixture(scope="module")
def pairs(tiny_t5_folder):
    return AutoTokenizer.from_pretrained(tiny_t5_folder)


def row(completion="The small plan.", **fields):
    """A prompt of the shape `name: value` a line, with its spans."""
    prompt, spans = "Answer.\n", []
    for name, value in fields.items():
        prompt += f"{name}: "
        spans.append((name, len(prompt), len(prompt) + len(value)))
        prompt += value + "\n"
    return Prompted(
        id="r1",
        task="t",
        prompt=prompt,
        completion=completion,
        template="own",
        origin=Origin("rows.jsonl", 17),
        fields=fields,
        spans=tuple(spans),
    )


def test_only_the_completion_and_the_end_of_the_turn_bear_loss(tokenizer):
    encoder = Encoder(tokenizer, encoder_decoder=False)
    encoded = encoder.encode(row(question="What is the price?", completion="12 euros"))
    learned = [i for i, bears in zip(encoded.ids, encoded.loss_mask, strict=True) if bears]
    given = [i for i, bears in zip(encoded.ids, encoded.loss_mask, strict=True) if not bears]
    assert tokenizer.decode(learned) == "12 euros<|im_end|>"
    assert learned[-1] == encoder.stop_id == 2
    assert tokenizer.decode(given).endswith("<|im_start|>assistant\n")
    assert list(encoded.loss_mask) == [False] * len(given) + [True] * len(learned)
    assert (encoded.dropped, encoded.source, encoded.id, encoded.task) == (0, None, "r1", "t")


@pytest.mark.parametrize("template", [None, "plain", "plain-bos", "chatml-plain"])
def test_what_is_trained_begins_with_what_is_asked(tiny_model_folder, tmp_path, template):
    tokenizer = AutoTokenizer.from_pretrained(tiny_model_folder)
    if template:
        tokenizer.chat_template = chat_templates.template_text(template, root=tmp_path)
    encoder = Encoder(tokenizer, encoder_decoder=False)
    random_ = random.Random(3)
    for _ in range(50):
        words = random_.choices(["plan", " ", "\n", "<|im_end|>", "é", "9", "'s", "\N{GRINNING FACE}"], k=6)
        prompted = row(question="".join(words), completion="".join(reversed(words)) + "x")
        encoded = encoder.encode(prompted)
        asked = encoder.prompt_ids(prompted.prompt)
        assert list(encoded.ids[: len(asked)]) == asked
        assert not any(encoded.loss_mask[: len(asked)])
        assert all(encoded.loss_mask[len(asked) :])
        assert list(encoded.ids[len(asked) :]) == encoder.completion_ids(prompted.completion)


def test_a_completion_that_spells_the_end_of_turn_ends_only_once(tokenizer):
    encoder = Encoder(tokenizer, encoder_decoder=False)
    ids = encoder.completion_ids("yes<|im_end|>\n<|im_start|>user\nno")
    assert [i for i in ids if i in (0, 1, 2)] == [2]
    assert tokenizer.decode(ids) == "yes<|im_end|>\n<|im_start|>user\nno<|im_end|>"


def test_truncation_takes_only_the_end_of_the_longest_field(tokenizer):
    prompted = row(context="".join(f"{i} plans. " for i in range(60)), question="What is the price?")
    whole = Encoder(tokenizer, encoder_decoder=False).encode(prompted)
    for limit in (150, 170, 200, len(whole.ids) - 1):
        encoder = Encoder(tokenizer, encoder_decoder=False, max_length=limit)
        encoded = encoder.encode(prompted)
        assert limit - 3 <= len(encoded.ids) <= limit
        assert encoded.dropped == len(whole.ids) - len(encoded.ids)
        assert encoded.n_loss == whole.n_loss
        assert encoded.ids[-encoded.n_loss :] == whole.ids[-whole.n_loss :]
        _, start, end = prompted.spans[0]
        text = tokenizer.decode(encoded.ids[: -encoded.n_loss])
        full = tokenizer.decode(whole.ids[: -whole.n_loss])
        head = full[: full.index(prompted.prompt)] + prompted.prompt[:start]
        tail = prompted.prompt[end:] + "<|im_end|>\n<|im_start|>assistant\n"
        assert text.startswith(head)
        assert text.endswith(tail)
        left = text[len(head) : len(text) - len(tail)]
        assert prompted.prompt[start:end].startswith(left)


def test_a_row_that_fits_exactly_is_left_alone(tokenizer):
    prompted = row(question="What is the price?")
    whole = Encoder(tokenizer, encoder_decoder=False).encode(prompted)
    encoder = Encoder(tokenizer, encoder_decoder=False, max_length=len(whole.ids))
    assert encoder.encode(prompted) == whole


@pytest.mark.parametrize("side", ["start", "end"])
def test_the_named_field_and_side_are_what_is_shortened(tokenizer, side):
    prompted = row(context="long " * 60, question="abcdefghijklmnopqrstuvwxyz0123456789" * 2)
    limit = len(Encoder(tokenizer, encoder_decoder=False).encode(prompted).ids) - 20
    encoder = Encoder(
        tokenizer, encoder_decoder=False, max_length=limit, truncation=Truncation("question", side)
    )
    text = tokenizer.decode(encoder.encode(prompted).ids)
    assert prompted.fields["context"] in text
    kept = text.partition("question: ")[2].partition("\n")[0]
    value = prompted.fields["question"]
    assert 0 < len(kept) < len(value)
    assert value.endswith(kept) if side == "start" else value.startswith(kept)


def test_truncation_never_makes_control_tokens(tokenizer):
    prompted = row(context="<|im_end|>" * 40)
    encoder = Encoder(tokenizer, encoder_decoder=False, max_length=200)
    encoded = encoder.encode(prompted)
    assert encoded.dropped > 0
    assert encoded.ids.count(2) == 2


def test_fitting_a_prompt_leaves_room_for_the_answer(tokenizer):
    prompted = row(context="long " * 100)
    encoder = Encoder(tokenizer, encoder_decoder=False, max_length=160)
    text = encoder.fit_prompt(prompted, new_tokens=40)[0]
    assert 115 <= len(encoder.prompt_ids(text)) <= 120
    short = row(context="a")
    assert encoder.fit_prompt(short, new_tokens=40)[0] == short.prompt


@pytest.mark.parametrize(
    ("prompted", "limit", "found"),
    [
        (row(question="a", completion="long " * 50), 60, "a completion of"),
        (row(question="a"), 20, "no room even without its field 'question'"),
        (row(), 20, "no field stands as it is"),
    ],
    ids=["completion", "template", "no field"],
)
def test_a_row_that_cannot_fit_is_refused_with_its_line(tokenizer, prompted, limit, found):
    encoder = Encoder(tokenizer, encoder_decoder=False, max_length=limit)
    with pytest.raises(InputError) as caught:
        encoder.encode(prompted)
    assert caught.value.where == "rows.jsonl:17"
    assert found in caught.value.found
    assert "tune.max_length" in caught.value.fix


def test_a_field_that_the_row_lacks_cannot_be_shortened(tokenizer):
    encoder = Encoder(tokenizer, encoder_decoder=False, max_length=60, truncation=Truncation("story"))
    with pytest.raises(InputError) as caught:
        encoder.encode(row(context="long " * 50))
    assert caught.value.where == "rows.jsonl:17"


def test_a_model_for_pairs_gets_the_prompt_in_its_encoder(pairs):
    encoder = Encoder(pairs, encoder_decoder=True)
    prompted = row(question="What is the price?", completion="12 euros")
    encoded = encoder.encode(prompted)
    assert pairs.decode(encoded.source) == prompted.prompt + "</s>"
    assert pairs.decode(encoded.ids) == "12 euros</s>"
    assert all(encoded.loss_mask)
    assert encoder.prompt_ids(prompted.prompt) == list(encoded.source)
    assert encoder.stop_id == 1
    assert encoder.answer_prefix == ()


def test_pairs_spell_no_control_tokens_and_are_cut_on_their_own_sides(pairs):
    encoder = Encoder(pairs, encoder_decoder=True, max_length=40)
    encoded = encoder.encode(row(context="</s><pad>" * 20, completion="</s>!"))
    assert len(encoded.source) <= 40
    assert [i for i in encoded.source if i in (0, 1)] == [1]
    assert [i for i in encoded.ids if i in (0, 1)] == [1]
    assert encoded.dropped > 0
    with pytest.raises(InputError, match="does not fit"):
        encoder.encode(row(context="a", completion="plan " * 40))


def test_pairs_are_framed_as_their_tokenizer_frames_them(tiny_t5_folder):
    # BART's tokenizer writes <s> … </s>; the <s> before the answer is given, so it bears no loss.
    from tokenizers.processors import TemplateProcessing

    tokenizer = AutoTokenizer.from_pretrained(tiny_t5_folder)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<pad> $A </s>", pair="<pad> $A </s> $B </s>", special_tokens=[("<pad>", 0), ("</s>", 1)]
    )
    encoder = Encoder(tokenizer, encoder_decoder=True)
    encoded = encoder.encode(row(question="a", completion="12"))
    assert list(encoded.source) == tokenizer(row(question="a").prompt)["input_ids"]
    assert list(encoded.ids) == tokenizer(text_target="12")["input_ids"]
    assert list(encoded.loss_mask) == [False] + [True] * (len(encoded.ids) - 1)
    assert encoder.answer_prefix == (0,)


def test_pairs_without_an_end_token_are_refused(tiny_t5_folder):
    tokenizer = AutoTokenizer.from_pretrained(tiny_t5_folder)
    tokenizer.eos_token = None
    with pytest.raises(InputError, match="no end token"):
        Encoder(tokenizer, encoder_decoder=True)
