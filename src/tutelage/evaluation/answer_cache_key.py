"""The part of an answer's cache key that stands for the model: everything that its answers depend on beside the request.

The cache is CACHE/answers/answers.sqlite, with CACHE of `core.caches.root`. TUTELAGE_NO_CACHE=1 turns it off; TUTELAGE_ANSWERS_CACHE_MB says
how large it may be.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from tutelage.core import caches, hashing
from tutelage.core.types import Request
from tutelage.engine import Engine
from tutelage.models import LoadedModel
from tutelage.results.answer_cache import AnswerCache

DEFAULT_MB = 500
_PARTS = ("core", "templates", "tokens", "models", "engine")
_LIBRARIES = ("torch", "transformers", "tokenizers", "peft", "safetensors", "jinja2")


@dataclass(frozen=True, slots=True)
class KeyedEngine:
    """The engine of a loaded model, with the model's part of the cache key (None: answers are not cached)."""

    engine: Engine
    model_key: str | None = None

    def key_for(self, requests: Sequence[Request]) -> str | None:
        """`model_key`, with what the chat template reads of its clock if it reads it for one of these requests."""
        if self.model_key is None:
            return None
        reads = self.engine.request_encoder.clock_reads(requests)
        return hashing.of_json([self.model_key, dict(reads)]) if reads else self.model_key


def keyed_engine(loaded: LoadedModel) -> KeyedEngine:
    """An engine for a loaded model."""
    engine = Engine(
        loaded.model, loaded.tokenizer, encoder_decoder=loaded.encoder_decoder, context=loaded.context
    )
    return KeyedEngine(engine, model_key(loaded))


def open_answer_cache(say: Callable[[str], None]) -> AbstractContextManager[AnswerCache | None]:
    """Open the cache of answers for a block; None where it is switched off."""
    max_bytes = caches.size_limit("TUTELAGE_ANSWERS_CACHE_MB", DEFAULT_MB)
    if not caches.enabled() or not max_bytes:
        return nullcontext()
    return AnswerCache(caches.root() / "answers" / "answers.sqlite", max_bytes=max_bytes, say=say)


def model_key(loaded: LoadedModel) -> str:
    """The sha256 of everything that a model's answers depend on beside the request; names of files and models are no part of it.

    The fingerprint covers config, weights, adapter, tokenizer, chat template and number format. The context length is left
    out: a request that does not fit is refused, and never answered differently.
    """
    model = loaded.model
    generation = model.generation_config.to_dict().items()
    parameter = next(model.parameters())
    return hashing.of_json(
        {
            "fingerprint": loaded.fingerprint,
            "template": loaded.chat_template,
            "encoder_decoder": loaded.encoder_decoder,
            # Which tokens begin and end answers: the fingerprint does not cover the file that holds them.
            "generation": {name: repr(value) for name, value in generation if name != "transformers_version"},
            "dtype": str(parameter.dtype),
            "attention": getattr(model.config, "_attn_implementation", None),
            "machine": [platform.machine(), _device(parameter.device)],
            "program": caches.code_version(_PARTS, _LIBRARIES),
        }
    )


def _device(device: Any) -> str:
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device.type)
