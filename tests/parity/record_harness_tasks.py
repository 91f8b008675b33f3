"""Tasks of lm-evaluation-harness 0.4.13 with its own HF backend and with Tutelage's engine: do both give the same metrics?

    python tests/parity/record_harness_tasks.py DATA [--limit N] [--only TASK[,TASK]] [--out FILE]

needs lm-eval 0.4.13, and the folder of data sets. Each task is lm-eval's own, by name; the rows of its evaluation split come from DATA in
the hub's columns, and few-shot examples where the task has some. Both sides ask SmolLM2-135M-Instruct in fp32 the first N documents
(documents of generation tasks: a quarter of them). harness_tasks.json holds what came out.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import sys
import tempfile
import time
from pathlib import Path

MODEL = "smollm2-135m-instruct"
GENERATED = ("bbh_fewshot_boolean_expressions", "bbh_zeroshot_object_counting", "gsm8k")
SHOTS = {"mmlu_abstract_algebra": 5}  # others have as many examples as lm-eval gives them
TASKS = (
    "rte",
    "cola",
    "sst2",
    "wnli",
    "mrpc",
    "boolq",
    "cb",
    "copa",
    "wsc",
    "mmlu_abstract_algebra",
    *GENERATED,
    "dialogue_perplexity",
)
# A task of our own for the third kind of request: lm-eval's have whole books or pages.
ROLLING = """\
task: dialogue_perplexity
dataset_path: json
dataset_kwargs: {data_files: {test: dialogues.jsonl}}
output_type: loglikelihood_rolling
test_split: test
doc_to_text: ""
doc_to_target: "{{dialogue}}"
metric_list:
  - {metric: word_perplexity}
  - {metric: bits_per_byte}
"""


def table(path, **options):
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file, **options))


def lines(path):
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def pairs(path):
    labels = ("entailment", "not_entailment")
    return [
        {"sentence1": first, "sentence2": second, "label": labels.index(label)}
        for first, second, label in table(path)[1:]
    ]


def local_copies(data, folder):
    """Write rows in the layouts and columns of the hub's data sets."""

    def write(name, **splits):
        for split, rows in splits.items():
            path = folder / name / f"{split}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")

    def validation(name, rows):  # without examples, the train split is only opened
        write(name, train=rows[:2], validation=rows)

    glue, superglue = data / "glue", data / "superglue"
    tabs = {"delimiter": "\t", "quoting": csv.QUOTE_NONE}
    validation("nyu-mll/glue/rte", pairs(glue / "RTE" / "dev.csv"))
    wnli = [{**row, "label": 1 - row["label"]} for row in pairs(glue / "WNLI" / "dev.csv")]
    validation("nyu-mll/glue/wnli", wnli)
    cola = table(glue / "CoLA" / "in_domain_dev.tsv", **tabs)
    validation("nyu-mll/glue/cola", [{"sentence": row[3], "label": int(row[1])} for row in cola])
    sst2 = table(glue / "SST-2" / "dev.tsv", **tabs)
    validation("nyu-mll/glue/sst2", [{"sentence": text + " ", "label": int(label)} for text, label in sst2])
    mrpc = table(glue / "MRPC" / "msr_paraphrase_test.txt", **tabs)[1:]
    validation(
        "nyu-mll/glue/mrpc",
        [{"sentence1": row[3], "sentence2": row[4], "label": int(row[0])} for row in mrpc],
    )
    boolq = [{**row, "label": int(row["label"])} for row in lines(superglue / "BoolQ" / "val.jsonl.gz")]
    validation("aps/super_glue/boolq", boolq)
    labels = ("entailment", "contradiction", "neutral")
    cb = [{**row, "label": labels.index(row["label"])} for row in lines(superglue / "CB" / "val.jsonl")]
    validation("aps/super_glue/cb", cb)
    validation("aps/super_glue/copa", lines(superglue / "COPA" / "val.jsonl"))
    wsc = [
        {"text": row["text"], **row["target"], "label": int(row["label"])}
        for row in lines(superglue / "WSC" / "val.jsonl")
    ]
    validation("aps/super_glue/wsc.fixed", wsc)
    mmlu = {
        split: [
            {"question": row[0], "choices": row[1:5], "answer": "ABCD".index(row[5])}
            for row in table(data / "mmlu" / split / f"abstract_algebra_{split}.csv")
        ]
        for split in ("dev", "test")
    }
    write("cais/mmlu/abstract_algebra", **mmlu)
    for name in ("boolean_expressions", "object_counting"):
        rows = json.loads((data / "bbh" / "bbh" / f"{name}.json").read_text("utf-8"))["examples"]
        write(f"SaylorTwift/bbh/{name}", test=rows)
    gsm8k = lines(data / "helm" / "gsm8k" / "test.jsonl")
    write("openai/gsm8k/main", train=gsm8k[-100:], test=gsm8k)
    dialogues = [{"dialogue": row["dialogue"]} for row in lines(data / "dialogsum" / "dialogsum.dev.jsonl")]
    (folder / "dialogues.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in dialogues[:20]), "utf-8"
    )
    (folder / "dialogue_perplexity.yaml").write_text(ROLLING, "utf-8")


