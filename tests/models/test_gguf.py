from __future__ import annotations

import json

import pytest

from tutelage.core.errors import InputError
from tutelage.models import gguf
from tutelage.models.special_tokens import eos_ids

TEXTS = [
    "It costs 12 euros",
    "x  7  y",
    "I can't ²½ ٣ pay 1999,50",
    "<|im_start|>user\nHello<|im_end|>",
    "  a\n\n b",
]


def test_the_converted_model_gives_the_logits_of_the_model_that_the_file_was_written_from(
    tiny_gguf, tiny_model_folder, tmp_path
):
    import torch
    from transformers import AutoModelForCausalLM

    gguf.convert(tiny_gguf, tmp_path)
    ids = torch.tensor([[1, 40, 50, 60, 2, 3]])
    with torch.no_grad():
        want = AutoModelForCausalLM.from_pretrained(tiny_model_folder)(ids).logits
        got = AutoModelForCausalLM.from_pretrained(tmp_path)(ids).logits
    assert torch.equal(want, got)


def test_digits_stand_alone_before_anything_else_is_cut(tiny_gguf, tiny_model_folder, tmp_path):
    """Reference: the tokenizer that the file was made from, as tokenizers runs it (Digits, then the GPT-2 pattern)."""
    from transformers import AutoTokenizer

    gguf.convert(tiny_gguf, tmp_path)
    want, got = AutoTokenizer.from_pretrained(tiny_model_folder), AutoTokenizer.from_pretrained(tmp_path)
    assert [got(text)["input_ids"] for text in TEXTS] == [want(text)["input_ids"] for text in TEXTS]
    assert [got.decode(got(text)["input_ids"]) for text in TEXTS] == TEXTS


def test_what_is_written_is_plain_and_consistent(tiny_gguf, tmp_path):
    gguf.convert(tiny_gguf, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    generation = json.loads((tmp_path / "generation_config.json").read_text())
    tokenizer = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert (config["eos_token_id"], config["pad_token_id"]) == (2, 0)
    assert (generation["eos_token_id"], generation["pad_token_id"], generation["bos_token_id"]) == (2, 0, 1)
    assert not {"do_sample", "temperature", "_from_model_config"} & set(generation)
    assert (tokenizer["pad_token"], tokenizer["eos_token"]) == ("<|endoftext|>", "<|im_end|>")
    assert tokenizer["model_max_length"] == 512
    everything = "".join(path.read_text() for path in tmp_path.glob("*.json"))
    for leftover in ("quantization_config", str(tiny_gguf.parent), "a machine's title", "local_files_only"):
        assert leftover not in everything


def test_an_unknown_pre_tokenizer_is_refused_and_not_guessed(tiny_model_folder, gguf_writer, tmp_path):
    gguf_writer(tiny_model_folder, tmp_path / "odd.gguf", pre="some-new-way")
    with pytest.raises(InputError, match="splits text") as caught:
        gguf.convert(tmp_path / "odd.gguf", tmp_path / "out")
    assert "'some-new-way'" in caught.value.found


@pytest.mark.parametrize(
    "content", [b"", b"<!doctype html><p>not found", b"GGUF", b"GGUF\x03\0\0\0" + b"\xff" * 40]
)
def test_a_file_that_is_no_gguf_is_named(tmp_path, content):
    path = tmp_path / "m.gguf"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        gguf.convert(path, tmp_path / "out")
    assert caught.value.where == str(path)


def test_a_cut_off_file_is_named(tiny_gguf, tmp_path):
    path = tmp_path / "cut.gguf"
    path.write_bytes(tiny_gguf.read_bytes()[:-5000])
    with pytest.raises(InputError, match="damaged"):
        gguf.convert(path, tmp_path / "out")


class FakeTokenizer:
    eos_token_id = 7


@pytest.mark.parametrize(("stated", "want"), [(None, (7,)), (7, (7,)), ([3, 7], (7, 3)), (5, (7, 5))])
def test_an_answer_ends_at_the_tokenizers_end_token_and_at_what_the_model_adds(stated, want):
    assert eos_ids(stated, FakeTokenizer()) == want
