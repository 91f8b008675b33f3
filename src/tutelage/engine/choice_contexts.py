"""Choices that stand in the question: the same continuation is scored behind each of them.

A request with a `continuation` is asked as one request a choice, whose prompt ends with the choice and whose only answer is the
continuation. Their answers together are the answer to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tutelage.core.types import Request, Response


def asked_as(request: Request) -> tuple[Request, ...]:
    """The requests that a model answers in place of a request: itself, or one a choice where it has a continuation."""
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
    """Requests as they are asked, and their responses as those to the requests.

    Args:
        requests: any mixture of kinds.

    Attributes:
        asked: the requests that the model answers.
    """

    def __init__(self, requests: Sequence[Request]) -> None:
        self.asked: list[Request] = []
        self._place: dict[str, tuple[Request, int]] = {}
        self._waiting: dict[str, dict[int, Response]] = {}
        for request in requests:
            parts = asked_as(request)
            self.asked += parts
            if request.continuation:
                self._place |= {part.id: (request, number) for number, part in enumerate(parts)}

    def join(self, responses: Sequence[Response]) -> list[Response]:
        """The responses to the requests that are complete now; answers for some of a request's choices wait for the others."""
        joined = []
        for response in responses:
            if response.id not in self._place:
                joined.append(response)
                continue
            request, number = self._place[response.id]
            answers = self._waiting.setdefault(request.id, {})
            answers[number] = response
            if len(answers) == len(request.choices):
                joined.append(_together(request, [answers[choice] for choice in range(len(answers))]))
                del self._waiting[request.id]
        return joined


def _together(request: Request, answers: Sequence[Response]) -> Response:
    sums = tuple(answer.logprobs[0] for answer in answers)
    best = max(range(len(sums)), key=sums.__getitem__)
    return Response(
        request.id,
        request.choices[best],
        "choice",
        0,
        choice=best,
        logprobs=sums,
        lengths=tuple(answer.lengths[0] for answer in answers),
    )