def evaluated(model, tasks, folder, limit):
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    from tutelage.harness.local_data import local_data

    manager = TaskManager(include_path=str(folder))
    with local_data(folder):
        loaded = [manager.load([name])["tasks"][name] for name in tasks]
    begin = time.perf_counter()
    results = simple_evaluate(model=model, tasks=loaded, limit=limit, task_manager=manager, bootstrap_iters=0)
    return results, time.perf_counter() - begin


def compared(name, ours, theirs):
    """Both sides' metrics of a task, and how far single answers are apart."""
    own_samples, peer_samples = ours["samples"][name], theirs["samples"][name]
    differences, other_greedy, other_texts, answers = [0.0], 0, 0, 0
    for own, peer in zip(own_samples, peer_samples, strict=True):
        assert own["arguments"] == peer["arguments"], name
        for (mine,), (other,) in zip(own["resps"], peer["resps"], strict=True):
            answers += 1
            if isinstance(mine, str):
                other_texts += mine != other
            elif isinstance(mine, tuple | list):
                differences.append(abs(mine[0] - other[0]))
                other_greedy += mine[1] != other[1]
            else:
                differences.append(abs(mine - other))

    def metrics(results):
        return {
            key: value
            for key, value in results["results"][name].items()
            if "," in key and isinstance(value, int | float)
        }

    return {
        "documents": len({sample["doc_id"] for sample in own_samples}),
        "answers": answers,
        "hf": metrics(theirs),
        "tutelage": metrics(ours),
        "largest_difference": max(differences),
        "other_greedy": other_greedy,
        "other_texts": other_texts,
    }


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("data", type=Path)
    words.add_argument("--limit", type=int, default=20)
    words.add_argument("--only", default=",".join(TASKS))
    words.add_argument("--out", type=Path)
    options = words.parse_args()

    import lm_eval
    from lm_eval.models.huggingface import HFLM

    from tutelage.harness.model import TutelageLM
    from tutelage.models import resolve

    if lm_eval.__version__ != "0.4.13":
        sys.exit(f"lm-eval 0.4.13 is what is compared with, and {lm_eval.__version__} is installed")
    peer = HFLM(pretrained=str(resolve(MODEL).weights), dtype="float32", batch_size=1, device="cpu")
    own = TutelageLM(MODEL)
    recorded = json.loads(options.out.read_text("utf-8")) if options.out and options.out.is_file() else {}
    with tempfile.TemporaryDirectory() as place:
        local_copies(options.data, Path(place))
        for name in options.only.split(","):
            limit = max(1, options.limit // 4) if name in GENERATED else options.limit
            ours, seconds = evaluated(own, [name], Path(place), limit)
            theirs, peer_seconds = evaluated(peer, [name], Path(place), limit)
            recorded[name] = compared(name, ours, theirs)
            print(name, json.dumps(recorded[name]), f"{seconds:.1f} s, hf {peer_seconds:.1f} s", flush=True)  # noqa: T201 - a script
            if options.out:
                options.out.write_text(json.dumps(recorded, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
