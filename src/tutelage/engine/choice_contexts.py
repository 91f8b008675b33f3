"""Choices that are part of the context: the same continuation is scored behind each of them, as in WinoGrande.

A request with a `continuation` is split into one request per choice, whose prompt ends with the choice and whose only choice is the
continuation. The responses to these are joined into one response.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tutelage.core.types import Request, Response


def split_by_choice(request: Request) -> tuple[Request, ...]:
    """Split a request with a continuation into one request per choice; any other is returned as it is."""
    if not request.continuation:
        return (request,)
    return tuple(
        replace(
            request,
            id=f"{request.id}, choice {number}",
            prompt=request.prompt + choice,
            choices=(request.continuation,),
            continuation="",
        )
        for number, choice in enumerate(request.choices, start=1)
    )


class ChoiceContexts:
    """Splits requests by choice, and joins the responses to the parts.

    Args:
        requests: any mixture of kinds.

    Attributes:
        parts: the requests that the model answers, in order.
    """

    def __init__(self, requests: Sequence[Request]) -> None:
        self.parts: list[Request] = []
        self._origin: dict[str, tuple[Request, int]] = {}  # request and index of the choice, by the part's id
        self._incomplete: dict[
            str, dict[int, Response]
        ] = {}  # responses by index of the choice, by the request's id
        for request in requests:
            parts = split_by_choice(request)
            self.parts += parts
            if request.continuation:
                self._origin |= {part.id: (request, choice) for choice, part in enumerate(parts)}

    def join(self, responses: Sequence[Response]) -> list[Response]:
        """The responses that are complete now; those for some of a request's choices wait for the others."""
        joined = []
        for response in responses:
            if response.id not in self._origin:
                joined.append(response)
                continue
            request, choice = self._origin[response.id]
            by_choice = self._incomplete.setdefault(request.id, {})
            by_choice[choice] = response
            if len(by_choice) == len(request.choices):
                joined.append(_joined(request, [by_choice[index] for index in range(len(by_choice))]))
                del self._incomplete[request.id]
        return joined


def _joined(request: Request, by_choice: Sequence[Response]) -> Response:
    """The response to a request, of the responses to its parts."""
    sums = tuple(response.logprobs[0] for response in by_choice)
    best = max(range(len(sums)), key=sums.__getitem__)
    return Response(
        request.id,
        request.choices[best],
        "choice",
        0,
        choice=best,
        logprobs=sums,
        lengths=tuple(response.lengths[0] for response in by_choice),
    )
