"""BERTScore equals the package bert-score 0.3.13, whose values record_bertscore.py recorded in bertscore.json."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tiny_encoder import write_bert, write_roberta
from tutelage.metrics import Row, score_rows

RECORDED = json.loads(Path(__file__).with_name("bertscore.json").read_text("utf-8"))
METRICS = ("bertscore_precision", "bertscore_recall", "bertscore_f1")


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoders")
    return {"bert": write_bert(folder / "bert"), "roberta": write_roberta(folder / "roberta")}


@pytest.mark.parametrize("case", RECORDED["values"])
def test_precision_recall_and_f1_are_those_of_bert_score(encoders, case):
    name, layer, idf = case.split("|")
    rows = [Row(prediction, tuple(references)) for prediction, references in RECORDED["pairs"]]
    options = f"model={encoders[name]}:layer={layer}:idf={idf.lower()}"
    scores = score_rows([f"bertscore:{options}"], rows)
    ours = np.stack([scores[f"{metric}:{options}"].items for metric in METRICS], axis=1)
    # fp32 on both sides, and ours are rounded to six decimals.
    assert np.abs(ours - np.array(RECORDED["values"][case])).max() < 3e-6
