"""GSM8K's prompts and extractions against lm-evaluation-harness's, recorded by record_gsm8k.py."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
import yaml

from tutelage.benchmarks import Limit, load
from tutelage.benchmarks.exemplar_draws import HARNESS_SEED, harness_draws
from tutelage.core.errors import InputError
from tutelage.metrics import Row, score_rows

HERE = Path(__file__).parent
ROWS: dict[str, Any] = yaml.safe_load((HERE / "gsm8k_rows.yaml").read_text("utf-8"))
RECORDED: dict[str, Any] = json.loads((HERE / "gsm8k_lm_eval.json").read_text("utf-8"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The rows in the hub's layout."""
    folder = tmp_path / "openai" / "gsm8k" / "main"
    folder.mkdir(parents=True)
    for split in ("train", "test"):
        pa.parquet.write_table(pa.Table.from_pylist(ROWS[split]), folder / f"{split}-00000-of-00001.parquet")
    exemplars = "".join(json.dumps(row) + "\n" for row in ROWS["exemplars"])
    (tmp_path / "gsm8k").mkdir()
    (tmp_path / "gsm8k" / "cot-exemplars.jsonl").write_text(exemplars, "utf-8")
    return tmp_path


@pytest.mark.parametrize(("way", "shots"), [("lm-eval", None), ("cot", 2), ("cot-zeroshot", None)])
def test_prompts_are_byte_by_byte_those_of_the_harness(data: Path, way: str, shots: int | None):
    items = load(f"gsm8k:{way}", data=data, shots=shots).items
    assert [item.full_prompt for item in items] == RECORDED[way]["prompts"]


def test_a_question_of_a_sample_has_the_exemplars_that_it_has_among_all(data: Path):
    everything = {item.id: item.full_prompt for item in load("gsm8k:lm-eval", data=data).items}
    sample = load("gsm8k:lm-eval", data=data, limit=Limit(2)).items
    assert len(sample) == 2
    assert all(everything[item.id] == item.full_prompt for item in sample)


def test_as_many_exemplars_are_drawn_as_asked_for(data: Path):
    items = load("gsm8k:lm-eval", data=data, shots=3).items
    assert {item.exemplar_count for item in items} == {3}
    with pytest.raises(InputError, match="too few exemplars"):
        load("gsm8k:lm-eval", data=data, shots=13)


@pytest.mark.parametrize("pool", [12, 7473])
def test_draws_are_those_of_one_generator_over_the_questions_in_turn(pool: int):
    generator, rows = random.Random(HARNESS_SEED), [{"question": number} for number in range(pool)]
    expected = [tuple(row["question"] for row in generator.sample(rows, 5)) for _ in range(9)]
    assert harness_draws(pool, 5, {0, 3, 8}) == {number: expected[number] for number in (0, 3, 8)}


@pytest.mark.parametrize(
    ("way", "extract", "name"),
    [
        ("lm-eval", "strict", "strict-match"),
        ("lm-eval", "flexible", "flexible-extract"),
        ("cot", "cot", "strict-match"),
        ("cot", "flexible", "flexible-extract"),
        ("cot-zeroshot", "cot", "strict-match"),
        ("cot-zeroshot", "flexible", "flexible-extract"),
    ],
)
def test_answers_are_extracted_and_compared_as_in_the_harness(way: str, extract: str, name: str):
    rows = [Row(text, (ROWS["target"],)) for text in ROWS["texts"]]
    scores = score_rows([f"gsm8k:extract={extract}"], rows)[f"gsm8k:extract={extract}"]
    verdicts = dict(zip(ROWS["texts"], scores.items.astype(bool).tolist(), strict=True))
    recorded = [verdict[name] for verdict in RECORDED[way]["verdicts"]]
    assert verdicts == dict(zip(ROWS["texts"], recorded, strict=True))
    assert 2 < sum(recorded) < len(recorded) - 2
