"""BIG-bench's prompts, exemplars, ranges and metrics beside those of its program, PyPI's bigbench 1.0.0.

The values were recorded by `record_bigbench.py` over the tasks and answers of `bigbench_tasks.yaml`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import yaml

from tutelage.benchmarks import load
from tutelage.benchmarks.output_cut import OutputCut
from tutelage.core.errors import InputError, InputErrors
from tutelage.core.types import Response
from tutelage.metrics import Row, score_rows
from tutelage.metrics.bigbench import numeric_match
from tutelage.metrics.catalogue import parse
from tutelage.metrics.implementation import ScoringBatch

HERE = Path(__file__).parent
CASES = yaml.safe_load((HERE / "bigbench_tasks.yaml").read_text("utf-8"))
RECORDED = json.loads((HERE / "bigbench_values.json").read_text("utf-8"))
LITE_LOW = {  # run with the program over its own files: low scores of BIG-bench Lite's tasks, to four digits
    "bbq_lite_json": 0.3333,
    "code_line_description": 0.2483,
    "conceptual_combinations": 0.25,
    "emoji_movie": 0.2,
    "formal_fallacies_syllogisms_negation": 0.5,
    "hindu_knowledge": 0.2495,
    "known_unknowns": 0.5,
    "language_identification": 0.0909,
    "logic_grid_puzzle": 0.3109,
    "logical_deduction": 0.2254,
    "misconceptions_russian": 0.5,
    "novel_concepts": 0.2,
    "play_dialog_same_or_different": 0.5,
    "strange_stories": 0.3915,
    "strategyqa": 0.5,
    "symbol_interpretation": 0.2,
    "vitaminc_fact_verification": 0.3333,
    "winowhy": 0.5,
}


@pytest.fixture
def data() -> Path:
    path = Path(os.environ.get("TUTELAGE_DATA", ""))
    if not os.environ.get("TUTELAGE_DATA") or not (path / "bigbench_lite").is_dir():
        pytest.skip("TUTELAGE_DATA names no folder with bigbench_lite")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, task in CASES["tasks"].items():
        (tmp_path / "bigbench" / name).mkdir(parents=True)
        (tmp_path / "bigbench" / name / "task.json").write_text(json.dumps({"canary": "", **task}), "utf-8")
    return tmp_path


@pytest.mark.parametrize("shots", range(4))
def test_every_prompt_is_byte_by_byte_that_of_the_program(folder: Path, shots: int) -> None:
    benchmark = load("bigbench", data=folder, shots=shots)
    for name, prompts in RECORDED["prompts"].items():
        assert [item.full_prompt for item in benchmark.items if item.part == name] == prompts[shots]


def test_the_value_of_chance_is_the_programs(folder: Path) -> None:
    parts = load("bigbench", data=folder).spec.parts
    assert {name: part.low for name, part in parts.items()} == pytest.approx(RECORDED["low"])


def _chosen(folder: Path) -> list[Row]:
    items = [item for item in load("bigbench", data=folder).items if item.part == "colours"]
    return [
        Row("", item.references, {**item.fields, "choices": list(item.choices), "logprobs": logprobs})
        for item, logprobs in zip(items, CASES["logprobs"], strict=True)
    ]


@pytest.mark.parametrize("metric", RECORDED["choices"])
def test_metrics_of_choices_equal_the_programs(folder: Path, metric: str) -> None:
    score = score_rows([metric], _chosen(folder))[metric].score
    assert score.value == pytest.approx(RECORDED["choices"][metric], abs=1e-12)


def test_ties_are_broken_as_in_the_program(folder: Path) -> None:
    rows = _chosen(folder)
    for row, choice in zip(rows, RECORDED["picked"], strict=True):
        one_hot = [float(text == choice) for text in row.fields["choices"]]  # type: ignore[union-attr]
        picked = Row("", row.references, {**row.fields, "target_scores": one_hot})
        assert score_rows(["multiple_choice_grade"], [picked])["multiple_choice_grade"].score.value == 1.0


@pytest.mark.parametrize("metric", [*RECORDED["choices"], "target_nats"])
@pytest.mark.parametrize("logprobs", [[-1.0, float("nan")], [float("-inf")] * 2, []])
def test_log_probabilities_without_a_value_are_refused(metric: str, logprobs: list[float]) -> None:
    row = Row("", ("a",), {"choices": ["a", "b"], "logprobs": logprobs, "target_scores": [1.0, 0.0]})  # type: ignore[dict-item]
    with pytest.raises(InputError, match="row 1, field logprobs"):
        score_rows([metric], [row])


@pytest.mark.parametrize("metric", RECORDED["texts"])
def test_metrics_of_texts_equal_the_programs(metric: str) -> None:
    rows = [Row(case["text"], tuple(case["targets"])) for case in CASES["texts"]]
    assert score_rows([metric], rows)[metric].score.value == pytest.approx(
        RECORDED["texts"][metric], abs=1e-12
    )


def test_numbers_near_the_right_one_are_those_of_the_program() -> None:
    rows = [Row(case["text"], tuple(case["targets"])) for case in CASES["texts"] if len(case["targets"]) == 1]
    spec = parse("numeric_match")
    counted = numeric_match.count(ScoringBatch(rows, [spec]), spec)
    assert counted.items.astype(bool).tolist() == RECORDED["numeric"]


def test_the_log_likelihood_of_right_answers_is_the_programs() -> None:
    rows = [Row("", ("a",), {"choices": ["a"], "logprobs": nats}) for nats in CASES["nats"]]
    value = score_rows(["target_nats"], rows)["target_nats"].score.value
    assert -value == pytest.approx(RECORDED["log_likelihood"], abs=1e-12)


def test_texts_are_cut_as_by_the_program() -> None:
    cuts = [OutputCut(case["stop"], case["pattern"]).answer(case["text"]) for case in CASES["outputs"]]
    assert cuts == RECORDED["outputs"]


def test_lites_tasks_have_the_programs_low_scores(data: Path) -> None:
    benchmark = load("bigbench-lite", data=data, limit=1)
    lows = {part.fold: part.low for part in benchmark.spec.parts.values() if part.averaged}
    assert {name: round(low, 4) for name, low in lows.items() if low} == LITE_LOW
    assert len(lows) == 24
    assert benchmark.substitutes == ("vitaminc_fact_verification",)
    assert {part.high for part in benchmark.spec.parts.values() if part.averaged} == {1.0}


def _write(folder: Path, name: str, **changes: object) -> None:
    path = folder / "bigbench" / name / "task.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    task = {"canary": "", **CASES["tasks"]["colours"], **changes}
    path.write_text(json.dumps({key: value for key, value in task.items() if value is not None}), "utf-8")


def test_subtasks_are_averaged_as_by_the_program(folder: Path) -> None:
    """All are multiple choice: their raw scores and chances are averaged before the one is set against the other."""
    examples = CASES["tasks"]["colours"]["examples"]
    _write(folder, "both", examples=None, keywords=["physics"])
    _write(folder, "both/first", examples=examples[1:3])
    _write(folder, "both/second", examples=examples[5:])
    benchmark = load("bigbench", data=folder, parts=["both"])
    responses = {
        item.id: Response(
            item.id, "", "choice", 0, logprobs=tuple(-float(n) for n in range(len(item.choices)))
        )
        for item in benchmark.items
    }
    result = benchmark.score(responses)
    raw = [result.parts[f"both.{name}"]["multiple_choice_grade"].score.value for name in ("first", "second")]
    chance = [np.mean([1 / 3, 1 / 2]), np.mean([1 / 3, 1 / 2])]
    normalised = (np.mean(raw) - np.mean(chance)) / (1 - np.mean(chance))
    for scores in (result.scores, result.groups["both"], result.groups["physics"]):
        assert scores["task_score"].score.value == pytest.approx(normalised)


def test_a_task_asked_in_two_ways_has_two_parts_and_one_counts(folder: Path) -> None:
    examples = [{**example, "target": ["x"]} for example in CASES["tasks"]["colours"]["examples"]]
    _write(folder, "two", metrics=["multiple_choice_grade", "bleu", "bleurt"], examples=examples)
    benchmark = load("bigbench", data=folder, parts=["two"])
    assert {name: part.averaged for name, part in benchmark.spec.parts.items()} == {
        "two": True,
        "two.text": False,
    }
    assert benchmark.spec.parts["two.text"].metrics == ("bleu:tokenize=intl",)
    assert benchmark.notes == ("two: bleurt is left out, because it needs a model of its own",)


def test_a_task_whose_preferred_metric_is_left_out_counts_in_no_average(folder: Path) -> None:
    examples = [{"input": "a?", "target_scores": {"b": 1.0, "c": 0.0}}]
    metrics = ["multiple_choice_grade", "weighted_probabilities"]
    _write(folder, "two", metrics=metrics, preferred_score="weighted_probabilities", examples=examples)
    benchmark = load("bigbench", data=folder, parts=["two"])
    assert {name: part.averaged for name, part in benchmark.spec.parts.items()} == {"two.choices": False}
    assert benchmark.notes == (
        "two: weighted_probabilities is left out: no such metric is in the catalogue, and the task counts in no average",
    )


def test_parts_that_do_not_exist_are_named(folder: Path) -> None:
    with pytest.raises(InputErrors) as error:
        load("bigbench", data=folder, parts=["colours", "colourz", "both.texts"])
    assert [(mistake.problem, mistake.found) for mistake in error.value.errors] == [
        ("bigbench has no such part", "colourz"),
        ("bigbench has no such part", "both.texts"),
    ]


def test_mistakes_of_tasks_are_named_all_at_once(folder: Path) -> None:
    _write(
        folder,
        "colours",
        preferred_score="grade",
        examples=[{"input": 7}, {"input": "x", "target_scores": {"a": 1, "b": 1}}],
    )
    _write(folder, "sums", metrics=["guesses"])
    with pytest.raises(InputErrors) as error:
        load("bigbench", data=folder)
    places = [str(mistake.where).rpartition("bigbench/")[2] for mistake in error.value.errors]
    assert places == [
        "colours/task.json: preferred_score",
        "colours/task.json: examples.0.input",
        "colours/task.json: examples.1.target_scores",
        "sums/task.json: metrics",
        "sums/task.json: preferred_score",
    ]


def test_too_many_exemplars_and_no_data_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="few exemplars"):
        load("bigbench", data=folder, shots=4)
    with pytest.raises(InputError, match="the data of bigbench-lite is not here"):
        load("bigbench-lite", data=tmp_path / "nowhere")
