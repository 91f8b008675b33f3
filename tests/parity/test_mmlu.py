"""MMLU's known ways: prompts byte by byte those of their programs, log-probabilities those of lm-evaluation-harness."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
import yaml
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from tutelage.benchmarks import Limit, load, ways
from tutelage.engine import Engine
from tutelage.models import ModelSource, bundled, resolve
from tutelage.models import load as load_model

MODEL = "smollm2-135m-instruct"
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
        hashes.setdefault(item.part, hashlib.sha256()).update(item.full_prompt.encode() + b"\0")
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
    counts = [
        load(way, data=data, limit=1, parts=["anatomy"]).items[0].exemplar_count for way in ways("mmlu:all")
    ]
    assert counts == [5] * 5
    none = load("mmlu:lm-eval", data=data, limit=1, parts=["anatomy"], shots=0).items[0]
    assert none.full_prompt.startswith(
        "The following are multiple choice questions (with answers) about anatomy.\n\n"
    )
    assert none.full_prompt.count("Answer:") == 1


def test_all_ways_ask_the_same_sample(data: Path) -> None:
    spec = [{item.id for item in load(way, data=data, limit=7).items} for way in ways("mmlu:all")]
    assert len(spec[0]) == 7 * 47
    assert all(own == spec[0] for own in spec)
    assert spec[0] < {item.id for item in load("mmlu", data=data, limit=9).items}


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


# One question of one subject; in the long suite all that was recorded.
SAMPLES = pytest.mark.parametrize("sample", [(1, 1), pytest.param((3, 4), marks=pytest.mark.long)], ids=str)


def in_float64_throughout(model: Any) -> Any:
    """The model with its norms and its rotary angles in float64 too: transformers computes them in fp32 whatever the dtype.

    In fp32 they move log-probabilities by up to 9.3e-6, and on another processor otherwise (2.7e-6 apart were measured).
    """
    for module in model.modules():
        if isinstance(module, LlamaRMSNorm):
            module.forward = partial(_norm, module)
    rotary = model.model.rotary_emb
    assert (rotary.rope_type, rotary.attention_scaling) == ("default", 1.0)
    count = len(rotary.inv_freq)
    frequencies = model.config.rope_parameters["rope_theta"] ** (
        -torch.arange(count, dtype=torch.float64) / count
    )
    torch.testing.assert_close(frequencies.float(), rotary.inv_freq.float())

    def angles(_: torch.Tensor, position_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        both = (position_ids[..., None] * frequencies).repeat(1, 1, 2)
        return both.cos(), both.sin()

    rotary.forward = angles
    return model


def _norm(module: LlamaRMSNorm, x: torch.Tensor) -> torch.Tensor:
    return module.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + module.variance_epsilon)


@pytest.fixture
def resolved(missing: Callable[..., NoReturn]) -> ModelSource:
    if not bundled.is_cached(bundled.find(MODEL)):
        missing(f"{MODEL} in the cache", install=f"`tutelage models fetch {MODEL}`")
    return resolve(MODEL)


Values = dict[str, dict[str, list[list[float]]]]


def scored(
    data: Path, resolved: ModelSource, sample: tuple[int, int], prepare: Callable[[Any], Any]
) -> Values:
    """By way and subject, the summed log-probabilities of the choices of the first questions.

    Args:
        sample: how many subjects, and how many questions of each.
    """
    count, questions = sample
    loaded = load_model(resolved)
    engine = Engine(prepare(loaded.model), loaded.tokenizer, encoder_decoder=False, context=loaded.context)
    values: Values = {}
    for way, recorded in VALUES["float64"].items():
        subjects = list(recorded)[-count:]
        benchmark = load(f"mmlu:{way}", data=data, limit=Limit(questions, first=True), parts=subjects)
        logprobs = {answer.id: list(answer.logprobs) for answer in engine.answer(benchmark.requests())}
        values[way] = {
            subject: [logprobs[f"{subject}/{number}"] for number in range(questions)] for subject in subjects
        }
    return values


def largest_difference(values: Values, recorded: str, way: str) -> float:
    """Between these values and lm-eval's recorded ones; only the questions that both have."""
    return max(
        abs(a - b)
        for subject, rows in values[way].items()
        for row, others in zip(rows, VALUES[recorded][way][subject], strict=False)
        for a, b in zip(row, others, strict=True)
    )


@SAMPLES
def test_log_probabilities_in_float64_are_lm_evals_on_every_processor(
    data: Path, resolved: ModelSource, sample: tuple[int, int]
) -> None:
    values = scored(data, resolved, sample, lambda model: in_float64_throughout(model.to(torch.float64)))
    for way in values:
        assert largest_difference(values, "float64", way) < 1e-7


@SAMPLES
def test_log_probabilities_in_fp32_are_as_near_as_lm_evals_own(
    data: Path, resolved: ModelSource, sample: tuple[int, int]
) -> None:
    """Rounding in fp32 depends on the processor, so values recorded on one say little about another.

    What holds on all: fp32 values lie around those of float64. lm-eval's own, recorded on two processors, lie up to
    3.1e-5 (letters, one token) and 2.9e-4 (whole answers) away; a third processor gets twice that.
    """
    values = scored(data, resolved, sample, lambda model: model)
    for way in values:
        bound = 2 * max(
            largest_difference(VALUES[recorded], "float64", way) for recorded in ("fp32-first", "fp32-avx2")
        )
        assert bound < 6e-4
        assert largest_difference(values, "float64", way) < bound
