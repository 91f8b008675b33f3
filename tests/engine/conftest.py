"""Tiny models of many families, each with a tokenizer, and slow references: one request at a time."""

from __future__ import annotations

import functools
import json
import random
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import transformers as tf

from tutelage.core.types import Request
from tutelage.engine import Engine

WORDS = [
    "What",
    "is",
    "the",
    "price",
    "of small plans",
    "12",
    "euros",
    "a",
    "Hello,",
    "yes",
    "no",
    "Paris",
    "🙂",
    "één\n",
]
CHOICES = (
    ("yes", "no"),
    ("Paris", "a month", "The capital of France is Paris."),
    ("12", "1", "123", "124"),
    ("1", "2", "a"),
    ("yes", "yes, no", "yes, no, true", "no"),
)
_SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
_MORE = {"intermediate_size": 64, "num_key_value_heads": 2, "max_position_embeddings": 256}
_GEMMA = {"head_dim": 8, "sliding_window": 16, "tie_word_embeddings": False}


class TinyModel(NamedTuple):
    """A model with its tokenizer."""

    model: Any
    tokenizer: Any
    encoder_decoder: bool

    def engine(self, limits=None) -> Engine:
        return Engine(self.model, self.tokenizer, encoder_decoder=self.encoder_decoder, limits=limits)


