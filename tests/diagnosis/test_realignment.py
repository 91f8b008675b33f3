"""The rows of the re-alignment probe, and the copy that learns them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tutelage.benchmarks import load as load_benchmark
from tutelage.core.errors import InputError
from tutelage.core.types import Response
from tutelage.diagnosis import realignment
from tutelage.diagnosis.realignment import AlignmentRow, alignment_rows, candidate_rounds
from tutelage.models import load, resolve
from tutelage.protection.prompts import KINDS, bundled_rows
from tutelage.training.events import StepDone

ROWS = [AlignmentRow(f"r{n}", f"What is {n}?", f"It is plan {n}.") for n in range(3)]


def everything_fits(requests):
    return [True] * len(requests)


def answering(**texts: str):
    """A base that answers each prompt with "Yes, <id>.", but for some."""
    asked: list[str] = []

    def ask(requests):
        asked.extend(request.id for request in requests)
        answers = {
            request.id: texts.get(request.id.replace("-", "_"), f" Yes, {request.id}. ")
            for request in requests
        }
        return {
            id_: Response(id_, text, "length" if text == "cut" else "stop", 3)
            for id_, text in answers.items()
        }

    return ask, asked


def test_each_round_has_one_prompt_of_every_kind_in_a_fixed_order():
    rounds = list(candidate_rounds(bundled_rows(), []))
    assert len(rounds) == max(KINDS.values())
    kinds = [request.id.rpartition("-")[0] for request in rounds[0]]
    assert sorted(kinds) == sorted(KINDS)
    assert kinds != list(KINDS)
    assert [request.id for each in rounds for request in each] == [
        request.id for each in candidate_rounds(bundled_rows(), []) for request in each
    ]
    assert sum(map(len, rounds)) == len(bundled_rows())


def test_prompts_that_are_watched_are_passed_over():
    benchmark = load_benchmark("general-probe")
    prompt = bundled_rows()[0]
    item = replace(benchmark.items[0], prompt=prompt.prompt)
    watching = replace(benchmark, items=(item, *benchmark.items[1:]))
    ids = {request.id for each in candidate_rounds(bundled_rows(), [watching]) for request in each}
    assert ids == {row.id for row in bundled_rows()} - {prompt.id}


def test_the_first_ten_fit_answers_of_different_kinds_are_taken():
    rounds = list(candidate_rounds(bundled_rows(), []))
    first, second = rounds[0][0].id, rounds[0][1].id
    ask, asked = answering(
        **{first.replace("-", "_"): "cut", second.replace("-", "_"): "go on go on go on go on go on go on"}
    )
    rows = alignment_rows(iter(rounds), ask, everything_fits)
    assert [row.id for row in rows] == [request.id for request in rounds[0][2:12]]
    assert rows[0].completion == f"Yes, {rows[0].id}."  # without the space around it
    assert len({row.id.rpartition("-")[0] for row in rows}) == 10
    assert len(asked) == len(rounds[0])  # one round was enough


def test_more_rounds_are_asked_where_few_answers_are_fit_and_long_prompts_passed_over():
    rounds = list(candidate_rounds(bundled_rows(), []))
    fitting = {request.id for each in rounds for request in each[:4]}
    ask, asked = answering()
    rows = alignment_rows(iter(rounds), ask, lambda requests: [request.id in fitting for request in requests])
    assert [row.id for row in rows] == [request.id for each in rounds[:3] for request in each[:4]][:10]
    assert len(asked) == 12


def test_a_base_that_answers_nothing_fit_is_refused():
    rounds = list(candidate_rounds(bundled_rows(), []))[:2]
    cut = {request.id.replace("-", "_"): "cut" for each in rounds for request in each}
    with pytest.raises(InputError, match="none of the everyday prompts") as caught:
        alignment_rows(iter(rounds), answering(**cut)[0], everything_fits)
    assert f"{sum(map(len, rounds))} answers" in str(caught.value)


def test_the_copy_learns_the_rows_under_a_fingerprint_of_its_own(tiny_model_folder: Path, tmp_path: Path):
    losses = []

    def listen(event):
        if isinstance(event, StepDone):
            losses.append(event.loss)

    settings = realignment.RealignmentSettings(steps=6, learning_rate=1e-2)
    model = load(resolve(str(tiny_model_folder)))
    before = realignment.weights_fingerprint(model)
    learned = realignment.realign(model, ROWS, tmp_path / "a", on_event=listen, settings=settings)
    assert losses[-1] < 0.7 * losses[0]
    assert len(losses) == 6
    assert learned.fingerprint not in (model.fingerprint, before)
    assert not any(parameter.requires_grad for parameter in learned.model.parameters())
    # The same rows give the same weights; a finished training is not done again.
    again = realignment.realign(
        load(resolve(str(tiny_model_folder))), ROWS, tmp_path / "b", on_event=listen, settings=settings
    )
    assert again.fingerprint == learned.fingerprint
    count = len(losses)
    resumed = realignment.realign(
        load(resolve(str(tiny_model_folder))), ROWS, tmp_path / "b", on_event=listen, settings=settings
    )
    assert resumed.fingerprint == learned.fingerprint
    assert len(losses) == count


def test_an_encoder_decoder_reads_the_prompt_on_its_own_side(tiny_t5_folder: Path):
    model = load(resolve(str(tiny_t5_folder)))
    (row, *_) = realignment.encode(ROWS, model)
    assert row.source is not None
    assert row.n_loss == len(row.ids)
