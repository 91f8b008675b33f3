"""Whether a choice is what greedy generation would give, on every path that scores choices."""

from __future__ import annotations

import pytest
import torch

from tutelage.core.types import Request
from tutelage.engine.capabilities import Batching
from tutelage.engine.encoded_request import EncodedRequest


def greedy_ids(engine, prompt, count):
    ids: list[int] = []
    for _ in range(count):
        ids.append(int(engine.full_pass.logits(prompt, ids)[-1].argmax()))
    return ids


def with_choices(engine, prompt, number):
    """Choices of one token and of several: the greedy one, and ones that depart from it at the first, a middle and the last token."""
    best = greedy_ids(engine, prompt, 4)
    other = [(token + 1) % 50 for token in best]
    choices = [best, best[:1], [*other[:1], *best[1:]], [*best[:2], other[2], best[3]], [*best[:3], other[3]]]
    return EncodedRequest(Request(str(number), "choose", "", form="text"), prompt, (*choices, other[:1]))


# llama: packs; bloom: padded batches; t5: padded batches of an encoder-decoder model.
@pytest.mark.parametrize("family", ["llama", "bloom", "t5"])
def test_only_the_greedy_choice_is_called_greedy(tiny_model, family):
    engine = tiny_model(family).engine()
    with torch.inference_mode():
        requests = [with_choices(engine, [*range(3, 9), last], last) for last in (9, 12, 20)]
        scores = {encoded.request.id: found for batch in engine.score(requests) for encoded, found in batch}
        alone = {
            encoded.request.id: [
                engine.full_pass.choice_score(encoded.prompt, ids) for ids in encoded.choices
            ]
            for encoded in requests
        }
    for name, found in scores.items():
        assert [score.greedy for score in found] == [True, True, False, False, False, False]
        assert [score.greedy for score in alone[name]] == [score.greedy for score in found]
        expected = [score.log_probability for score in alone[name]]
        assert [score.log_probability for score in found] == pytest.approx(expected, abs=1e-4)


def test_a_model_that_is_asked_alone(tiny_model, monkeypatch):
    engine = tiny_model("bloom").engine()
    monkeypatch.setattr(type(engine.capabilities), "batching", Batching.UNCACHED)
    with torch.inference_mode():
        request = with_choices(engine, [3, 4, 5], 0)
        ((_, scores),) = [pair for batch in engine.score([request]) for pair in batch]
    assert [score.greedy for score in scores] == [True, True, False, False, False, False]