def _config(family: str, size: int) -> Any:
    ids = {"vocab_size": size, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    whole = {**ids, **_SHAPE, **_MORE}
    makers = {
        "llama": lambda: tf.LlamaConfig(**whole),
        "gpt2": lambda: tf.GPT2Config(**ids, n_embd=32, n_layer=2, n_head=4, n_positions=256),
        "gemma2": lambda: tf.Gemma2Config(**whole, **_GEMMA),
        "gemma3": lambda: tf.Gemma3TextConfig(
            **whole, **_GEMMA, layer_types=["sliding_attention", "full_attention"]
        ),
        "mistral": lambda: tf.MistralConfig(**whole, sliding_window=16),
        "opt": lambda: tf.OPTConfig(
            **ids, **_SHAPE, ffn_dim=64, word_embed_proj_dim=32, max_position_embeddings=256
        ),
        "bloom": lambda: tf.BloomConfig(**ids, hidden_size=32, n_layer=2, n_head=4),
        "neox": lambda: tf.GPTNeoXConfig(**ids, **_SHAPE, intermediate_size=64),
        "bart": lambda: tf.BartConfig(
            **{**ids, "bos_token_id": 0, "pad_token_id": 1},
            d_model=32,
            encoder_layers=2,
            decoder_layers=2,
            encoder_attention_heads=4,
            decoder_attention_heads=4,
            encoder_ffn_dim=64,
            decoder_ffn_dim=64,
            max_position_embeddings=256,
            decoder_start_token_id=2,
            forced_eos_token_id=None,
        ),
    }
    return makers[family]()


@pytest.fixture(scope="session", autouse=True)
def _quiet() -> None:
    tf.logging.set_verbosity_error()
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def bart_folder(tiny_t5_folder, tmp_path_factory) -> Path:
    """A tokenizer that puts <s> before a text and </s> behind it, as BART's does: <s> 0, <pad> 1, </s> 2."""
    folder = tmp_path_factory.mktemp("tiny") / "tiny-bart"
    folder.mkdir()
    whole = json.loads((tiny_t5_folder / "tokenizer.json").read_text("utf-8"))
    special = ["<s>", "<pad>", "</s>"]
    plain = [token for token in whole["model"]["vocab"] if token not in ("<pad>", "</s>")]
    whole["model"]["vocab"] = {token: n for n, token in enumerate([*special, *plain])}
    frame = [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    frame.append({"SpecialToken": {"id": "</s>", "type_id": 0}})
    whole["post_processor"] = {
        "type": "TemplateProcessing",
        "single": frame,
        "pair": frame,
        "special_tokens": {t: {"id": t, "ids": [special.index(t)], "tokens": [t]} for t in ("<s>", "</s>")},
    }
    template = whole["added_tokens"][0]
    whole["added_tokens"] = [{**template, "id": n, "content": t} for n, t in enumerate(special)]
    (folder / "tokenizer.json").write_text(json.dumps(whole), encoding="utf-8")
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "pad_token": "<pad>",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def tiny_model(tiny_model_folder, tiny_t5_folder, bart_folder):
    """A family's model by name, made once. Ask it, never change it."""

    @functools.cache
    def make(family: str) -> TinyModel:
        folder = {"t5": tiny_t5_folder, "bart": bart_folder}.get(family, tiny_model_folder)
        tokenizer = tf.AutoTokenizer.from_pretrained(folder)
        kind = tf.AutoModelForSeq2SeqLM if family in ("t5", "bart") else tf.AutoModelForCausalLM
        with torch.random.fork_rng():
            torch.manual_seed(1)
            if family == "t5":
                model = kind.from_pretrained(folder)
            else:
                model = kind.from_config(_config(family, len(tokenizer)))
            with torch.no_grad():
                for parameter in model.parameters():
                    # Larger than usual, so that random weights give answers that differ from prompt to prompt.
                    if parameter.ndim > 1:
                        parameter.normal_(0, 0.3)
        if family == "bart":
            model.generation_config.forced_bos_token_id = 0  # as in BART's settings
        return TinyModel(model.eval(), tokenizer, family in ("t5", "bart"))

    return make


@pytest.fixture(scope="session")
def prompts() -> list[str]:
    """Texts of very different lengths."""
    draw = random.Random(0)
    return [" ".join(draw.choices(WORDS, k=length)) for length in (1, 2, 2, 3, 5, 8, 8, 13, 20, 28)]


@pytest.fixture(scope="session")
def make_requests(prompts):
    """Generations and choices over the prompts, each with its own limits and choices."""

    def make(kinds=("generate", "choose"), *, max_new_tokens=(1, 5, 12)) -> list[Request]:
        requests = []
        for n, prompt in enumerate(prompts):
            if "generate" in kinds:
                most = max_new_tokens[n % len(max_new_tokens)]
                requests.append(Request(f"g{n}", "generate", prompt, max_new_tokens=most))
            if "choose" in kinds:
                requests.append(Request(f"c{n}", "choose", prompt, choices=CHOICES[n % len(CHOICES)]))
        return requests

    return make


@pytest.fixture(scope="session")
def generated():
    """What transformers' own `generate` answers to one prompt alone: the ids, without the end."""

    def ask(tiny: TinyModel, ids: list[int], most: int, *, ends=(2,)) -> list[int]:
        prompt = torch.tensor([ids])
        # BART's generate counts the <s> that it is made to begin with.
        forced = (
            tiny.model.config.is_encoder_decoder
            and tiny.model.generation_config.forced_bos_token_id is not None
        )
        out = tiny.model.generate(
            input_ids=prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=most + forced,
            do_sample=False,
            num_beams=1,
            eos_token_id=list(ends),
            pad_token_id=tiny.tokenizer.pad_token_id,
        )[0].tolist()
        new = out[1 + forced :] if tiny.encoder_decoder else out[len(ids) :]
        return new[:-1] if new and new[-1] in ends else new

    return ask


@pytest.fixture(scope="session")
def likelihood():
    """A choice's log-likelihood: prompt and choice in one forward pass, alone, without a cache."""

    def ask(tiny: TinyModel, ids: list[int], choice: list[int], *, answer_prefix=()) -> float:
        with torch.inference_mode():
            if tiny.encoder_decoder:
                before_choice = [tiny.model.config.decoder_start_token_id, *answer_prefix]
                out = tiny.model(
                    input_ids=torch.tensor([ids]),
                    decoder_input_ids=torch.tensor([before_choice + choice]),
                    use_cache=False,
                )
            else:
                before_choice = list(ids)
                out = tiny.model(input_ids=torch.tensor([before_choice + choice]), use_cache=False)
        after = out.logits[0].double().log_softmax(-1)
        return sum(float(after[len(before_choice) - 1 + n, token]) for n, token in enumerate(choice))

    return ask
