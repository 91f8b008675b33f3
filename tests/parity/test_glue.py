"""GLUE and SuperGLUE against lm-evaluation-harness: prompts byte by byte, log-probabilities in float64.

What the harness asks and answers was recorded by record_glue.py, on rows of our own and, by hash, on the published ones.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from byte_model import write_byte_model
from glue_layouts import write_glue, write_superglue
from tutelage.benchmarks import Benchmark, Limit, load
from tutelage.engine import Engine
from tutelage.models import load as load_model
from tutelage.models import resolve

RECORDED: dict[str, Any] = json.loads((Path(__file__).parent / "glue_lm_eval.json").read_text("utf-8"))
NAMES = ["glue", "superglue"]
FEW = 2
"""How many of the recorded items of a task the quick suite asks the model; the long one asks all of them."""
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our rows in the official layouts."""
    folder = tmp_path_factory.mktemp("rows")
    write_glue(folder / "glue")
    write_superglue(folder / "superglue")
    return folder


@pytest.fixture(scope="module")
def data() -> Path:
    folder = Path(os.environ.get("TUTELAGE_DATA", ""))
    if not os.environ.get("TUTELAGE_DATA") or not (folder / "superglue").is_dir():
        pytest.skip("TUTELAGE_DATA names no folder with glue and superglue")
    return folder


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    loaded = load_model(resolve(str(write_byte_model(tmp_path_factory.mktemp("model") / "bytes"))))
    model = loaded.model.to(torch.float64)
    return Engine(model, loaded.tokenizer, encoder_decoder=False, context=loaded.context)


def requests(benchmark: Benchmark, part: str) -> list[list[str]]:
    """Prompt and choice of each request of a part, as one text."""
    items = [item for item in benchmark.items if item.part == part]
    return [[item.full_prompt + item.join + choice for choice in item.choices] for item in items]


def differences(engine: Engine, benchmark: Benchmark, recorded: dict[str, Any]) -> dict[str, list[float]]:
    """By part, how far the log-probabilities of the first items are from the harness's."""
    answers = {answer.id: answer.logprobs for answer in engine.answer(benchmark.requests())}
    by_part = {}
    for part, values in recorded.items():
        ours = [answers[item.id] for item in benchmark.items if item.part == part]
        by_part[part] = [
            max(abs(a - b) for a, b in zip(logprobs, theirs, strict=True))
            for logprobs, theirs in zip(ours, values["logprobs"], strict=False)
        ]
    return by_part


@pytest.mark.parametrize("name", NAMES)
def test_requests_over_our_rows_are_the_harnesses(written: Path, name: str) -> None:
    benchmark = load(name, data=written)
    recorded = RECORDED["rows"][name]
    assert {part: requests(benchmark, part) for part in recorded} == {
        part: values["requests"] for part, values in recorded.items()
    }


@pytest.mark.parametrize("name", NAMES)
def test_log_probabilities_of_our_rows_are_the_harnesses(written: Path, engine: Engine, name: str) -> None:
    benchmark = load(name, data=written)
    by_part = differences(engine, benchmark, RECORDED["rows"][name])
    assert {part: len(of_part) for part, of_part in by_part.items()} == {
        part: benchmark.sizes[part] for part in by_part
    }
    assert max(max(of_part) for of_part in by_part.values()) < TOLERANCE


def test_t5_prompts_over_our_rows_are_the_harnesses(written: Path) -> None:
    benchmark = load("superglue:t5", data=written)
    for part, prompts in RECORDED["rows"]["superglue-t5"].items():
        ours = [item.full_prompt for item in benchmark.items if item.part == part]
        if part == "multirc":  # T5 took the markup of passages out, the harness leaves it in
            assert ours[-1].endswith("paragraph: Sent 1: The kiln was cold. Sent 2: Tom lit it. ")
            assert ours[:-1] == prompts[:-1]
        else:
            assert ours == prompts, part


@pytest.mark.parametrize("name", NAMES)
def test_requests_over_the_published_rows_are_the_harnesses(data: Path, name: str) -> None:
    benchmark = load(name, data=data)
    for part, values in RECORDED["data"][name].items():
        of_part = requests(benchmark, part)
        text = "\0".join(text for of_item in of_part for text in of_item)
        assert (len(of_part), hashlib.sha256(text.encode()).hexdigest()) == (
            values["items"],
            values["sha256"],
        ), part


def test_t5_prompts_over_the_published_rows_are_the_harnesses(data: Path) -> None:
    benchmark = load("superglue:t5", data=data)
    prompts = {
        part: [item.full_prompt for item in benchmark.items if item.part == part] for part in benchmark.parts
    }
    assert {
        part: hashlib.sha256("\0".join(of_part).encode()).hexdigest() for part, of_part in prompts.items()
    } == RECORDED["data"]["superglue-t5"]


@pytest.mark.parametrize("count", [FEW, pytest.param(20, marks=pytest.mark.long)])
@pytest.mark.parametrize("name", NAMES)
def test_log_probabilities_of_the_published_rows_are_the_harnesses(
    data: Path, engine: Engine, name: str, count: int
) -> None:
    # A sample takes whole questions of MultiRC, so that it may hold fewer options than the limit.
    benchmark = load(name, data=data, limit=Limit(count + 5, first=True))
    by_part = differences(engine, benchmark, RECORDED["data"][name])
    assert min(len(of_part) for of_part in by_part.values()) >= count
    assert max(max(of_part) for of_part in by_part.values()) < TOLERANCE
