"""Records lm-evaluation-harness's prompts and log-probabilities for GLUE and SuperGLUE: PYTHONPATH=tests python tests/parity/record_glue.py DATA

By the harness's own tasks, on the rows of glue_rows.yaml and on those in DATA/glue and DATA/superglue, which are read here by Python's
csv module and brought into the columns of the hub's copies. The model is byte_model.py's in float64. Needs lm-eval 0.4.13.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import sys
import tempfile
import types
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import lm_eval
import torch
import yaml
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from transformers import AutoModelForCausalLM, AutoTokenizer

from byte_model import CONTEXT, write_byte_model
from tutelage.harness.local_data import local_data

HERE = Path(__file__).parent
SCORED = 20
GLUE = {
    "cola": "cola",
    "sst2": "sst2",
    "mrpc": "mrpc",
    "qqp": "qqp",
    "mnli": "mnli",
    "mnli_mismatched": "mnli_mismatch",
    "qnli": "qnli",
    "rte": "rte",
    "wnli": "wnli",
}
SUPERGLUE = {
    **{name: name for name in ("boolq", "cb", "copa", "multirc", "record", "wic", "wsc")},
    "rte": "sglue_rte",
}
Row = Mapping[str, Any]
# The harness's ReCoRD imports SQuAD's metrics, which transformers 5 no longer has. They score answers; nothing is scored here.
for _name in ("transformers.data", "transformers.data.metrics", "transformers.data.metrics.squad_metrics"):
    sys.modules.setdefault(_name, types.ModuleType(_name))
sys.modules["transformers.data.metrics"].squad_metrics = sys.modules[
    "transformers.data.metrics.squad_metrics"
]  # type: ignore[attr-defined]


def _opened(path: Path) -> Any:
    return (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8-sig", newline="")


def _table(path: Path, **options: Any) -> list[list[str]]:
    with _opened(path) as file:
        return [row for row in csv.reader(file, **options) if row]


def _lines(path: Path) -> list[Any]:
    with _opened(path) as file:
        return [json.loads(line) for line in file if line.strip()]


def _pairs(path: Path, names: tuple[str, str], labels: tuple[str, ...]) -> list[Row]:
    return [
        {names[0]: first, names[1]: second, "label": labels.index(label)}
        for first, second, label in _table(path)[1:]
    ]


def _glue(folder: Path) -> dict[str, list[Row]]:
    tabs: Any = {"delimiter": "\t", "quoting": csv.QUOTE_NONE}
    two, three = ("entailment", "not_entailment"), ("entailment", "neutral", "contradiction")
    sentences = ("sentence1", "sentence2")
    cola = [
        row
        for name in ("in_domain_dev", "out_of_domain_dev")
        for row in _table(folder / "CoLA" / f"{name}.tsv", **tabs)
    ]
    mnli = _pairs(folder / "MNLI" / "dev.csv.gz", ("premise", "hypothesis"), three)
    return {
        "cola": [{"sentence": row[3], "label": int(row[1])} for row in cola],
        "sst2": [
            {"sentence": row[0], "label": int(row[1])} for row in _table(folder / "SST-2" / "dev.tsv", **tabs)
        ],
        "mrpc": [
            {"sentence1": row[3], "sentence2": row[4], "label": int(row[0])}
            for row in _table(folder / "MRPC" / "msr_paraphrase_test.txt", **tabs)[1:]
        ],
        "mnli": mnli[:9815],
        "mnli_mismatched": mnli[9815:],
        "qnli": _pairs(folder / "QNLI" / "dev.csv", ("question", "sentence"), two),
        "rte": _pairs(folder / "RTE" / "dev.csv", sentences, two),
        "wnli": _pairs(folder / "WNLI" / "dev.csv", sentences, two[::-1]),
    }


def _superglue(folder: Path) -> dict[str, list[Row]]:
    cb = ("entailment", "contradiction", "neutral")
    wsc = _lines(folder / "WSC" / "val.jsonl")
    return {
        "boolq": [{**row, "label": int(row["label"])} for row in _lines(folder / "BoolQ" / "val.jsonl.gz")],
        "cb": [{**row, "label": cb.index(row["label"])} for row in _lines(folder / "CB" / "val.jsonl")],
        "copa": _lines(folder / "COPA" / "val.jsonl"),
        "multirc": [
            {
                "idx": {"paragraph": row["idx"], "question": question["idx"], "answer": answer["idx"]},
                "paragraph": row["passage"]["text"],
                "question": question["question"],
                "answer": answer["text"],
                "label": answer["label"],
            }
            for row in _lines(folder / "MultiRC" / "dev32.jsonl")
            for question in row["passage"]["questions"]
            for answer in question["answers"]
        ],
        "record": [
            {
                "idx": {"passage": row["idx"], "query": query["idx"]},
                "passage": row["passage"]["text"],
                "query": query["query"],
                "entities": [
                    row["passage"]["text"][span["start"] : span["end"] + 1]
                    for span in row["passage"]["entities"]
                ],
                "answers": [answer["text"] for answer in query["answers"]],
            }
            for row in _lines(folder / "ReCoRD" / "dev32.jsonl")
            for query in row["qas"]
        ],
        "rte": [
            {**row, "label": ("entailment", "not_entailment").index(row["label"])}
            for row in _lines(folder / "RTE" / "val.jsonl")
        ],
        "wic": [{**row, "label": int(row["label"])} for row in _lines(folder / "WiC" / "dev32.jsonl")],
        "wsc": [{"text": row["text"], **row["target"], "label": int(row["label"])} for row in wsc],
    }


def _write(folder: Path, name: str, rows: Mapping[str, Iterable[Row]]) -> None:
    """The rows of each task as the copy of a hub's data set."""
    for task, of_task in rows.items():
        config = {"mnli_mismatched": "mnli", "wsc": "wsc.fixed"}.get(task, task)
        split = {"mnli": "validation_matched", "mnli_mismatched": "validation_mismatched"}.get(
            task, "validation"
        )
        text = "".join(json.dumps(row) + "\n" for row in of_task)
        place = folder / name / config
        place.mkdir(parents=True, exist_ok=True)
        for file in (split, "train"):  # without exemplars, the train split is only opened
            (place / f"{file}.jsonl").write_text(text, "utf-8")


