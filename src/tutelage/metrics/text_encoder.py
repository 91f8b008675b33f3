"""What metrics such as BERTScore need of a text encoder, without importing torch.

`tutelage.models.text_encoder` loads encoders. It is imported by name when a metric first needs one, as the implementations of metrics
are, because this package must not import torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib import import_module
from typing import Protocol

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
"""Vectors of a text's tokens, of length 1, float32 of shape (tokens, width)."""
_LOADER = "tutelage.models.text_encoder"


class TextEncoder(Protocol):
    """A model that turns each token of a text into a vector that depends on the whole text."""

    @property
    def fingerprint(self) -> str:
        """The sha256 of weights, settings and tokenizer."""

    @property
    def layer(self) -> int:
        """The layer whose output the vectors are, from 1."""

    @property
    def markers(self) -> frozenset[int]:
        """The ids that the tokenizer puts around a text ([CLS] and [SEP])."""

    def token_ids(self, texts: Sequence[str]) -> list[tuple[int, ...]]:
        """The ids of each text with its markers, cut to what the model reads."""

    def vectors(self, ids: Sequence[tuple[int, ...]]) -> list[Vectors]:
        """The vectors of the tokens of each text."""


@lru_cache(maxsize=2)
def text_encoder(model: str, layer: int) -> TextEncoder:
    """Load an encoder; the last two stay in memory.

    Args:
        model: a folder or a hub id.
        layer: the layer whose output is used, from 1; 0 for the layer that bert-score uses for this model.

    Raises:
        InputError: there is no such model, it is no encoder, or it has fewer layers.
    """
    encoder: TextEncoder = import_module(_LOADER).load_text_encoder(model, layer)
    return encoder
