"""Records lm-evaluation-harness's prompts and verdicts for GSM8K: python tests/parity/record_gsm8k.py

On rows and answers written for the purpose, by the harness's own task files (lm_eval/tasks/gsm8k). Needs lm-eval 0.4.13. The
exemplars of gsm8k_cot are replaced by two of `gsm8k_rows.yaml`.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lm_eval
import yaml
from lm_eval.api.task import ConfigurableTask
from lm_eval.filters.extraction import RegexFilter

HERE = Path(__file__).parent
ROWS = yaml.safe_load((HERE / "gsm8k_rows.yaml").read_text("utf-8"))
TASKS = {"lm-eval": "gsm8k.yaml", "cot": "gsm8k-cot.yaml", "cot-zeroshot": "gsm8k-cot-zeroshot.yaml"}


def _task(name: str, folder: Path) -> ConfigurableTask:
    config = yaml.safe_load((Path(lm_eval.__file__).parent / "tasks" / "gsm8k" / name).read_text("utf-8"))
    files = {split: str(folder / f"{split}.jsonl") for split in ("train", "test")}
    config |= {"dataset_path": "json", "dataset_name": None, "dataset_kwargs": {"data_files": files}}
    if "samples" in config.get("fewshot_config", {}):
        exemplars = [{"question": row["question"], "target": row["answer"]} for row in ROWS["exemplars"]]
        config["fewshot_config"]["samples"], config["num_fewshot"] = exemplars, len(exemplars)
    task = ConfigurableTask(config=config)
    task.set_fewshot_seed(1234)
    return task


def _verdicts(task: ConfigurableTask) -> Iterator[dict[str, bool]]:
    """By filter whether each text's answer is right."""
    filters = {
        entry["name"]: RegexFilter(
            **{key: value for key, value in entry["filter"][0].items() if key != "function"}
        )
        for entry in task.config.filter_list
    }
    for text in ROWS["texts"]:
        verdicts = {}
        for name, extraction in filters.items():
            ((answer,),) = extraction.apply([[text]], [{}])
            doc = {"question": "", "answer": ROWS["target"]}
            verdicts[name] = bool(task.process_results(doc, [answer])["exact_match"])
        yield verdicts


def main() -> None:
    recorded: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for split in ("train", "test"):
            lines = [json.dumps(row) for row in ROWS[split]]
            (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        for way, file in TASKS.items():
            task = _task(file, folder)
            task.build_all_requests(limit=None, rank=0, world_size=1)
            recorded[way] = {
                "prompts": [instance.args[0] for instance in task.instances],
                "verdicts": list(_verdicts(task)),
            }
    text = json.dumps(recorded, ensure_ascii=False, indent=1)
    (HERE / "gsm8k_lm_eval.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
