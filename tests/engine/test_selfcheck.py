"""Answers asked again the plain way: right ones pass, wrong ones are caught, near-ties are counted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tutelage.engine.selfcheck import check


@pytest.mark.parametrize("family", ["llama", "gpt2", "bloom", "mistral", "t5", "bart"])
def test_what_the_engine_says_is_what_the_model_says(asked, make_requests, family):
    engine = asked(family).engine()
    wanted = make_requests()
    given = {one.id: one for one in engine.answer(wanted)}
    found = check(engine, wanted, given, sample=10)
    assert (found.n, found.wrong) == (10, ())
    assert 0 < found.difference < 1e-4
    assert found.as_json()["n"] == 10


def test_wrong_answers_are_caught_by_what_is_wrong_with_them(asked, make_requests):
    engine = asked("llama").engine()
    wanted = make_requests(max_new_tokens=(12,))
    given = {one.id: one for one in engine.answer(wanted)}
    spoiled = {
        id_: replace(one, logprobs=(one.logprobs[0] + 3e-4, *one.logprobs[1:]))
        if one.logprobs
        else replace(one, text="Paris" + one.text)
        for id_, one in given.items()
    }
    found = check(engine, wanted, spoiled, sample=99)
    assert found.n == len(wanted)
    assert len(found.wrong) == len(wanted)
    assert all("differs by 3" in line for line in found.wrong if line.startswith("c"))
    assert all("instead of" in line for line in found.wrong if line.startswith("g"))


def test_which_are_asked_again_follows_from_their_ids(asked, make_requests):
    engine = asked("llama").engine()
    wanted = make_requests()
    given = {one.id: one for one in engine.answer(wanted)}
    first = {
        line.partition(":")[0]
        for line in check(
            engine,
            wanted,
            {k: replace(v, text="?", logprobs=tuple(x - 1 for x in v.logprobs)) for k, v in given.items()},
        ).wrong
    }
    again = {
        line.partition(":")[0]
        for line in check(
            engine,
            wanted[::-1],
            {k: replace(v, text="?", logprobs=tuple(x - 1 for x in v.logprobs)) for k, v in given.items()},
        ).wrong
    }
    assert first == again
    assert len(first) == 8


def test_two_choices_that_are_as_likely_are_a_tie(asked):
    from tutelage.core.types import Request

    engine = asked("llama").engine()
    request = Request("t", "choose", "Paris?", choices=("yes", "no"))
    (given,) = engine.answer([request])
    other = replace(given, choice=1 - given.choice)
    assert check(engine, [request], {"t": other}).wrong == (
        f"t: choice {1 - given.choice} instead of {given.choice}",
    )
    same = Request("t", "choose", "Paris?", choices=("yes", "yes"))
    (given,) = engine.answer([same])
    assert check(engine, [same], {"t": replace(given, choice=1)}).ties == 1
