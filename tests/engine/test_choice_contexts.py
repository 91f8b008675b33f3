"""Choices that stand in the question: the same continuation is scored behind each of them."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch

from tutelage.core.errors import InputError
from tutelage.core.types import Request, Response
from tutelage.engine.choice_contexts import ChoiceContexts, split_by_choice
from tutelage.engine.selfcheck import check

SENTENCES = [
    ("The trophy does not fit into the case because the ", ("trophy", "case"), " is too large."),
    ("", ("Ann", "Bea"), " asked the other one for help."),
    ("Paris is the price of small plans, said ", ("yes", "no", "12 euros"), " a"),
]


def questions():
    return [
        Request(f"q{number}", "choose", prompt, choices, form="text", continuation=continuation)
        for number, (prompt, choices, continuation) in enumerate(SENTENCES)
    ]


def expected(engine, request):
    """The continuation's log-probability behind each context, by one pass over each whole text."""
    values = []
    for choice in request.choices:
        context, whole = (
            engine.encoder.with_added_tokens(engine.tokenizer(text, add_special_tokens=False).input_ids)
            for text in (request.prompt + choice, request.prompt + choice + request.continuation)
        )
        assert whole[: len(context)] == context
        with torch.inference_mode():
            rows = engine.model(input_ids=torch.tensor([whole])).logits[0].float().log_softmax(-1)
        values.append(sum(float(rows[n - 1, whole[n]]) for n in range(len(context), len(whole))))
    return values


# llama: packs; bloom: padded batches; mistral with its window: prefixes are not shared.
@pytest.mark.parametrize("family", ["llama", "bloom", "mistral"])
def test_the_continuation_is_scored_behind_each_choice(tiny_model, make_requests, family):
    engine = tiny_model(family).engine()
    others = make_requests()
    mixed = [*questions(), *others]
    random.Random(0).shuffle(mixed)
    seen: list[str] = []
    answers = {
        response.id: response
        for response in engine.answer(mixed, on_done=lambda batch: seen.extend(r.id for r in batch))
    }
    assert sorted(seen) == sorted(answers) == sorted(request.id for request in mixed)
    for request in questions():
        answer, values = answers[request.id], expected(engine, request)
        assert answer.logprobs == pytest.approx(values, abs=1e-4)
        assert answer.choice == values.index(max(values))
        assert answer.text == request.choices[answer.choice]
        assert answer.finish == "choice"
        assert set(answer.lengths) == {len(engine.tokenizer(request.continuation).input_ids)}
    alone = {response.id: response for response in engine.answer(others)}
    assert {response.id: response.text for response in alone.values()} == {
        request.id: answers[request.id].text for request in others
    }


def test_the_self_check_asks_them_again_and_notices_a_wrong_answer(tiny_model):
    engine = tiny_model("llama").engine()
    responses = {response.id: response for response in engine.answer(questions())}
    checked = check(engine, questions(), responses)
    assert (checked.n, checked.wrong) == (3, ())
    first = responses["q0"]
    spoiled = {**responses, "q0": replace(first, logprobs=(first.logprobs[0], first.logprobs[1] + 3e-4))}
    assert "differs by 3" in "".join(check(engine, questions(), spoiled).wrong)


def test_lengths_are_those_of_the_longest_context_with_the_continuation(tiny_model):
    engine = tiny_model("llama").engine()
    plain = replace(questions()[0], continuation="")
    lengths = engine.request_encoder.lengths([*questions(), plain])
    longest = [
        max(len(engine.tokenizer(prompt + choice + rest).input_ids) for choice in choices)
        for prompt, choices, rest in SENTENCES
    ]
    assert lengths[:3] == longest
    assert lengths[3] < lengths[0]


def test_a_context_that_is_too_long_is_named(tiny_model):
    engine = tiny_model("llama").engine()
    engine.context = 20
    long = replace(questions()[1], choices=("Ann", "Bea " * 30))
    with pytest.raises(InputError, match="q1, choice 2"):
        engine.answer([long])


def test_answers_wait_for_those_of_the_other_choices():
    question, plain = questions()[2], Request("p", "choose", "?", ("a", "b"))
    contexts = ChoiceContexts([question, plain])
    assert contexts.parts == [*split_by_choice(question), plain]
    parts = [
        Response(part.id, "", "choice", 0, choice=0, logprobs=(value,), lengths=(2,))
        for part, value in zip(split_by_choice(question), (-3.0, -1.0, -2.0), strict=True)
    ]
    other = Response("p", "a", "choice", 0)
    assert contexts.join([parts[2], other]) == [other]
    assert contexts.join([parts[0]]) == []
    assert contexts.join([parts[1]]) == [
        Response("q2", "no", "choice", 0, choice=1, logprobs=(-3.0, -1.0, -2.0), lengths=(2, 2, 2))
    ]
