"""Answers asked once more, one by one and the plain way: no shared beginning, no batch, the model's own attention and cache.

A log-probability may differ by rounding only. A greedy text must be the same, or part where the two best tokens are so near that
rounding decides between them: such ties are counted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tutelage.core.types import Request, Response
from tutelage.engine.encoded_request import Read
from tutelage.engine.engine import Engine
from tutelage.models.soft_prompts import of as prompt_of

SAME = 1e-4
"""How far log-probabilities may be apart, and how near two best ones are a tie."""
SAMPLE = 8


@dataclass(frozen=True, slots=True)
class Checked:
    """What asking again found.

    Attributes:
        n: answers that were asked again.
        difference: the largest between two log-probabilities of one choice; 0 where nothing was chosen.
        ties: answers that differ, or might, as their two best tokens or choices are within `SAME`.
        wrong: what differs otherwise, an answer a line.
    """

    n: int
    difference: float
    ties: int
    wrong: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return {"n": self.n, "difference": self.difference, "ties": self.ties, "wrong": list(self.wrong)}


def check(
    engine: Engine, requests: Sequence[Request], responses: Mapping[str, Response], *, sample: int = SAMPLE
) -> Checked:
    """Ask some of the requests again.

    Args:
        engine: that answered.
        requests: what was asked.
        responses: by request id.
        sample: how many are asked again; which ones follows from their ids alone.
    """
    chosen = sorted(requests, key=lambda request: hashlib.sha256(request.id.encode()).digest())[:sample]
    engine.model.eval()
    worst, ties = 0.0, 0
    wrong: list[str] = []
    for read in engine.reader.read(chosen):
        given = responses[read.request.id]
        with torch.inference_mode():
            if read.request.kind == "choose":
                apart, near, fault = _choice(engine, read, given)
                worst = max(worst, apart)
            else:
                near, fault = _text(engine, read, given)
        ties += near
        wrong += [f"{read.request.id}: {fault}"] if fault else []
    return Checked(len(chosen), worst, ties, tuple(wrong))


def _choice(engine: Engine, read: Read, given: Response) -> tuple[float, bool, str]:
    """How far the log-probabilities are apart, whether the best two are a tie, and what is wrong."""
    plain = [engine.plain.log_probability(read.prompt, choice) for choice in read.choices]
    apart = max(abs(a - b) for a, b in zip(plain, given.logprobs, strict=True))
    if not apart <= SAME:
        return apart, False, f"a log-probability differs by {apart:.1e}"
    best, *rest = sorted(plain, reverse=True)
    near = bool(rest) and best - rest[0] <= SAME
    if given.choice != plain.index(best) and not near:
        return apart, False, f"choice {given.choice} instead of {plain.index(best)}"
    return apart, near, ""


def _text(engine: Engine, read: Read, given: Response) -> tuple[bool, str]:
    """Whether two tokens were a tie, and what is wrong."""
    ids, ties = _greedily(engine, read)
    text = engine.text_of(ids)
    for stop in read.request.stop:
        text = text.partition(stop)[0]
    near = any(ties)
    if text == given.text:
        return near, ""
    told = next(
        (n for n in range(len(ids)) if not given.text.startswith(engine.text_of(ids[: n + 1]))), len(ids)
    )
    if any(ties[: told + 1]):
        return True, ""
    return False, f"{given.text[:60]!r} instead of {text[:60]!r}"


def _greedily(engine: Engine, read: Read) -> tuple[list[int], list[bool]]:
    """The tokens of an answer, and for each whether the two best were a tie."""
    ids: list[int] = []
    ties: list[bool] = []
    step = _Step(engine, read.prompt)
    while len(ids) < read.request.max_new_tokens:
        best = step.next().float().log_softmax(-1).topk(2)
        ties.append(bool(best.values[0] - best.values[1] <= SAME))
        token = int(best.indices[0])
        if token in engine.stop_ids:
            break
        ids.append(token)
        if read.request.stop and any(stop in engine.text_of(ids) for stop in read.request.stop):
            break
        step.say(token)
    return ids, ties


class _Step:
    """One answer under way, with the model's own cache where it can be used."""

    def __init__(self, engine: Engine, prompt: Sequence[int]) -> None:
        self._engine, self._prompt = engine, prompt
        self._said: list[int] = []
        self._cached = engine.caches and not engine.encoder_decoder and prompt_of(engine.model) is None
        self._cache: Any = None

    def say(self, token: int) -> None:
        self._said.append(token)

    def next(self) -> torch.Tensor:
        """The logits of the next token, (V,)."""
        if not self._cached:
            return self._engine.plain.logits(self._prompt, self._said)[-1]
        fresh = self._said[-1:] if self._cache is not None else list(self._prompt)
        model = self._engine.model
        out = model(
            input_ids=torch.tensor([fresh], device=model.device), past_key_values=self._cache, use_cache=True
        )
        self._cache = out.past_key_values
        logits: torch.Tensor = out.logits[0, -1]
        return logits
