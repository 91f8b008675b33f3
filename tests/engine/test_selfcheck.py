"""Answers checked against full passes: right ones pass, wrong ones are caught, ties are counted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tutelage.engine.selfcheck import check


@pytest.mark.parametrize("family", ["llama", "gpt2", "bloom", "mistral", "t5", "bart"])
def test_what_the_engine_says_is_what_the_model_says(tiny_model, make_requests, family):
    engine = tiny_model(family).engine()
    requests = make_requests()
    responses = {response.id: response for response in engine.answer(requests)}
    checked = check(engine, requests, responses, sample=10)
    assert (checked.n, checked.wrong) == (10, ())
    assert 0 < checked.difference < 1e-4
    assert checked.as_json()["n"] == 10


def test_wrong_answers_are_caught_by_what_is_wrong_with_them(tiny_model, make_requests):
    engine = tiny_model("llama").engine()
    requests = make_requests(max_new_tokens=(12,))
    responses = {response.id: response for response in engine.answer(requests)}
    spoiled = {
        id_: replace(response, logprobs=(response.logprobs[0] + 3e-4, *response.logprobs[1:]))
        if response.logprobs
        else replace(response, text="Paris" + response.text)
        for id_, response in responses.items()
    }
    checked = check(engine, requests, spoiled, sample=99)
    assert checked.n == len(requests)
    assert len(checked.wrong) == len(requests)
    assert all("differs by 3" in line for line in checked.wrong if line.startswith("c"))
    assert all("instead of" in line for line in checked.wrong if line.startswith("g"))


def test_which_are_asked_again_follows_from_their_ids(tiny_model, make_requests):
    engine = tiny_model("llama").engine()
    requests = make_requests()
    responses = {response.id: response for response in engine.answer(requests)}
    first = {
        line.partition(":")[0]
        for line in check(
            engine,
            requests,
            {
                k: replace(v, text="?", logprobs=tuple(x - 1 for x in v.logprobs))
                for k, v in responses.items()
            },
        ).wrong
    }
    again = {
        line.partition(":")[0]
        for line in check(
            engine,
            requests[::-1],
            {
                k: replace(v, text="?", logprobs=tuple(x - 1 for x in v.logprobs))
                for k, v in responses.items()
            },
        ).wrong
    }
    assert first == again
    assert len(first) == 8


def test_two_choices_that_are_as_likely_are_a_tie(tiny_model):
    from tutelage.core.types import Request

    engine = tiny_model("llama").engine()
    request = Request("t", "choose", "Paris?", choices=("yes", "no"))
    (response,) = engine.answer([request])
    other = replace(response, choice=1 - response.choice)
    assert check(engine, [request], {"t": other}).wrong == (
        f"t: choice {1 - response.choice} instead of {response.choice}",
    )
    same = Request("t", "choose", "Paris?", choices=("yes", "yes"))
    (response,) = engine.answer([same])
    assert check(engine, [same], {"t": replace(response, choice=1)}).ties == 1
