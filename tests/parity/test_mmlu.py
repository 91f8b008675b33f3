"""MMLU's known ways: prompts byte by byte those of their programs, log-probabilities those of lm-evaluation-harness."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
import torch
import yaml

from tutelage.benchmarks import Limit, load, ways

HERE = Path(__file__).parent
PROMPTS = yaml.safe_load((HERE / "mmlu_prompts.yaml").read_text("utf-8"))
VALUES = yaml.safe_load((HERE / "mmlu_lm_eval.yaml").read_text("utf-8"))


@pytest.fixture(scope="module")
def data() -> Path:
    found = Path(os.environ.get("TUTELAGE_DATA", ""))
    if not os.environ.get("TUTELAGE_DATA") or not (found / "mmlu").is_dir():
        pytest.skip("TUTELAGE_DATA names no folder with mmlu")
    return found


@pytest.mark.parametrize("way", sorted(PROMPTS))
def test_every_prompt_is_byte_by_byte_that_of_the_program(data: Path, way: str) -> None:
    found = load(f"mmlu:{way}", data=data)
    hashes: dict[str, hashlib._Hash] = {}
    for item in found.items:
        hashes.setdefault(item.part, hashlib.sha256()).update(item.asked.encode() + b"\0")
    assert {part: own.hexdigest() for part, own in hashes.items()} == {
        part: PROMPTS[way][part] for part in hashes
    }
    assert len(found.items) == 12418
    assert len(hashes) == 47


def test_what_is_here_and_what_is_not(data: Path) -> None:
    found = load("mmlu", data=data)
    assert found.name == "mmlu:hendrycks"
    assert len(found.missing) == 10
    assert "econometrics" in found.missing
    assert {part.group for part in found.spec.parts.values()} == {
        "STEM",
        "humanities",
        "social-sciences",
        "other",
    }
    assert ways("mmlu:all") == [f"mmlu:{way}" for way in ("hendrycks", "lm-eval", "helm", "cloze", "chat")]
    exemplars = [
        load(way, data=data, limit=1, parts=["anatomy"]).items[0].exemplars for way in ways("mmlu:all")
    ]
    assert exemplars == [5] * 5
    none = load("mmlu:lm-eval", data=data, limit=1, parts=["anatomy"], shots=0).items[0]
    assert none.asked.startswith(
        "The following are multiple choice questions (with answers) about anatomy.\n\n"
    )
    assert none.asked.count("Answer:") == 1


def test_all_ways_ask_the_same_sample(data: Path) -> None:
    asked = [{item.id for item in load(way, data=data, limit=7).items} for way in ways("mmlu:all")]
    assert len(asked[0]) == 7 * 47
    assert all(own == asked[0] for own in asked)
    assert asked[0] < {item.id for item in load("mmlu", data=data, limit=9).items}


def test_redux_keeps_what_people_found_right(data: Path) -> None:
    everything = {item.id: item for item in load("mmlu:hendrycks", data=data).items}
    kept = load("mmlu:hendrycks:redux", data=data)
    assert kept.name == "mmlu:hendrycks:redux"
    # 4,384 annotations say ok; one of them is of a question that stands twice.
    assert len(kept.items) == 4385
    assert all(everything[item.id] == item for item in kept.items)
    assert "global_facts: 4 of 100 annotations belong to no row" in kept.notes
    # Read by hand in the annotations: of the first questions of abstract_algebra the first says "Bad Question Clarity".
    ids = {item.id for item in kept.items if item.part == "anatomy"}  # a file with semicolons
    assert len(ids) == 99
    assert sum(item.part == "moral_scenarios" for item in kept.items) > 50  # a file that is not UTF-8


def scored(data: Path, dtype: torch.dtype) -> dict[tuple[str, str], tuple[float, ...]]:
    """By way and item, the summed log-probabilities of the choices."""
    from tutelage.core.errors import TutelageError
    from tutelage.engine import Engine
    from tutelage.models import load as load_model
    from tutelage.models import resolve

    try:
        loaded = load_model(resolve("smollm2-135m-instruct"))
    except TutelageError as error:  # pragma: no cover - `make test` fetches it
        pytest.skip(f"the bundled model is not here: {error.problem}")
    engine = Engine(loaded.model.to(dtype), loaded.tokenizer, encoder_decoder=False, context=loaded.context)
    found = {}
    for way, subjects in VALUES["float64"].items():
        benchmark = load(f"mmlu:{way}", data=data, limit=Limit(4, first=True), parts=list(subjects))
        found.update({(way, one.id): one.logprobs for one in engine.answer(benchmark.requests())})
    return found


def apart(given: dict[tuple[str, str], tuple[float, ...]], recorded: str) -> float:
    """The largest difference from lm-eval's values."""
    return max(
        abs(a - b)
        for way, subjects in VALUES[recorded].items()
        for subject, rows in subjects.items()
        for number, row in enumerate(rows)
        for a, b in zip(given[way, f"{subject}/{number}"], row, strict=True)
    )


def test_log_probabilities_are_those_of_lm_eval(data: Path) -> None:
    """lm-eval's own values in fp32 are 1.8e-4 apart on two processors: one of them has to be met."""
    given = scored(data, torch.float32)
    assert min(apart(given, recorded) for recorded in ("fp32-first", "fp32-avx2")) < 1e-4


def test_log_probabilities_in_float64_are_lm_evals_on_every_processor(data: Path) -> None:
    assert apart(scored(data, torch.float64), "float64") < 1e-7
