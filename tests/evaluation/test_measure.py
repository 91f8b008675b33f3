"""What of a request is in the fingerprint of a stored evaluation."""

from __future__ import annotations

from dataclasses import replace

from tutelage.core.types import Request, Sampling
from tutelage.evaluation.measure import decoding_key

REQUEST = Request("a", "generate", "Say it.", max_new_tokens=8, stop=("\n",))


def test_greedy_requests_are_fingerprinted_as_before_there_was_sampling():
    assert decoding_key(replace(REQUEST, prompt="")) == [
        "a",
        "generate",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",  # of no text
        [],
        8,
        ["\n"],
    ]


def test_every_setting_of_the_sampling_is_in_the_fingerprint():
    settings = (None, Sampling(0.7), Sampling(0.8), Sampling(0.7, 0.9), Sampling(0.7, seed=1))
    assert len({str(decoding_key(replace(REQUEST, sampling=sampling))) for sampling in settings}) == 5
