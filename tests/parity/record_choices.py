"""Records lm-evaluation-harness's requests, answers and metrics: PYTHONPATH=tests python tests/parity/record_choices.py

For TruthfulQA, HellaSwag, ARC, PIQA and WinoGrande, by the harness's own tasks on the rows of choice_rows.yaml, without exemplars and,
where a task has rows for them, with three. The model is byte_model.py's in float64. Needs lm-eval 0.4.13.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lm_eval
import torch
import yaml
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from transformers import AutoModelForCausalLM, AutoTokenizer

from byte_model import CONTEXT, write_byte_model
from choice_data import TASKS, write_rows
from tutelage.harness.local_data import local_data

HERE = Path(__file__).parent
SEED = 1234


def _recorded(manager: TaskManager, name: str, shots: int, model: HFLM) -> dict[str, Any]:
    task = manager.load([name])["tasks"][name]
    task.set_config(key="num_fewshot", value=shots)
    task.set_fewshot_seed(SEED)
    task.build_all_requests(limit=None, rank=0, world_size=1)
    items: dict[int, list[Any]] = {}
    for instance in task.instances:
        items.setdefault(instance.doc_id, []).append(instance)
    documents = list(task.eval_docs)
    recorded: dict[str, Any] = {"requests": [], "logprobs": [], "metrics": []}
    for number in sorted(items):
        answers = model.loglikelihood(items[number], disable_tqdm=True)
        metrics: Mapping[str, Any] = task.process_results(documents[number], answers)
        recorded["requests"].append([list(instance.args) for instance in items[number]])
        recorded["logprobs"].append([value for value, _ in answers])
        recorded["metrics"].append(
            {metric: float(metrics[metric]) for metric in ("acc", "acc_norm") if metric in metrics}
        )
    return recorded


def main() -> None:
    assert lm_eval.__version__ == "0.4.13"
    rows = yaml.safe_load((HERE / "choice_rows.yaml").read_text("utf-8"))
    recorded: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = write_byte_model(Path(place) / "model")
        loaded = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = HFLM(loaded, tokenizer=tokenizer, max_length=CONTEXT, batch_size=1, device="cpu")
        hub = Path(place) / "hub"
        write_rows(hub, rows)
        with local_data(hub):
            manager = TaskManager()
            for task in TASKS:
                for shots in (0,) if task.startswith("truthfulqa") else (0, 3):
                    recorded[f"{task}, {shots} shots"] = _recorded(manager, task, shots, model)
    text = json.dumps(recorded, ensure_ascii=False, indent=1)
    (HERE / "choice_lm_eval.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
