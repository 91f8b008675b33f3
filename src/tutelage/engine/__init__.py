"""Answers from a model: batched generation and log-likelihoods."""

from tutelage.engine.engine import Engine, Limits

__all__ = ["Engine", "Limits"]
