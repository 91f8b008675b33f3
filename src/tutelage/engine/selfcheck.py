"""Answers some requests again, one at a time and without the fast paths, and compares.

A log-probability may differ by rounding only. A text must be the same, or depart where the two best tokens are so close that rounding
decides between them: such ties are counted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tutelage.core.types import Request, Response
from tutelage.engine.choice_contexts import split_by_choice
from tutelage.engine.encoded_request import EncodedRequest
from tutelage.engine.engine import Engine
from tutelage.engine.generation import Generation
from tutelage.engine.sampling import scores
from tutelage.models.soft_prompts import soft_prompt

TOLERANCE = 1e-4
"""How far log-probabilities (nats) may differ, and how close the two best ones are a tie."""
SAMPLE = 8


@dataclass(frozen=True, slots=True)
class AnswersChecked:
    """How answers compare with those given again without the fast paths.

    Attributes:
        n: requests that were answered again.
        difference: the largest between two log-probabilities of one choice; 0 if nothing was chosen.
        ties: answers that differ, or might, because their two best tokens or choices are within `TOLERANCE`.
        wrong: other differences, an answer a line.
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
) -> AnswersChecked:
    """Answer some of the requests again, without shared prefixes and batches, with the model's own attention and cache.

    Args:
        engine: what answered.
        requests: all requests.
        responses: the answers, by request id.
        sample: how many are answered again; which ones depends on their ids alone.
    """
    sampled = sorted(requests, key=lambda request: hashlib.sha256(request.id.encode()).digest())[:sample]
    engine.model.eval()
    largest, ties = 0.0, 0
    wrong: list[str] = []
    for request in sampled:
        response = responses[request.id]
        parts = list(engine.request_encoder.encode(split_by_choice(request)))
        with torch.inference_mode():
            if request.kind == "choose":
                difference, tie, fault = _check_choice(engine, parts, response)
                largest = max(largest, difference)
            else:
                tie, fault = _check_text(engine, parts[0], response)
        ties += tie
        wrong += [f"{request.id}: {fault}"] if fault else []
    return AnswersChecked(len(sampled), largest, ties, tuple(wrong))


def _check_choice(
    engine: Engine, parts: Sequence[EncodedRequest], response: Response
) -> tuple[float, bool, str]:
    """The largest difference of log-probabilities, whether the best two are a tie, and what is wrong."""
    log_probability = engine.full_pass.log_probability
    expected = [log_probability(encoded.prompt, choice) for encoded in parts for choice in encoded.choices]
    difference = max(abs(a - b) for a, b in zip(expected, response.logprobs, strict=True))
    if not difference <= TOLERANCE:
        return difference, False, f"a log-probability differs by {difference:.1e}"
    best, *rest = sorted(expected, reverse=True)
    tie = bool(rest) and best - rest[0] <= TOLERANCE
    if response.choice != expected.index(best) and not tie:
        return difference, False, f"choice {response.choice} instead of {expected.index(best)}"
    return difference, tie, ""


def _check_text(engine: Engine, encoded: EncodedRequest, response: Response) -> tuple[bool, str]:
    """Whether two tokens were a tie, and what is wrong."""
    ids, ties, ended = _generate(engine, encoded)
    text = engine.answer_text.text(encoded.request, ids, ended=ended)
    for stop in engine.stop_texts(encoded.request):
        text = text.partition(stop)[0]
    if text == response.text:
        return any(ties), ""
    departs = next(
        (
            n
            for n in range(len(ids))
            if not response.text.startswith(engine.answer_text.text(encoded.request, ids[: n + 1]))
        ),
        len(ids),
    )
    if any(ties[: departs + 1]):
        return True, ""
    return False, f"{response.text[:60]!r} instead of {text[:60]!r}"


def _generate(engine: Engine, encoded: EncodedRequest) -> tuple[list[int], list[bool], bool]:
    """An answer's tokens, for each whether the two best were a tie, and whether it ended before its limit."""
    generation = Generation(encoded.request)
    ids = generation.ids
    ties: list[bool] = []
    model = engine.model
    cached = engine.capabilities.kv_cache and not engine.encoder_decoder and soft_prompt(model) is None
    cache: Any = None
    while len(ids) < engine.answer_text.limit(encoded.request, ids):
        if cached:
            new_ids = encoded.prompt if cache is None else ids[-1:]
            output = model(
                input_ids=torch.tensor([new_ids], device=model.device), past_key_values=cache, use_cache=True
            )
            cache, logits = output.past_key_values, output.logits[0, -1]
        else:
            logits = engine.full_pass.logits(encoded.prompt, ids)[-1]
        best = scores(logits, generation).float().log_softmax(-1).topk(2)
        ties.append(bool(best.values[0] - best.values[1] <= TOLERANCE))
        token = int(best.indices[0])
        if engine.ends_answer(encoded.request, token):
            return ids, ties, True
        ids.append(token)
        stops = engine.stop_texts(encoded.request)
        if stops and any(stop in engine.answer_text.text(encoded.request, ids) for stop in stops):
            return ids, ties, True
    return ids, ties, False
