"""Benchmarks with choices, evaluated by a model that finds everything equally likely."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml
from transformers import AutoModelForCausalLM

from byte_model import write_byte_model
from choice_data import write_rows
from tutelage.cli.main import main
from tutelage.evaluation.evaluate import evaluate
from tutelage.evaluation.options import EvaluationOptions
from tutelage.report.caveats import sentences

ROWS = Path(__file__).parents[1] / "parity" / "choice_rows.yaml"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    write_rows(folder, yaml.safe_load(ROWS.read_text("utf-8")))
    return folder


@pytest.fixture(scope="module")
def result(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluated")
    place = write_byte_model(folder / "level")
    model = AutoModelForCausalLM.from_pretrained(place)
    with torch.no_grad():
        model.transformer.wte.weight.zero_()  # the output layer too: all bytes are equally likely
    model.save_pretrained(place)
    return evaluate(
        EvaluationOptions(
            model=str(place),
            benchmarks=("truthfulqa:mc1", "truthfulqa:mc2", "winogrande"),
            data_dir=data,
            self_check=True,
            out=folder / "out",
        )
    )


def test_ties_stand_beside_the_scores(result):
    benchmarks = result.document["benchmarks"]
    # What follows the gap is the same behind both names, so that all five items are ties; of three the first name is right.
    gaps = benchmarks["winogrande"]
    assert gaps["ties"] == {"items": 5, "right": 3}
    assert gaps["scores"]["choice_accuracy"]["value"] == pytest.approx(3 / 5)
    assert "5 items have several equally likely choices" in " ".join(sentences(gaps))
    assert not gaps["self_check"]["wrong"]
    # The shorter answer is likelier: no ties among answers of different lengths.
    assert "ties" not in benchmarks["truthfulqa:mc1"]
    assert 0 < benchmarks["truthfulqa:mc2"]["scores"]["reference_probability"]["value"] < 1


def test_show_says_what_is_compared_behind_each_choice(data, capsys):
    assert main(["benchmarks", "show", "winogrande", "--data", str(data)]) == 0
    assert "compared behind each choice: was older." in capsys.readouterr().out
    assert main(["benchmarks", "show", "winogrande", "--data", str(data), "--json"]) == 0
    (part,) = json.loads(capsys.readouterr().out)["parts"]
    assert (part["choices"], part["continuation"]) == (["violin", "drum"], "was older.")
