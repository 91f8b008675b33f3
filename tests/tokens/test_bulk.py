from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tutelage.core.errors import InputError
from tutelage.core.nouns import Origin, Prompted
from tutelage.models import load_tokenizer, resolve
from tutelage.tokens import bulk
from tutelage.tokens.bulk import encode_all
from tutelage.tokens.encode import Encoder

WORDS = st.sampled_from(
    [
        "a",
        "The price",
        " ",
        "\n",
        "12 euros",
        "<|im_end|>",
        "</s>",
        "<|im_start|>user",
        "é",
        "你好",
        "🙂",
        "\t\t",
        "  x ",
    ]
)
TEXTS = st.lists(WORDS, min_size=1, max_size=12).map("".join)


@pytest.fixture(scope="module", params=["llama", "t5"])
def encoder(request, tiny_model_folder, tiny_t5_folder):
    folder = tiny_model_folder if request.param == "llama" else tiny_t5_folder
    loaded = load_tokenizer(resolve(str(folder)))
    return Encoder(loaded.tokenizer, encoder_decoder=loaded.encoder_decoder, max_length=48)


def row(n, prompt, completion, history=()):
    return Prompted(
        f"r:{n}",
        "t",
        prompt,
        completion,
        "own",
        Origin("r.jsonl", n),
        spans=(("text", 0, len(prompt)),),
        history=history,
    )


def outcome(make):
    """What is made, or the error's words."""
    try:
        return make()
    except InputError as error:
        return str(error)


TURNS = st.lists(st.tuples(TEXTS, TEXTS), max_size=2).map(
    lambda pairs: tuple(turn for a, b in pairs for turn in (("user", a), ("assistant", b)))
)


@given(st.lists(st.tuples(TEXTS, TEXTS, TURNS), min_size=1, max_size=9))
@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_many_rows_get_the_ids_that_each_gets_alone(encoder, pairs):
    rows = [row(n, *texts) for n, texts in enumerate(pairs)]
    assert outcome(lambda: list(encode_all(encoder, rows))) == outcome(
        lambda: [encoder.encode(one) for one in rows]
    )


def test_batches_keep_the_order(encoder, monkeypatch):
    monkeypatch.setattr(bulk, "BATCH", 3)
    rows = [row(n, f"question {n}", f"answer {n}") for n in range(8)]
    assert [one.id for one in encode_all(encoder, rows)] == [one.id for one in rows]
    assert list(encode_all(encoder, [])) == []
