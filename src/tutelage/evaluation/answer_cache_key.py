"""What a model's answers depend on beside the request, and where those of before are kept.

CACHE/answers/answers.sqlite, with CACHE of `core.caches.root`. TUTELAGE_NO_CACHE=1 turns it off; TUTELAGE_ANSWERS_CACHE_MB says
how large it may be.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tutelage.core import caches, hashing
from tutelage.core.types import Request
from tutelage.engine import Engine
from tutelage.models import LoadedModel
from tutelage.results.answer_cache import Answers

DEFAULT_MB = 500
_PARTS = ("core", "templates", "tokens", "models", "engine")
_LIBRARIES = ("torch", "transformers", "tokenizers", "peft", "safetensors", "jinja2")


@dataclass(frozen=True, slots=True)
class Voice:
    """A model that is ready to be asked; `content` is a hash of what its answers depend on, None to keep none of them."""

    engine: Engine
    content: str | None = None

    def content_for(self, requests: Sequence[Request]) -> str | None:
        """`content`, with what the chat template reads of its clock where it reads it for one of these requests."""
        if self.content is None:
            return None
        reads = self.engine.reader.clock_reads(requests)
        return hashing.of_json([self.content, dict(reads)]) if reads else self.content


def voice(loaded: LoadedModel) -> Voice:
    """The engine of a model as it was loaded."""
    kind = loaded.encoder_decoder
    engine = Engine(loaded.model, loaded.tokenizer, encoder_decoder=kind, context=loaded.context)
    return Voice(engine, content_of(loaded))


@contextmanager
def kept_answers(say: Callable[[str], None]) -> Iterator[Answers | None]:
    """The answers of before, open for the block; None where they are switched off."""
    most = caches.most("TUTELAGE_ANSWERS_CACHE_MB", DEFAULT_MB)
    if not caches.enabled() or not most:
        yield None
        return
    with Answers(caches.root() / "answers" / "answers.sqlite", most=most, say=say) as answers:
        yield answers


def content_of(loaded: LoadedModel) -> str:
    """The sha256 of what a model's answers depend on beside the request: no name of a file, folder or model is among it.

    The fingerprint stands for config, weights, adapter, tokenizer, chat template and number format. How long the model can
    read is left out: what does not fit is refused, and not answered otherwise.
    """
    model = loaded.model
    parameter = next(model.parameters())
    return hashing.of_json(
        {
            "fingerprint": loaded.fingerprint,
            "template": loaded.chat_template,
            "encoder_decoder": loaded.encoder_decoder,
            "generation": _settings(model.generation_config),
            "dtype": str(parameter.dtype),
            "attention": getattr(model.config, "_attn_implementation", None),
            "machine": [platform.machine(), _device(parameter.device)],
            "program": caches.program(_PARTS, _LIBRARIES),
        }
    )


def _settings(generation: Any) -> dict[str, str]:
    """Which tokens begin and end answers; the fingerprint leaves the file that says so out."""
    return {k: repr(v) for k, v in generation.to_dict().items() if k != "transformers_version"}


def _device(device: Any) -> str:
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device.type)
