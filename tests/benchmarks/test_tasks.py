"""Benchmarks whose tasks have metrics of their own: sources, ways by part, task scores and their mean."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest
import yaml

from tutelage.benchmarks import load
from tutelage.core.errors import InputError, InputErrors
from tutelage.core.types import Response
from tutelage.metrics import Row, score_rows
from tutelage.metrics.scoring import contributions

LABELS = [("good", "a"), ("bad", "b"), ("fine", "a"), ("poor", "b"), ("nice", "a")]
SPEC = {
    "version": 1,
    "name": "three-tasks",
    "title": "Labels, pairs and a scale",
    "aggregate": "tasks",
    "form": "text",
    "join": " ",
    "default": "short",
    "ways": {
        "short": {
            "title": "short prompts",
            "parts": {"labels": {"prompt": "{{ text }}:"}},
            "otherwise": "long",
        },
        "long": {"title": "long prompts", "prompt": "The text is {{ text }}. It is"},
    },
    "parts": {
        "labels": {
            "sources": [
                {"path": ["first.tsv", "second.tsv"], "columns": ["label", "text"]},
                {
                    "path": "all.jsonl",
                    "rename": {"sentence": "text", "gold": "label"},
                    "values": {"label": {"1": "a", "0": "b"}},
                    "first": 2,
                    "last": 6,
                    "substitute": "another file of the same task",
                },
            ],
            "choices": ["a", "b"],
            "answer": "{{ label }}",
            "metrics": ["mcc", "accuracy"],
            "group": ["words", "all"],
        },
        "pairs": {
            "sources": [{"path": "pairs.jsonl"}],
            "choices": ["yes", "no"],
            "answer": "{{ label }}",
            "fields": ["question"],
            "cluster": "passage",
            "metrics": ["accuracy", "f1:average=binary:positive=yes"],
            "scored": 2,
            "low": 0.5,
            "group": "all",
        },
        "scale": {
            "sources": [{"path": "scale.jsonl"}],
            "choices": ["0.0", "1.0", "2.0"],
            "answer": "{{ label }}",
            "predict": "expected",
            "metrics": ["pearson:invalid=-1"],
        },
    },
}
PAIRS = [
    {"text": f"pair {n}", "label": "yes" if n % 2 else "no", "question": f"q{n // 2}", "passage": n // 3}
    for n in range(9)
]
SCALE = [{"text": f"text {n}", "label": str(label)} for n, label in enumerate([0.2, 1.25, 0.9, 1.8])]


@pytest.fixture
def bench(tmp_path):
    def make(files, **changes):
        (tmp_path / "spec.yaml").write_text(yaml.safe_dump({**SPEC, **changes}, sort_keys=False), "utf-8")
        for name, rows in files.items():
            text = rows if isinstance(rows, str) else "".join(json.dumps(row) + "\n" for row in rows)
            data = text.encode()
            (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return str(tmp_path)

    return make


def tsv(rows):
    return "".join(f"{label}\t{text}\n" for text, label in rows)


@pytest.fixture
def files():
    return {
        "first.tsv": tsv(LABELS[:2]),
        "second.tsv": tsv(LABELS[2:]),
        "pairs.jsonl.gz": PAIRS,
        "scale.jsonl": SCALE,
    }


def answers(benchmark):
    """Answers of a model that prefers the first choice on every second item, and the last on the others."""
    responses = {}
    for number, item in enumerate(benchmark.items):
        logprobs = tuple(
            -1.0 - (abs(number % 2 - place) + 0.1 * number) for place in range(len(item.choices))
        )
        responses[item.id] = Response(item.id, "", "choice", 0, logprobs=logprobs)
    return responses


def test_parts_come_from_the_first_source_whose_files_are_all_there(bench, files):
    benchmark = load(bench(files))
    assert [(item.id, item.full_prompt) for item in benchmark.items][:3] == [
        ("labels/0", "good:"),
        ("labels/1", "bad:"),
        ("labels/2", "fine:"),
    ]
    assert benchmark.sizes == {"labels": 5, "pairs": 9, "scale": 4}
    assert benchmark.incomplete == ()
    assert benchmark.notes == ("asked in the way long, because short does not have them: pairs, scale",)
    assert benchmark.items[5].full_prompt == "The text is pair 0. It is"


def test_a_substitute_is_named_and_makes_the_average_incomplete(bench, files):
    del files["second.tsv"]
    rows = [{"sentence": text, "gold": 1 if label == "a" else 0} for text, label in [("head", "a"), *LABELS]]
    benchmark = load(bench({**files, "all.jsonl": rows}))
    assert [item.full_prompt for item in benchmark.items[:5]] == [f"{text}:" for text, _ in LABELS]
    assert [item.id for item in benchmark.items[:2]] == ["labels/1", "labels/2"]
    assert benchmark.substitutes == ("labels",)
    assert benchmark.incomplete == ("substituted: labels",)
    assert "labels: another file of the same task" in benchmark.notes


def test_missing_parts_and_unknown_values_are_named(bench, files):
    del files["first.tsv"], files["pairs.jsonl.gz"]
    folder = bench(files)
    assert load(folder).missing == ("labels", "pairs")
    bench({"all.jsonl": [{"sentence": "x", "gold": 1}, {"sentence": "y", "gold": 7}]})
    with pytest.raises(InputError, match="the column label holds an unknown value") as error:
        load(folder)
    assert error.value.found == '"7"'
    assert str(error.value.where).endswith("all.jsonl:2")


def test_task_scores_are_the_means_of_the_official_metrics(bench, files):
    benchmark = load(bench(files))
    result = benchmark.score(answers(benchmark))
    value = {
        part: {name: scores.score.value for name, scores in by_metric.items()}
        for part, by_metric in result.parts.items()
    }
    pair_mean = (value["pairs"]["accuracy"] + value["pairs"]["f1:average=binary:positive=yes"]) / 2
    expected = {
        "labels": value["labels"]["mcc"],
        "pairs": (pair_mean - 0.5) / 0.5,
        "scale": value["scale"]["pearson:invalid=-1"],
    }
    assert {part: values["task_score"] for part, values in value.items()} == pytest.approx(expected)
    assert result.primary == "task_score"
    assert result.scores["task_score"].score.value == pytest.approx(np.mean(list(expected.values())))
    assert result.groups["all"]["task_score"].score.value == pytest.approx(
        (expected["labels"] + expected["pairs"]) / 2
    )
    assert result.groups["words"]["task_score"].score.value == pytest.approx(expected["labels"])
    score = result.scores["task_score"].score
    assert score.low < score.value < score.high


def test_variants_of_a_task_count_as_one(bench, files):
    parts = {name: dict(part) for name, part in SPEC["parts"].items()}
    parts["labels"]["fold"] = parts["pairs"]["fold"] = "words"
    benchmark = load(bench(files, parts=parts))
    result = benchmark.score(answers(benchmark))
    values = {part: scores["task_score"].score.value for part, scores in result.parts.items()}
    mean = ((values["labels"] + values["pairs"]) / 2 + values["scale"]) / 2
    assert result.scores["task_score"].score.value == pytest.approx(mean)


def test_the_expected_choice_is_the_mean_weighted_by_probability(bench, files):
    benchmark = load(bench(files))
    item = next(item for item in benchmark.items if item.part == "scale")
    responses = answers(benchmark)
    responses[item.id] = Response(item.id, "", "choice", 0, logprobs=tuple(np.log([0.2, 0.3, 0.5])))
    rows = [Row("1.3", (item.references[0],))]
    rows += [
        Row(
            repr(float(np.average([0.0, 1.0, 2.0], weights=np.exp(responses[other.id].logprobs)))),
            other.references,
        )
        for other in benchmark.items
        if other.part == "scale" and other.id != item.id
    ]
    pearson = benchmark.score(responses).parts["scale"]["pearson:invalid=-1"].score.value
    assert pearson == pytest.approx(score_rows(["pearson"], rows)["pearson"].score.value)


def test_contributions_have_the_metrics_mean_and_the_jackknifes_variance():
    rng = np.random.default_rng(3)
    rows = [Row("ab"[int(rng.random() < 0.4)], ("ab"[int(rng.random() < 0.5)],)) for _ in range(60)]
    scores = score_rows(["f1:average=binary:positive=a"], rows)["f1:average=binary:positive=a"]
    values = contributions(scores)
    without = []
    for index in range(60):
        rest = rows[:index] + rows[index + 1 :]
        without.append(score_rows([scores.metric], rest)[scores.metric].score.value)
    deviations = np.array(without) - np.mean(without)
    assert values.mean() == pytest.approx(scores.score.value)
    assert values.var(ddof=1) / 60 == pytest.approx(59 / 60 * (deviations**2).sum())


def test_metrics_of_parts_need_the_aggregate_over_tasks(bench, files):
    with pytest.raises(InputError, match="all parts have the same metrics"):
        load(bench(files, aggregate="macro"))


def test_what_is_wrong_with_task_scores_is_named_all_at_once(bench, files):
    parts = {name: dict(part) for name, part in SPEC["parts"].items()}
    parts["pairs"] |= {"scored": 3, "low": 1}
    with pytest.raises(InputErrors) as error:
        load(bench(files, parts=parts))
    assert [mistake.problem for mistake in error.value.errors] == [
        "the part has fewer metrics",
        "low and high must differ",
    ]


def test_the_fingerprint_changes_with_what_a_choice_predicts(bench, files):
    parts = {name: dict(part) for name, part in SPEC["parts"].items()}
    parts["scale"] |= {"metrics": ["accuracy"], "choices": ["0.2", "1.25", "0.9", "1.8"]}
    expected = load(bench(files, parts=parts)).fingerprint
    del parts["scale"]["predict"]
    assert load(bench(files, parts=parts)).fingerprint != expected


def test_a_way_that_is_not_there_is_named(bench, files):
    ways = {**SPEC["ways"], "short": {**SPEC["ways"]["short"], "otherwise": "lnog"}}
    with pytest.raises(InputError, match="there is no such way") as error:
        load(bench(files, ways=ways))
    assert "long" in str(error.value.fix)
