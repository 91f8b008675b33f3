"""Answers from a model: batched generation and log-likelihoods."""

from tutelage.engine.engine import Engine
from tutelage.engine.limits import Limits
from tutelage.engine.reading import Reader

__all__ = ["Engine", "Limits", "Reader"]
