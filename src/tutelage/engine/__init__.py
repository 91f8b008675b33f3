"""Answers from a model: batched generation and log-likelihoods."""

from tutelage.engine.encoded_request import Reader
from tutelage.engine.engine import Engine
from tutelage.engine.limits import Limits

__all__ = ["Engine", "Limits", "Reader"]
