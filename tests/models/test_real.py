"""The bundled default itself, where it is in the user's cache."""

from __future__ import annotations

import os
import warnings

import pytest

from tutelage.models import add_adapter, bundled, export, load, loading_lines, resolve

NAME = "smollm2-135m-instruct"


@pytest.fixture
def real(monkeypatch, missing):
    """The user's own cache instead of the test's."""
    monkeypatch.delenv("TUTELAGE_CACHE")
    if USERS_CACHE is not None:
        monkeypatch.setenv("TUTELAGE_CACHE", USERS_CACHE)
    if not bundled.is_cached(bundled.find(NAME)):
        missing(f"{NAME} in the cache", install=f"`tutelage models fetch {NAME}`")
    return resolve(NAME)


# Read before the fixture of this folder sets it.
USERS_CACHE = os.environ.get("TUTELAGE_CACHE")


def answer(model, tokenizer, question):
    import torch

    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True
    )
    ids = torch.tensor([tokenizer(text, add_special_tokens=False)["input_ids"]])
    out = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=12)
    return tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)


def test_the_bundled_model_knows_a_capital_and_its_export_does_too(real, tmp_path):
    loaded = load(real)
    assert (loaded.ends, loaded.pad, loaded.context) == ((2,), 0, 8192)
    question = "What is the capital of France?"
    want = answer(loaded.model, loaded.tokenizer, question)
    assert "Paris" in want
    export(
        add_adapter(loaded, "lora", {"rank": 2, "alpha": 4, "dropout": 0.0}, seed=0),
        tmp_path / "m",
        merge=True,
        base=real,
    )
    space: dict = {}
    exec("\n".join(loading_lines(tmp_path / "m")), space)  # noqa: S102  # the lines that a person would paste
    assert answer(space["model"], space["tokenizer"], question) == want
    from peft import AutoPeftModelForCausalLM

    with warnings.catch_warnings():
        # peft asks transformers by a name that transformers is about to drop; nothing of ours.
        warnings.simplefilter("ignore", FutureWarning)
        apart = AutoPeftModelForCausalLM.from_pretrained(tmp_path / "m" / "adapter", dtype="float32")
    assert answer(apart, space["tokenizer"], question) == want


def test_the_bundled_tokenizer_cuts_as_llama_cpp_does_for_smollm(real):
    """Reference: llama.cpp's rule for `smollm`: each numeral alone, then the GPT-2 pattern; ids by that rule."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(real.folder / "tokenizer.json"))
    assert tokenizer.encode("x  7").tokens == ["x", "ĠĠ", "7"]
    assert tokenizer.encode("It costs 12 euros").tokens == ["It", "Ġcosts", "Ġ", "1", "2", "Ġeuros"]
    assert tokenizer.encode("²½").tokens == ["Â²", "Â½"]
    assert tokenizer.encode("<|im_start|>user\n").ids[0] == 1
    assert tokenizer.encode("Hello").ids == tokenizer.encode("Hello", add_special_tokens=False).ids
