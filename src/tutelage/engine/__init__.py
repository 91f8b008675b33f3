"""Requests to responses: batched greedy generation and log-probabilities of choices."""

from tutelage.engine.encoded_request import RequestEncoder
from tutelage.engine.engine import Engine
from tutelage.engine.limits import BatchLimits

__all__ = ["BatchLimits", "Engine", "RequestEncoder"]
