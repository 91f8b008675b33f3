"""Rows, tiny models of many families, and a plain reference, for the training tests."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as tf
from torch.nn import functional

from tiny_configs import BART, IDS, LLAMA, SHAPE, T5, VOCABULARY
from tutelage.core.types import Encoded
from tutelage.tokens.packing import Packing
from tutelage.training.loop import Loop
from tutelage.training.settings import LoopSettings, Objective

from .plain import PAIRS, put_on

_GATED = {**T5, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
_LIKE_BART = {**BART, "max_position_embeddings": 64}


def _config(family: str) -> Any:
    makers: dict[str, Callable[[], Any]] = {
        "llama": lambda: tf.LlamaConfig(**LLAMA),
        "gpt2": lambda: tf.GPT2Config(**IDS, n_embd=16, n_layer=2, n_head=2, n_positions=64),
        "qwen2": lambda: tf.Qwen2Config(**LLAMA),
        "gemma2": lambda: tf.Gemma2Config(**LLAMA, head_dim=8, sliding_window=5),
        "gemma3": lambda: tf.Gemma3TextConfig(
            **LLAMA, head_dim=8, sliding_window=5, layer_types=["sliding_attention", "full_attention"]
        ),
        "opt": lambda: tf.OPTConfig(**SHAPE, ffn_dim=24, word_embed_proj_dim=16, max_position_embeddings=64),
        "bloom": lambda: tf.BloomConfig(**IDS, hidden_size=16, n_layer=2, n_head=2),
        "gemma": lambda: tf.GemmaConfig(**LLAMA, head_dim=8),
        "t5": lambda: tf.T5Config(**T5),
        "t5-v1.1": lambda: tf.T5Config(**_GATED),
        # As mT5 has it: the heads together are wider than the model.
        "mt5": lambda: tf.MT5Config(**{**_GATED, "d_kv": 12}),
        "umt5": lambda: tf.UMT5Config(**_GATED),
        "longt5": lambda: tf.LongT5Config(**_GATED, local_radius=4),
        "bart": lambda: tf.BartConfig(**_LIKE_BART),
        "mbart": lambda: tf.MBartConfig(**_LIKE_BART),
        "plbart": lambda: tf.PLBartConfig(**_LIKE_BART),
        "pegasus": lambda: tf.PegasusConfig(**_LIKE_BART),
    }
    return makers[family]()


@pytest.fixture(scope="session", autouse=True)
def _quiet() -> None:
    tf.logging.set_verbosity_error()
    torch.set_num_threads(1)


@pytest.fixture
def make_model() -> Callable[..., Any]:
    """A tiny model of a family with random weights; dropout is off unless asked for."""

    def make(family: str = "llama", *, dtype: torch.dtype = torch.float64, dropout: float = 0.0) -> Any:
        config = _config(family)
        for name in (
            "attention_dropout",
            "dropout",
            "dropout_rate",
            "resid_pdrop",
            "embd_pdrop",
            "attn_pdrop",
        ):
            if hasattr(config, name):
                setattr(config, name, dropout)
        for name in ("hidden_dropout", "activation_dropout"):
            if hasattr(config, name):
                setattr(config, name, 0.0)
        kind = tf.AutoModelForSeq2SeqLM if config.is_encoder_decoder else tf.AutoModelForCausalLM
        with torch.random.fork_rng():
            torch.manual_seed(1)
            model = kind.from_config(config)
            with torch.no_grad():
                for parameter in model.parameters():
                    if parameter.ndim > 1:
                        parameter.normal_(0, 0.2)
        return model.to(dtype)

    return make


@pytest.fixture
def make_rows() -> Callable[..., list[Encoded]]:
    """Rows of uneven lengths whose loss lies at the end, in places in the middle, or on one token only."""

    def make(count: int, *, pairs: bool = False, seed: int = 0) -> list[Encoded]:
        random_ = random.Random(seed)
        rows = []
        for i in range(count):
            prompt, answer = random_.randint(1, 12), random_.choice([1, 2, 3, 9])
            ids = [random_.randrange(3, VOCABULARY) for _ in range(prompt + answer)]
            mask = [False] * prompt + [True] * answer
            if i % 4 == 3 and answer > 2:
                mask[prompt + 1] = False
            source = tuple(ids[:prompt]) if pairs else None
            if pairs:
                ids, mask = ids[prompt:], mask[prompt:]
            rows.append(Encoded(f"row{i}", "t", tuple(ids), tuple(mask), source=source))
        return rows

    return make


@pytest.fixture
def reference_loss() -> Callable[[Any, Encoded], torch.Tensor]:
    """One row's summed loss the plain way: alone, no positions given, all logits, no masks of ours."""

    def loss(model: Any, row: Encoded) -> torch.Tensor:
        ids = torch.tensor([row.ids])
        mask = torch.tensor(row.loss_mask)
        if row.source is None:
            logits = model(input_ids=ids, use_cache=False).logits[0, :-1]
            targets, mask = ids[0, 1:], mask[1:]
        else:
            start = torch.tensor([[model.config.decoder_start_token_id]])
            given = torch.cat([start, ids[:, :-1]], dim=1)
            logits = model(
                input_ids=torch.tensor([row.source]), decoder_input_ids=given, use_cache=False
            ).logits[0]
            targets = ids[0]
        each = functional.cross_entropy(logits, targets, reduction="none")
        return each[mask].sum()

    return loss


