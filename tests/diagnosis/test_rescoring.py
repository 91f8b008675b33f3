"""Lost items as choices: which rivals they get, and ranks that equal those of log-probabilities computed one by one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tutelage.benchmarks import load as load_benchmark
from tutelage.core.types import Response
from tutelage.diagnosis import rescoring
from tutelage.engine import Engine
from tutelage.models import load, resolve
from tutelage.tokens.encoder import Encoder

SPEC = """\
version: 1
name: words
title: Words
licence: Apache-2.0
language: en
items: items.jsonl
parts:
  colours: {title: Colours, kind: generate, max_new_tokens: 4, extraction: whole}
  answers: {title: Yes or no, kind: generate, max_new_tokens: 4, extraction: first-word}
  same: {title: All the same, kind: generate, max_new_tokens: 4, extraction: whole}
  forms: {title: Forms, kind: generate, max_new_tokens: 4, extraction: whole}
  chosen: {title: A choice, kind: choose, choices: ["yes", "no"]}
"""
COLOURS = ["red", "blue", "green", "black", "white", "grey", "pink", "brown", "gold", "The Red", "Blue."]


@pytest.fixture
def words(tmp_path: Path):
    items = [
        *({"id": f"c{n}", "part": "colours", "input": f"Colour {n}?", "references": [colour, f"{colour}!"]}
          for n, colour in enumerate(COLOURS)),
        *({"id": f"a{n}", "part": "answers", "input": f"Is it {n}?", "references": [["yes", "no"][n % 2]]}
          for n in range(6)),
        *({"id": f"s{n}", "part": "same", "input": f"Is it {n}?", "references": ["yes"]} for n in range(3)),
        {"id": "f0", "part": "forms", "input": "A word in capitals.", "references": ["HELLO"], "pattern": "[A-Z]+"},
        {"id": "f1", "part": "forms", "input": "Another word in capitals.", "references": ["WORLD"]},
        {"id": "f2", "part": "forms", "input": "A number.", "references": ["12"]},
        *({"id": f"x{n}", "part": "chosen", "input": f"Is it {n}?", "answer": "yes"} for n in range(2)),
    ]  # fmt: skip
    (tmp_path / "spec.yaml").write_text(SPEC, "utf-8")
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items), "utf-8")
    return load_benchmark(str(tmp_path / "spec.yaml"), root=tmp_path)


def all_fit(requests):
    return [True] * len(requests)


def choices(benchmark, item_id):
    return rescoring.questions(benchmark, [item_id], all_fit).requests[0].choices


def test_rivals_are_other_right_answers_each_once_and_the_same_every_time(words):
    first = choices(words, "c0")
    assert first[0] == "red"
    assert len(first) == 8
    normal = [choice.lower().removeprefix("the ").strip(".") for choice in first]
    assert len(set(normal)) == 8  # neither "The Red" beside red nor "Blue." beside blue
    assert choices(words, "c0") == first
    assert set(choices(words, "c1")[1:]) != set(first[1:])  # other items, other rivals


def test_parts_with_few_answers_give_fewer_choices(words):
    assert choices(words, "a0") == ("yes", "no")


def test_what_the_benchmark_would_accept_is_no_rival(words):
    assert choices(words, "f0") == ("HELLO", "12")
    assert set(choices(words, "f1")) == {"WORLD", "HELLO", "12"}


def test_what_has_nothing_to_be_compared_with_is_counted(words):
    questions = rescoring.questions(words, ["s0", "x0", "a1"], all_fit)
    assert [request.id for request in questions.requests] == ["a1"]
    assert questions.left_out == 2
    too_long = rescoring.questions(words, ["a1", "c1"], lambda requests: [r.id == "c1" for r in requests])
    assert [request.id for request in too_long.requests] == ["c1"]
    assert too_long.left_out == 1
    assert rescoring.rescored(rescoring.questions(words, [], all_fit), {}, {}) is None


def plain_logprobs(model, prompt: str, answer: str) -> float:
    """The mean log-probability of an answer's tokens behind the rendered prompt, by one forward pass."""
    encoder = Encoder(model.tokenizer, encoder_decoder=False)
    before = encoder.prompt_ids(prompt)
    ids = model.tokenizer(answer, add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        logits = model.model(torch.tensor([[*before, *ids]])).logits[0].log_softmax(-1)
    return sum(float(logits[len(before) - 1 + n, id_]) for n, id_ in enumerate(ids)) / len(ids)


def test_ranks_and_changes_equal_those_of_single_forward_passes(words, tiny_model_folder: Path):
    base, tuned = (load(resolve(str(tiny_model_folder))) for _ in range(2))
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(1)
        for parameter in tuned.model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    lost = [item.id for item in words.items]
    questions = rescoring.questions(words, lost, all_fit)
    assert len(questions.requests) == 20
    responses = [
        {response.id: response for response in
         Engine(m.model, m.tokenizer, encoder_decoder=False, context=m.context).answer(questions.requests)}
        for m in (base, tuned)
    ]  # fmt: skip
    outcome = rescoring.rescored(questions, *responses)
    assert outcome is not None
    singly = [
        {request.id: [plain_logprobs(m, request.prompt, choice) for choice in request.choices]
         for request in questions.requests}
        for m in (base, tuned)
    ]  # fmt: skip
    first = [[id_ for id_, values in side.items() if values[0] > max(values[1:])] for side in singly]
    assert (outcome.base_first, outcome.tuned_first) == tuple(map(len, first))
    assert outcome.kept == tuple(first[1])
    change = sum(singly[1][id_][0] - singly[0][id_][0] for id_ in singly[0]) / len(singly[0])
    assert outcome.change.value == pytest.approx(change, abs=1e-4)
    assert outcome.change.low < outcome.change.value < outcome.change.high
    chance = sum(1 / len(request.choices) for request in questions.requests) / 20
    assert outcome.chance == pytest.approx(chance)


def response(item: str, *logprobs: float, lengths: tuple[int, ...] | None = None) -> Response:
    return Response(
        item, "", "choice", 1, choice=0, logprobs=logprobs, lengths=lengths or (1,) * len(logprobs)
    )


def test_ranks_are_by_token_and_a_tie_is_none():
    assert rescoring.ranks_first(response("a", -4.0, -3.0, lengths=(4, 2)))
    assert not rescoring.ranks_first(response("a", -2.0, -2.0))
    assert not rescoring.ranks_first(response("a", -3.0, -2.0))


@pytest.mark.parametrize(
    ("first", "said"),
    [(6, ": the knowledge is there; they were lost by form, or by chance."), (3, "of these the knowledge is there"), (1, "not clearly more than guessing")],
)  # fmt: skip
def test_the_sentence_says_no_more_than_the_interval(words, first, said):
    questions = rescoring.questions(words, ["c0", "c1", "c2", "c3", "c4", "c5"], all_fit)
    base = {request.id: response(request.id, -1.0, *[-2.0] * 7) for request in questions.requests}
    tuned = {
        request.id: response(request.id, -1.0 if n < first else -3.0, *[-2.0] * 7)
        for n, request in enumerate(questions.requests)
    }
    outcome = rescoring.rescored(questions, base, tuned)
    assert outcome is not None
    assert said in outcome.sentence("words")
    assert f"in {first} (the base in 6, guessing would in about 1)" in outcome.sentence("words")


def test_one_item_alone_has_no_interval():
    assert rescoring.mean_with_interval([0.5]) == rescoring.Interval(0.5, None, None)
    interval = rescoring.mean_with_interval([0.0, 1.0, 2.0])
    assert interval.value == pytest.approx(1.0)
    assert interval.high - 1.0 == pytest.approx(
        4.302652729911275 / 3**0.5
    )  # Student's quantile with 2 degrees