def _requests(manager: TaskManager, task: str) -> list[list[Any]]:
    """The requests of a task, those of an item together."""
    loaded = manager.load([task])["tasks"][task]
    loaded.build_all_requests(limit=None, rank=0, world_size=1)
    items: dict[int, list[Any]] = {}
    for instance in loaded.instances:
        items.setdefault(instance.doc_id, []).append(instance)
    return [items[number] for number in sorted(items)]


def _logprobs(model: HFLM, items: list[list[Any]]) -> list[list[float]]:
    return [[value for value, _ in model.loglikelihood(instances, disable_tqdm=True)] for instances in items]


def _recorded(folder: Path, tasks: Mapping[str, str], model: HFLM, *, texts: bool) -> dict[str, Any]:
    recorded: dict[str, Any] = {}
    with local_data(folder):
        manager = TaskManager()
        for name, task in tasks.items():
            items = _requests(manager, task)
            asked = [["".join(instance.args) for instance in instances] for instances in items]
            digest = hashlib.sha256("\0".join(text for of_item in asked for text in of_item).encode())
            recorded[name] = {"items": len(items), "sha256": digest.hexdigest()}
            if texts:
                recorded[name] = {"items": len(items), "requests": asked}
            recorded[name]["logprobs"] = _logprobs(model, items[:SCORED])
    return recorded


def _t5(folder: Path, rows: Mapping[str, Iterable[Row]], *, texts: bool) -> dict[str, Any]:
    """The prompts of SuperGLUE's tasks in T5's form. Its data set has ReCoRD's entities in no fixed order: here they are sorted."""
    recorded: dict[str, Any] = {}
    in_order = [{**row, "entities": sorted(set(row["entities"]))} for row in rows["record"]]
    _write(folder, "aps/super_glue", {"record": in_order})
    with local_data(folder):
        manager = TaskManager()
        for name in SUPERGLUE:
            items = _requests(manager, f"super_glue-{name}-t5-prompt")
            prompts = [instances[0].args[0] for instances in items]
            if name == "record":  # it asks once for each right answer
                prompts = list(dict.fromkeys(prompts))
            digest = hashlib.sha256("\0".join(prompts).encode()).hexdigest()
            recorded[name] = prompts if texts else digest
    return recorded


def main() -> None:
    assert lm_eval.__version__ == "0.4.13"
    data = Path(sys.argv[1])
    own = yaml.safe_load((HERE / "glue_rows.yaml").read_text("utf-8"))
    recorded: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = write_byte_model(Path(place) / "model")
        loaded = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = HFLM(loaded, tokenizer=tokenizer, max_length=CONTEXT, batch_size=1, device="cpu")
        sources: dict[str, Mapping[str, Mapping[str, list[Row]]]] = {
            "rows": {
                "glue": {name: own["glue"][name] for name in GLUE},
                "superglue": {name: own["superglue"][name] for name in SUPERGLUE},
            },
            "data": {"glue": _glue(data / "glue"), "superglue": _superglue(data / "superglue")},
        }
        for source, rows in sources.items():
            hub, texts = Path(place) / source, source == "rows"
            _write(hub, "nyu-mll/glue", rows["glue"])
            _write(hub, "aps/super_glue", rows["superglue"])
            glue = {name: task for name, task in GLUE.items() if name in rows["glue"]}
            recorded[source] = {
                "glue": _recorded(hub, glue, model, texts=texts),
                "superglue": _recorded(hub, SUPERGLUE, model, texts=texts),
                "superglue-t5": _t5(hub, rows["superglue"], texts=texts),
            }
    text = json.dumps(recorded, ensure_ascii=False, indent=1)
    (HERE / "glue_lm_eval.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
