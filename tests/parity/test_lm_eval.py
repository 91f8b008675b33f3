"""lm-evaluation-harness 0.4.13, as record_lm_eval.py and record_harness_tasks.py recorded it: the same answers, requests and metrics."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tutelage.benchmarks import load
from tutelage.core.types import Response
from tutelage.harness.answers import HarnessAnswers
from tutelage.harness.generation import GenerationSettings, read_settings
from tutelage.models import bundled, resolve
from tutelage.models import load as load_model

from .tiny_t5 import write_tiny_t5

HERE = Path(__file__).parent
ANSWERS = json.loads((HERE / "lm_eval_answers.json").read_text("utf-8"))
SPECS = json.loads((HERE / "lm_eval_specs.json").read_text("utf-8"))
TASKS = json.loads((HERE / "harness_tasks.json").read_text("utf-8"))
TEXTS = {
    "sums": [
        " The answer is 9.\nThe answer is 10.",
        " It costs $1300. The answer is 1,300",
        " four apples",
        "12 and $-0 ",
    ],
    "opposites": ["cold", " down", "d4ark!"],
}
METRICS = {
    "acc": "accuracy",
    "acc_norm": "choice_accuracy:by=characters",
    "acc_bytes": "choice_accuracy:by=bytes",
    "mcc": "mcc",
    "exact_match": "exact_match",
}
SAME = 1e-3
"""Nats between two processors in fp32, summed over up to 40 tokens."""


@pytest.fixture(scope="module")
def smollm(missing):
    if not bundled.is_cached(bundled.find("smollm2-135m-instruct")):
        missing("smollm2-135m-instruct in the cache", install="`tutelage models fetch smollm2-135m-instruct`")
    return load_model(resolve("smollm2-135m-instruct"))


def test_log_likelihoods_are_those_of_its_hf_backend(smollm):
    recorded = ANSWERS["loglikelihood"]
    found = HarnessAnswers(smollm).log_likelihoods([(context, text) for context, text, _, _ in recorded])
    assert [score.log_probability for score in found] == pytest.approx([row[2] for row in recorded], abs=SAME)
    assert [score.greedy for score in found] == [row[3] for row in recorded]
    assert any(row[3] for row in recorded)


def test_whole_texts_are_scored_as_by_its_hf_backend(smollm):
    recorded = ANSWERS["loglikelihood_rolling"]
    answers = HarnessAnswers(smollm, max_length=ANSWERS["rolling_window"])
    found = answers.rolling_log_likelihoods([text for text, _ in recorded])
    assert found == pytest.approx([total for _, total in recorded], abs=SAME)


def test_texts_are_those_of_its_hf_backend(smollm):
    recorded = ANSWERS["generate_until"]
    found = HarnessAnswers(smollm).generate(
        [(context, read_settings(settings, where="recorded")) for context, settings, _ in recorded]
    )
    assert found == [text for _, _, text in recorded]


def test_an_encoder_decoder_model_answers_as_in_its_hf_backend(tmp_path):
    recorded = ANSWERS["encoder_decoder"]
    loaded = load_model(resolve(str(write_tiny_t5(tmp_path))))
    loaded.model.double()
    answers = HarnessAnswers(loaded)
    found = answers.log_likelihoods([(context, text) for context, text, _, _ in recorded["loglikelihood"]])
    values = [row[2] for row in recorded["loglikelihood"]]
    assert [score.log_probability for score in found] == pytest.approx(values, abs=1e-5)
    assert [score.greedy for score in found] == [row[3] for row in recorded["loglikelihood"]]
    totals = [total for _, total in recorded["loglikelihood_rolling"]]
    texts = [text for text, _ in recorded["loglikelihood_rolling"]]
    assert answers.rolling_log_likelihoods(texts) == pytest.approx(totals, abs=1e-4)
    for context, length, text in recorded["generate_until"]:
        assert answers.generate([(context, GenerationSettings(length, ()))]) == [text]


def scripted_scores(doc, choice):
    return -1.0 - ((7 * doc + 5 * choice + doc * choice) % 11) / 3


@pytest.mark.parametrize("name", sorted(SPECS))
def test_a_task_file_asks_the_same_requests_and_scores_the_same(name):
    recorded = SPECS[name]
    for key, value in recorded["scores"].items():
        metric, filter_name = key.split(",")
        way = "" if filter_name == "none" else f":{filter_name}"
        benchmark = load(f"{HERE / 'lm_eval_tasks' / name}.yaml{way}")
        requests = benchmark.requests()
        assert len(requests) == len(recorded["requests"])
        responses = {}
        for doc, (request, instances) in enumerate(zip(requests, recorded["requests"], strict=True)):
            assert request.form == "text"
            assert {request.prompt} == {context for context, _ in instances}
            if request.kind == "choose":
                assert list(request.choices) == [text for _, text in instances]
                scores = tuple(scripted_scores(doc, choice) for choice in range(len(instances)))
                best = scores.index(max(scores))
                response = Response(
                    request.id, request.choices[best], "choice", 0, best, scores, (1,) * len(scores)
                )
            else:
                settings = read_settings(instances[0][1], where=name)
                assert (request.max_new_tokens, request.stop) == (settings.max_new_tokens, settings.stop)
                response = Response(request.id, TEXTS[name][doc], "stop", 1)
            responses[request.id] = response
        scored = benchmark.score(responses)
        assert scored.scores[METRICS[metric]].score.value == pytest.approx(value)


def test_the_scripted_answers_are_neither_all_right_nor_all_wrong():
    values = [value for recorded in SPECS.values() for value in recorded["scores"].values()]
    assert len({round(value, 3) for value in values}) > 4


def test_its_own_tasks_give_the_same_metrics_with_either_engine():
    """What record_harness_tasks.py found: ten of its tasks and more, by its HF backend and by Tutelage's engine."""
    assert len(TASKS) >= 12
    for name, found in TASKS.items():
        assert found["tutelage"].keys() == found["hf"].keys(), name
        for metric, value in found["hf"].items():
            tolerance = 1e-3 if "perplexity" in name else 1e-9
            assert found["tutelage"][metric] == pytest.approx(value, rel=tolerance, abs=1e-9), (name, metric)
        assert found["largest_difference"] < SAME
        assert found["other_greedy"] == found["other_texts"] == 0


def test_the_table_of_the_documents_is_what_was_recorded():
    lines = [
        "| task | documents | metric | lm-eval's HF backend | Tutelage | difference |",
        "|---|---:|---|---:|---:|---:|",
    ]
    for name, found in TASKS.items():
        generated = any(metric.startswith("exact_match") for metric in found["hf"])
        difference = "texts are equal" if generated else f"{found['largest_difference']:.0e}"
        for metric, value in found["hf"].items():
            shown = metric.removesuffix(",none")  # the filter of a task that has no filters
            cells = [
                f"`{name}`",
                str(found["documents"]),
                shown,
                f"{value:.4f}",
                f"{found['tutelage'][metric]:.4f}",
            ]
            lines.append("| " + " | ".join([*cells, difference]) + " |")
    assert "\n".join(lines) in (HERE.parents[1] / "docs" / "lm-eval.md").read_text("utf-8")
