"""Lengths and tokens as the card and `inspect` show them."""

from __future__ import annotations

import random

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from tutelage.core.types import Encoded
from tutelage.prepare import card

UNKNOWN = {"unk_token": "<unk>"}
END = {"eos_token": "</s>"}


@pytest.fixture(scope="module")
def tokenizer(tiny_model_folder):
    return AutoTokenizer.from_pretrained(tiny_model_folder)


def pieces_of(tokenizer, text: str) -> list[str]:
    return card.token_texts(tokenizer, tokenizer(text, add_special_tokens=False)["input_ids"])


def test_byte_level_tokens_show_their_spaces_and_the_bytes_of_split_characters(tokenizer):
    assert "".join(pieces_of(tokenizer, "<|im_start|>user\n  What is")) == "<|im_start|>user\n  What is"
    assert pieces_of(tokenizer, "\N{GRINNING FACE}") == ["<0xF0>", "<0x9F>", "<0x98>", "<0x80>"]
    assert pieces_of(tokenizer, "\ufffd") == ["<0xEF>", "<0xBF>", "<0xBD>"]


def test_the_bytes_of_the_pieces_are_those_of_the_text(tokenizer):
    rng = random.Random(5)
    for _ in range(200):
        text = "".join(rng.choices("ab \n\té中\N{GRINNING FACE}<|im_end|>.", k=12))
        raw = b"".join(
            bytes.fromhex(piece[3:5]) if piece.startswith("<0x") else piece.encode()
            for piece in pieces_of(tokenizer, text)
        )
        assert raw == text.encode()


def test_tokens_of_words_show_a_space_for_a_low_line_and_bytes_as_bytes():
    names = ["<unk>", "\u2581the", "ing", "<0x0A>", "<0xF0>", "</s>"]
    backend = Tokenizer(models.WordLevel({name: n for n, name in enumerate(names)}, **UNKNOWN))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    made = PreTrainedTokenizerFast(tokenizer_object=backend, **END)
    assert card.token_texts(made, range(6)) == ["<unk>", " the", "ing", "\n", "<0xF0>", "</s>"]


def test_a_tokenizer_without_a_decoder_shows_its_tokens_as_they_are():
    backend = Tokenizer(models.WordLevel({"<unk>": 0, "the": 1}, **UNKNOWN))
    assert card.token_texts(PreTrainedTokenizerFast(tokenizer_object=backend), [1, 0]) == ["the", "<unk>"]


def test_lengths_of_rows_and_their_histogram():
    rows = [
        Encoded(str(n), "t", (1,) * (n + 3), (False,) * n + (True,) * 3, dropped=n % 2) for n in range(1, 6)
    ]
    told = card.length_statistics(rows)
    assert (told["rows"], told["tokens"], told["loss_tokens"]) == (5, 30, 15)
    assert (told["truncated"], told["dropped_tokens"]) == (3, 3)
    assert told["prompt"] == {"min": 1, "median": 3, "p95": 5, "max": 5}
    assert told["completion"] == {"min": 3, "median": 3, "p95": 3, "max": 3}
    assert told["histograms"]["prompt"] == {"start": 1, "width": 1, "bars": [1, 1, 1, 1, 1]}
    assert card.length_statistics([])["prompt"] == card.histogram([]) == {}


@pytest.mark.parametrize("seed", range(5))
def test_a_histogram_counts_every_row_once_in_few_bars(seed):
    rng = random.Random(seed)
    counts = [rng.randrange(1, 10 ** rng.randrange(1, 5)) for _ in range(200)]
    told = card.histogram(counts)
    assert len(told["bars"]) <= card.MAX_BARS
    for n, bar in enumerate(told["bars"]):
        low = told["start"] + n * told["width"]
        assert bar == sum(low <= count < low + told["width"] for count in counts)
