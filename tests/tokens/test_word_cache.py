"""Texts to ids word by word: the same as the tokenizer gives."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from tutelage.tokens import word_cache
from tutelage.tokens.word_cache import SPLIT_RULES, WordCache, tokenize_batch

BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False)
CUT = {
    "gpt2": BYTES,
    "digits": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), BYTES]),
    **{
        f"rule {number}": pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(rule), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        for number, rule in enumerate(SPLIT_RULES)
    },
}
WORDS = "What is the price of the small plan? It costs 12 euros a month. We are open from 9 to 17. Hello, how can I help?"
TALK = "It's 12 o'clock.\nHow are you?\n\nI am fine,  thanks! 'Tis 1234567 euros (or not).\n - a\n - b"


def made(cut, *, normalizer=None, added=(), text=TALK):
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = cut
    backend.decoder = decoders.ByteLevel()
    if normalizer is not None:
        backend.normalizer = normalizer
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=["<|a|>", "<|b|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator([f"{WORDS} {text}"] * 3, trainer)
    backend.add_tokens(list(added))
    return PreTrainedTokenizerFast(tokenizer_object=backend)


@pytest.fixture(scope="module", params=list(CUT))
def vocabulary(request):
    known = WordCache(made(CUT[request.param], normalizer=normalizers.NFC()))
    assert known.by_words
    return known


PIECES = st.sampled_from(
    [
        *" \n\t\r'.-_a1é\u0301\xa0\x85\u2028\x1c\u200b\x00",
        *(
            "  ",
            "\n\n",
            "\r\n",
            "The",
            "'s",
            "'S",
            "12",
            "...",
            "你好",
            "\N{GRINNING FACE}",
            "<|a|>",
            "<|",
            "|>",
        ),
    ]
)


@given(st.lists(st.lists(PIECES, max_size=14).map("".join), max_size=6))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_ids_are_the_tokenizers_own(vocabulary, texts):
    unique = list(dict.fromkeys(texts))
    assert vocabulary.encode(texts) == dict(
        zip(unique, tokenize_batch(vocabulary._tokenizer, unique), strict=True)
    )


def test_a_merge_over_a_space_would_be_seen(vocabulary):
    text = " ".join(WORDS.split()[:40])
    assert vocabulary.encode([text])[text] == tokenize_batch(vocabulary._tokenizer, [text])[0]


def test_words_are_encoded_once_and_forgotten_in_time(monkeypatch):
    known = WordCache(made(BYTES))
    asked = []
    monkeypatch.setattr(
        word_cache,
        "tokenize_batch",
        lambda tokenizer, texts: asked.extend(texts) or tokenize_batch(tokenizer, texts),
    )
    known.encode(["how are you", "you are how"])
    known.encode(["are how you"])
    assert sorted(asked) == [" are", " how", " you", "are", "how", "you"]
    long = "x" * (word_cache.LONG_WORD + 1)
    known.encode([f"a {long}"])
    assert long not in known._words
    monkeypatch.setattr(word_cache, "MAX_WORDS", 2)
    known.encode(["how are all of you"])
    assert not known._words
    assert (
        known.encode(["how are you"])["how are you"] == tokenize_batch(known._tokenizer, ["how are you"])[0]
    )


@pytest.mark.parametrize(
    ("cut", "more"),
    [
        (pre_tokenizers.Metaspace(), {}),
        (pre_tokenizers.ByteLevel(add_prefix_space=True), {}),
        (pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False), {}),
        (pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(r"\s+\S+"), "isolated"), BYTES]), {}),
        (BYTES, {"normalizer": normalizers.NFKC()}),
        (BYTES, {"added": [AddedToken("<|c|>", lstrip=True, normalized=False)]}),
        (BYTES, {"added": [AddedToken("<|c|>", rstrip=True, normalized=False)]}),
        (BYTES, {"added": [AddedToken("<|c|>", single_word=True, normalized=False)]}),
        (BYTES, {"added": [AddedToken("plan", normalized=True)]}),
        (BYTES, {"added": [AddedToken("two words", normalized=False)]}),
        (BYTES, {"added": [AddedToken("x<|", normalized=False)]}),  # it may take the beginning of <|a|>
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, dict) else str(value)[:40],
)
def test_other_tokenizers_read_whole_texts(cut, more):
    tokenizer = made(cut, **more)
    assert not WordCache(tokenizer).by_words
    assert WordCache(tokenizer).encode([TALK]) == {TALK: tokenize_batch(tokenizer, [TALK])[0]}


def test_a_tokenizer_of_another_model_reads_whole_texts():
    backend = Tokenizer(models.WordLevel({"a": 0, "?": 1}, "?"))
    backend.pre_tokenizer = BYTES
    assert not WordCache(PreTrainedTokenizerFast(tokenizer_object=backend)).by_words
