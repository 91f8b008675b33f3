"""Answers that belong to no evaluation: from the cache of answers, else from the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tutelage.core.types import Request, Response
from tutelage.evaluation.answer_cache_key import KeyedEngine
from tutelage.results.answer_cache import AnswerCache


def answer(
    requests: Sequence[Request],
    engine: KeyedEngine,
    cache: AnswerCache | None,
    *,
    on_progress: Callable[[int, int], None],
) -> list[Response]:
    """Answer requests, those of the cache without the model; new answers are cached as they come.

    Args:
        requests: with ids of their own.
        engine: of the model.
        cache: None without a cache.
        on_progress: takes how many answers are there, and how many there will be.

    Returns:
        The responses in the requests' order.
    """
    key = None if cache is None else engine.key_for(requests)
    answered: dict[str, Response] = {}
    if cache is not None and key is not None:
        answered = {response.id: response for response in cache.find(key, requests)}
    by_id = {request.id: request for request in requests}

    def keep(responses: list[Response]) -> None:
        answered.update((response.id, response) for response in responses)
        if cache is not None and key is not None:
            cache.add(key, [(by_id[response.id], response) for response in responses])
        on_progress(len(answered), len(requests))

    if missing := [request for request in requests if request.id not in answered]:
        engine.engine.answer(missing, on_done=keep)
    return [answered[request.id] for request in requests]
