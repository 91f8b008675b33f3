"""TruthfulQA, HellaSwag, ARC, PIQA and WinoGrande against lm-evaluation-harness, recorded by record_choices.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from transformers import AutoModelForCausalLM, AutoTokenizer

from byte_model import CONTEXT, write_byte_model
from choice_data import TASKS, write_rows
from tutelage.benchmarks import Benchmark, load
from tutelage.core.types import Response
from tutelage.engine import Engine

HERE = Path(__file__).parent
ROWS: dict[str, Any] = yaml.safe_load((HERE / "choice_rows.yaml").read_text("utf-8"))
RECORDED: dict[str, Any] = json.loads((HERE / "choice_lm_eval.json").read_text("utf-8"))
METRICS = {"acc": "choice_accuracy", "acc_norm": "choice_accuracy:by=characters"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hub")
    write_rows(folder, ROWS)
    return folder


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = write_byte_model(tmp_path_factory.mktemp("model"))
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return Engine(model, tokenizer, encoder_decoder=False, context=CONTEXT)


@pytest.fixture(params=sorted(RECORDED))
def asked(request: pytest.FixtureRequest, data: Path) -> tuple[Benchmark, dict[str, Any], str]:
    """Our items, what the harness recorded for them, and its task's name."""
    task, _, shots = request.param.removesuffix(" shots").partition(", ")
    name, part = TASKS[task]
    return load(name, data=data, parts=[part], shots=int(shots) or None), RECORDED[request.param], task


def test_requests_are_byte_by_byte_those_of_the_harness(asked: tuple[Benchmark, dict[str, Any], str]) -> None:
    benchmark, recorded, _ = asked
    pairs = []
    for request in benchmark.requests():
        contexts = [
            request.prompt + choice if request.continuation else request.prompt for choice in request.choices
        ]
        answers = [request.continuation or choice for choice in request.choices]
        pairs.append([list(pair) for pair in zip(contexts, answers, strict=True)])
    assert pairs == recorded["requests"]


def test_answers_and_metrics_in_float64_are_those_of_the_harness(
    asked: tuple[Benchmark, dict[str, Any], str], engine: Engine
) -> None:
    benchmark, recorded, task = asked
    answers = engine.answer(benchmark.requests())
    for answer, logprobs in zip(answers, recorded["logprobs"], strict=True):
        assert answer.logprobs == pytest.approx(logprobs, abs=1e-7)
    assert_metrics_are_recorded(benchmark, answers, recorded["metrics"], task)


def assert_metrics_are_recorded(
    benchmark: Benchmark, answers: list[Response], recorded: list[dict[str, float]], task: str
) -> None:
    scores = benchmark.score({answer.id: answer for answer in answers}).scores
    for name in recorded[0]:
        metric = "reference_probability" if task == "truthfulqa_mc2" else METRICS[name]
        assert scores[metric].items == pytest.approx([metrics[name] for metrics in recorded], abs=1e-9)


def test_the_recorded_answers_are_neither_all_right_nor_all_wrong() -> None:
    values = [metrics["acc"] for recorded in RECORDED.values() for metrics in recorded["metrics"]]
    assert 0.2 < sum(values) / len(values) < 0.8
