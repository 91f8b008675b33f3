"""Models small enough to be made in a test: real architectures and tokenizers, random weights."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from .warm import Warm

os.environ["TUTELAGE_NO_CACHE"] = (
    "1"  # no test writes rows or answers into the user's cache, nor does a process that it starts
)

# A background job of a shell ignores SIGINT, and so would all its children: the tests of Ctrl-C would wait in vain.
for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, handler)

WORDS = (
    "What is the price of the small plan? The small plan costs 12 euros a month. "
    "When are you open? We are open from 9 to 17 on working days. Summarize the following conversation. "
    "Hello, how can I help you today? You are a helpful assistant. system user assistant yes no true false "
    "The capital of France is Paris. Please answer with one word. I am sorry, I do not know that. "
)
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def write_tokenizer(folder: Path, *, special: list[str], eos: str, pad: str, bos: str | None) -> int:
    """Train a byte-level tokenizer of about 300 entries; its size."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([WORDS], trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": eos,
        "pad_token": pad,
        "model_max_length": 512,
        "clean_up_tokenization_spaces": False,
    }
    if bos is not None:
        settings["bos_token"] = bos
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return tokenizer.get_vocab_size()


@pytest.fixture(scope="session")
def tiny_model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of two layers with tied embeddings, random weights and a ChatML template. Read it, never write to it.

    <|endoftext|> is 0 (padding), <|im_start|> is 1, <|im_end|> is 2 (end of turn).
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("tiny") / "tiny-llama"
    folder.mkdir()
    size = write_tokenizer(
        folder,
        special=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        eos="<|im_end|>",
        pad="<|endoftext|>",
        bos="<|im_start|>",
    )
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")
    config = LlamaConfig(
        vocab_size=size,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        tie_word_embeddings=True,
        # Larger than usual, so that random weights give answers that differ from prompt to prompt.
        initializer_range=0.3,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_t5_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A T5 of two layers and random weights: an encoder-decoder model. Read it, never write to it.

    <pad> is 0 (it also starts the decoder), </s> is 1; there is no chat template.
    """
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    folder = tmp_path_factory.mktemp("tiny") / "tiny-t5"
    folder.mkdir()
    size = write_tokenizer(folder, special=["<pad>", "</s>"], eos="</s>", pad="<pad>", bos=None)
    config = T5Config(
        vocab_size=size,
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        pad_token_id=0,
        eos_token_id=1,
        decoder_start_token_id=0,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = T5ForConditionalGeneration(config)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def _no_inference_mode_is_left_on() -> Iterator[None]:
    """A test that leaves it on would fail others: what is made in it cannot be trained."""
    yield
    if torch := sys.modules.get("torch"):
        assert not torch.is_inference_mode_enabled()


@pytest.fixture(scope="session")
def warm() -> Iterator[Warm]:
    """Start the program in processes of its own that need not import torch first."""
    server = Warm()
    yield server
    server.close()


@pytest.fixture(scope="session")
def missing() -> Callable[..., NoReturn]:
    """A function to call where a tool is missing: it skips the test, or fails it if `CI` is set (`.ci/run` installs the tools)."""

    def skip_or_fail(tool: str, *, install: str) -> NoReturn:
        reason = f"{tool} is missing: {install} installs it"
        if os.environ.get("CI"):
            pytest.fail(f"{reason}. In CI no test is skipped for want of a tool.", pytrace=False)
        pytest.skip(reason)

    return skip_or_fail


@pytest.fixture(scope="session")
def chromium(missing: Callable[..., NoReturn]) -> Iterator[Any]:
    """The system's Chromium, through Playwright."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        missing("Chromium", install="`apt-get install chromium`")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()