@pytest.fixture
def gradients() -> Callable[[Any], dict[str, torch.Tensor]]:
    """Copies of a model's gradients by name."""

    def take(model: Any) -> dict[str, torch.Tensor]:
        return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}

    return take


@pytest.fixture
def moved_loop(
    tmp_path: Path, make_model: Callable[..., Any], make_rows: Callable[..., Any]
) -> Callable[..., Loop]:
    """A loop over nine rows whose model has moved away from its base."""

    def make(
        family: str,
        name: str,
        objective: Objective,
        *,
        dtype: torch.dtype = torch.float64,
        packed: bool = False,
        **changes: Any,
    ) -> Loop:
        pairs = family in PAIRS
        rows = make_rows(9, pairs=pairs)
        settings = LoopSettings(
            steps=1,
            learning_rate=5e-4,
            validate_every=50,
            batch_size=len(rows),
            objective=objective,
            packing=Packing(40, 24 if pairs else 0, len(rows)) if packed else None,
            **changes,
        )
        model = make_model(family, dtype=dtype)
        loop = Loop(
            model if name == "full" else put_on(model, name),
            pad_id=0,
            row_at=rows.__getitem__,
            validation=(),
            settings=settings,
            folder=tmp_path / "checkpoints",
            needs={"identity": "x"},
            on_event=lambda _: None,
        )
        if name == "full":
            put_on(model, "full")
        loop.model.train()
        return loop

    return make


@pytest.fixture
def tuned(
    tmp_path: Path, make_model: Callable[..., Any], make_rows: Callable[..., Any]
) -> Callable[..., tuple[dict[str, torch.Tensor], list[Any]]]:
    """Trains with an objective; gives the weights and the events."""

    def run(
        objective: Objective, name: str = "full", *, steps: int = 6, dropout: float = 0.0, **changes: Any
    ) -> tuple[dict[str, torch.Tensor], list[Any]]:
        events: list[Any] = []
        rows = make_rows(8)
        model = make_model(dropout=dropout)
        loop = Loop(
            model if name == "full" else put_on(model, name),
            pad_id=0,
            row_at=lambda i: rows[(3 * i) % 8],
            validation=rows[:2],
            settings=LoopSettings(
                steps=max(steps, 1),
                batch_size=4,
                micro_batch_tokens=40,
                learning_rate=0.02,
                validate_every=3,
                keep="last",
                objective=objective,
                **changes,
            ),
            folder=tmp_path / str(hash((objective, name))),
            needs={"identity": "x"},
            on_event=events.append,
        )
        if steps:
            loop.tune()
        return {n: p.detach().clone() for n, p in loop.trained.items()}, events

    return run
