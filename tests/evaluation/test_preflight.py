"""What is checked before weights are loaded."""

from __future__ import annotations

import json

import pytest

from byte_model import write_byte_model
from tutelage.benchmarks import describe, names
from tutelage.core.errors import InputError
from tutelage.evaluation.options import EvaluationOptions
from tutelage.evaluation.preflight import check_evaluation


def test_the_number_of_exemplars_reaches_every_benchmark_that_has_some(tmp_path):
    task = {
        "description": "Opposites.",
        "keywords": [],
        "metrics": ["multiple_choice_grade"],
        "preferred_score": "multiple_choice_grade",
        "examples": [
            {"input": f"not {word}", "target_scores": {word: 0, "other": 1}} for word in ("up", "in", "on")
        ],
    }
    folder = tmp_path / "bigbench" / "opposites"
    folder.mkdir(parents=True)
    (folder / "task.json").write_text(json.dumps(task), "utf-8")
    checked = check_evaluation(
        EvaluationOptions(
            model=str(write_byte_model(tmp_path / "model")),
            benchmarks=("bigbench",),
            shots=2,
            limit=2,
            data_dir=tmp_path,
        ),
        say=lambda _: None,
    )
    (bigbench,) = checked.benchmarks
    assert [item.exemplar_count for item in bigbench.items] == [2, 2]
    has_exemplars = {name for name in names() if describe(name).has_exemplars}
    assert {"bbh", "bigbench", "bigbench-lite", "mmlu"} <= has_exemplars
    assert not {"core", "general-probe"} & has_exemplars


def test_two_specs_of_one_name_are_refused(tmp_path):
    for folder, prompt in (("a", "1 +"), ("b", "2 +")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "spec.yaml").write_text(
            'version: 1\nname: sums\ntitle: sums\nform: text\ndata: {path: rows.jsonl}\nchoices: ["2", "4"]\n'
            f'prompt: "{prompt} {{{{ number }}}} ="\nanswer: "{{{{ right }}}}"\nmetrics: [accuracy]\n',
            "utf-8",
        )
        (tmp_path / folder / "rows.jsonl").write_text('{"number": 1, "right": "2"}\n', "utf-8")
    model = str(write_byte_model(tmp_path / "model"))
    specs = tuple(str(tmp_path / folder) for folder in "ab")
    with pytest.raises(InputError, match="different benchmarks have the same name") as caught:
        check_evaluation(EvaluationOptions(model=model, benchmarks=specs), say=lambda _: None)
    assert caught.value.found == "sums"
    check_evaluation(EvaluationOptions(model=model, benchmarks=specs[:1]), say=lambda _: None)


def test_a_metric_of_ones_own_benchmark_that_reads_none_of_its_references_is_named(tmp_path):
    (tmp_path / "capitals").mkdir()
    (tmp_path / "capitals" / "spec.yaml").write_text(
        "version: 1\nname: capitals\ntitle: capitals\nkind: generate\nform: text\ndata: {path: rows.jsonl}\nmax_new_tokens: 8\n"
        'prompt: "{{ country }}:"\nanswer: "{{ capital }}"\nextraction: whole\nmetrics: [rouge1, exact_match]\n',
        "utf-8",
    )
    (tmp_path / "capitals" / "rows.jsonl").write_text('{"country": "India", "capital": "दिल्ली"}\n', "utf-8")
    said = []
    model = str(write_byte_model(tmp_path / "model"))
    check_evaluation(
        EvaluationOptions(model=model, benchmarks=(str(tmp_path / "capitals"),)), say=said.append
    )
    (line,) = [line for line in said if line.startswith("capitals, ")]
    assert line.startswith("capitals, capitals: rouge1: 1 of 1 references has no word that it reads")
    assert line.endswith("rouge1:tokenizer=unicode reads them")
