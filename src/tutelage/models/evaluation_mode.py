"""Runs a model as it answers, without dropout and without gradients, whatever mode it is in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def evaluation_mode(model: Any) -> Iterator[None]:
    """Switch dropout and gradients off while the block runs; afterwards the model is in the mode that it was in.

    Args:
        model: a torch module, all of it in training mode or all of it in evaluation mode.
    """
    import torch

    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)
