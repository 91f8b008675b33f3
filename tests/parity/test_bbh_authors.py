"""BIG-bench Hard's extraction against the authors: their Codex answers score the accuracies that they published."""

from __future__ import annotations

import gzip
import json
import os
from collections import defaultdict
from pathlib import Path

import pytest

from tutelage.metrics import Row, score_rows
from tutelage.metrics.answer_extraction import audit_extraction, extract_bbh


@pytest.fixture(scope="module")
def folder() -> Path:
    found = Path(os.environ.get("TUTELAGE_DATA", "")) / "bbh"
    if not os.environ.get("TUTELAGE_DATA") or not found.is_dir():
        pytest.skip("TUTELAGE_DATA names no folder with bbh")
    return found


def answers(folder: Path, mode: str) -> dict[str, list[Row]]:
    path = folder / f"code_davinci_002_{mode}_predictions.jsonl.gz"
    found = defaultdict(list)
    for line in gzip.decompress(path.read_bytes()).decode("utf-8").splitlines():
        row = json.loads(line)
        found[row["task"]].append(Row(row["prediction"], (row["target"],), task=row["task"]))
    assert sum(map(len, found.values())) == 4511
    assert len(found) == 19
    return found


@pytest.mark.parametrize("mode", ["direct", "cot"])
def test_the_published_accuracy_of_every_task(folder: Path, mode: str) -> None:
    published = json.loads((folder / "code_davinci_002_metrics.json").read_text("utf-8"))
    for task, rows in answers(folder, mode).items():
        name = f"code-davinci-002-outputs/code-davinci-002-{mode}/{task}_few_shot_template_0-255000_eval_metrics.jsonl"
        wanted = json.loads(published[name])["accuracy"] / 100
        score = score_rows([f"bbh:mode={mode}"], rows)[f"bbh:mode={mode}"].score
        assert round(score.value * score.n) == round(wanted * score.n), task
        assert score.value == pytest.approx(wanted, rel=0, abs=1e-12), task


def test_the_audit_of_the_published_answers(folder: Path) -> None:
    told = audit_extraction(
        [extract_bbh(row.prediction, "cot") for rows in answers(folder, "cot").values() for row in rows]
    )
    assert (told.n, told.unmarked, told.empty) == (4511, 34, 0)
