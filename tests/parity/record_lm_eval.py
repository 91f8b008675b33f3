"""Records what lm-evaluation-harness 0.4.13 does, for test_lm_eval.py. Needs lm-eval:

    python tests/parity/record_lm_eval.py

lm_eval_specs.json: the requests that it makes of the task files in lm_eval_tasks/, and its metrics of scripted answers.
lm_eval_answers.json: what its HF backend answers to requests of our own, batch size 1: SmolLM2-135M-Instruct in fp32, and in float64 the
encoder-decoder model of tiny_t5.py.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

HERE = Path(__file__).parent
TASKS = HERE / "lm_eval_tasks"
MODEL = "smollm2-135m-instruct"
TEXTS = {
    "sums": [
        " The answer is 9.\nThe answer is 10.",
        " It costs $1300. The answer is 1,300",
        " four apples",
        "12 and $-0 ",
    ],
    "opposites": ["cold", " down", "d4ark!"],
}
CONTEXTS = (
    "The capital of France is",
    "Q: What is two and two?\nA: ",
    "",
    "<|im_start|>user\nIs the sky blue? Say yes or no.<|im_end|>\n<|im_start|>assistant\n",
)
CONTINUATIONS = (" Paris", "Paris", " four", "Yes", "\n\nThe", " é🙂")
ROLLING = (
    "A wren is a small brown bird with a loud song.",
    "One two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen.",
    "",
)
WINDOW = 16
GENERATED = (
    ("Q: What is two and two?\nA:", {"until": ["\n"], "max_gen_toks": 24, "do_sample": False}),
    ("The opposite of hot is", {"until": [".", ","], "max_gen_toks": 16, "temperature": 0.0}),
    (
        "<|im_start|>user\nName three colours.<|im_end|>\n<|im_start|>assistant\n",
        {"until": [], "max_gen_toks": 48, "do_sample": False},
    ),
)

SOURCES = ("what is the capital of France", "we are open", "", "the price ")
TARGETS = ("five", "capital", "a", " Paris", "twelve euros a month", "yes", "</s> no")
LONG = ("the small plan costs twelve euros a month " * 20, "yes")


def scripted_scores(doc, choice):
    """Log-probabilities without a tie that differ from document to document."""
    return -1.0 - ((7 * doc + 5 * choice + doc * choice) % 11) / 3


def specs():
    from lm_eval.tasks import TaskManager

    os.chdir(TASKS)  # lm-eval looks for data files there
    manager = TaskManager(include_defaults=False)
    recorded = {}
    for path in sorted(TASKS.glob("*.yaml")):
        (task,) = manager.load([str(path)])["tasks"].values()
        if task.config.num_fewshot is None:
            task.set_config("num_fewshot", 0)
        task.set_fewshot_seed(1234)
        task.build_all_requests()
        by_doc = defaultdict(list)
        for instance in task.instances:
            by_doc[instance.doc_id].append(instance)
            answer = (
                TEXTS[path.stem][instance.doc_id]
                if instance.request_type == "generate_until"
                else (scripted_scores(instance.doc_id, instance.idx), False)
            )
            instance.resps = [answer]
        task.apply_filters()
        scores = defaultdict(list)
        for instances in by_doc.values():
            for name in instances[0].filtered_resps:
                results = [instance.filtered_resps[name] for instance in instances]
                for metric, value in task.process_results(instances[0].doc, results).items():
                    scores[f"{metric},{name}"].append(value)
        recorded[path.stem] = {
            "requests": [[list(instance.args) for instance in instances] for instances in by_doc.values()],
            "scores": {
                name: float(task.aggregation()[name.split(",")[0]](values)) for name, values in scores.items()
            },
        }
    return recorded


def answers():
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    from tutelage.models import resolve

    model = HFLM(pretrained=str(resolve(MODEL).weights), dtype="float32", batch_size=1, device="cpu")

    def instances(kind, arguments):
        return [
            Instance(request_type=kind, doc={}, arguments=args, idx=n) for n, args in enumerate(arguments)
        ]

    pairs = [(context, text) for context in CONTEXTS for text in CONTINUATIONS]
    scores = model.loglikelihood(instances("loglikelihood", pairs))
    texts = model.generate_until(instances("generate_until", [(c, dict(k)) for c, k in GENERATED]))
    model._max_length = WINDOW
    totals = model.loglikelihood_rolling(instances("loglikelihood_rolling", [(text,) for text in ROLLING]))
    return {
        "loglikelihood": [
            [*pair, float(value), bool(greedy)] for pair, (value, greedy) in zip(pairs, scores, strict=True)
        ],
        "generate_until": [
            [context, dict(settings), text]
            for (context, settings), text in zip(GENERATED, texts, strict=True)
        ],
        "rolling_window": WINDOW,
        "loglikelihood_rolling": [[text, float(total)] for text, total in zip(ROLLING, totals, strict=True)],
    }


def encoder_decoder_answers():
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM
    from tiny_t5 import write_tiny_t5

    with tempfile.TemporaryDirectory() as folder:
        path = write_tiny_t5(Path(folder))
        model = HFLM(pretrained=str(path), dtype="float64", batch_size=1, device="cpu")

    def instances(kind, arguments):
        return [
            Instance(request_type=kind, doc={}, arguments=args, idx=n) for n, args in enumerate(arguments)
        ]

    pairs = [(context, text) for context in SOURCES for text in TARGETS]
    scores = model.loglikelihood(instances("loglikelihood", pairs))
    totals = model.loglikelihood_rolling(instances("loglikelihood_rolling", [(text,) for text in LONG]))
    # The backend adds the length of the prompt to the most tokens: so many more are generated.
    limits = [4 + 1 - len(model.tok_encode(source)) for source in SOURCES]
    texts = [
        model.generate_until(
            instances("generate_until", [(source, {"until": [], "max_gen_toks": limit, "do_sample": False})])
        )[0]
        for source, limit in zip(SOURCES, limits, strict=True)
        if source
    ]
    return {
        "loglikelihood": [
            [*pair, float(value), bool(greedy)] for pair, (value, greedy) in zip(pairs, scores, strict=True)
        ],
        "loglikelihood_rolling": [[text, float(total)] for text, total in zip(LONG, totals, strict=True)],
        "generate_until": [
            [source, 4, text] for source, text in zip(filter(None, SOURCES), texts, strict=True)
        ],
    }


def main():
    import lm_eval

    if lm_eval.__version__ != "0.4.13":
        sys.exit(f"lm-eval 0.4.13 is recorded, and {lm_eval.__version__} is installed")
    recorded = {**answers(), "encoder_decoder": encoder_decoder_answers()}
    for name, content in (("lm_eval_answers", recorded), ("lm_eval_specs", specs())):
        text = json.dumps(content, indent=1, ensure_ascii=False)
        (HERE / f"{name}.json").write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
