"""Records the prompts and values of BIG-bench's program: python tests/parity/record_bigbench.py FOLDER

FOLDER is the unpacked source of PyPI's bigbench 1.0.0. What its modules import and these functions do not use (tensorflow, t5,
datasets' metrics) is replaced by empty modules; of t5 `sequence_accuracy`, the share of equal places times 100, is put in its place.
"""

from __future__ import annotations

import copy
import importlib.machinery
import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import yaml

HERE = Path(__file__).parent
CASES = yaml.safe_load((HERE / "bigbench_tasks.yaml").read_text("utf-8"))


def _sequence_accuracy(true: list[str], predicted: list[str]) -> dict[str, float]:
    same = [a == b for a, b in zip(true, predicted, strict=True)]
    return {"sequence_accuracy": 100 * float(np.mean(same))}


class _Empty(types.ModuleType):
    """A module that has whatever is asked of it, and does nothing."""

    __path__: list[str] = []  # noqa: RUF012 - what makes it a package

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _sequence_accuracy if name == "sequence_accuracy" else _Empty(name)

    def __call__(self, *_: Any, **__: Any) -> Any:
        return _Empty("called")


class _Finder:
    """Gives an empty module for what these functions import and do not use."""

    def find_spec(self, name: str, *_: Any) -> Any:
        if name.partition(".")[0] in ("tensorflow", "t5", "datasets", "bleurt", "seqio"):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)  # type: ignore[arg-type]
        return None

    def create_module(self, spec: Any) -> types.ModuleType:
        return _Empty(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        pass


def main() -> None:
    sys.meta_path.insert(0, _Finder())  # type: ignore[arg-type]
    sys.path.insert(0, str(Path(sys.argv[1])))
    from bigbench.api import json_task, task_metrics
    from bigbench.models import model_utils
    from scipy.special import logsumexp

    recorded: dict[str, Any] = {"prompts": {}, "low": {}}
    for name, data in CASES["tasks"].items():
        recorded["prompts"][name] = []
        for shots in range(4):
            task = json_task.JsonTask({"canary": "", **copy.deepcopy(data)}, shot_list=[shots])
            samples = json_task.make_nshot_dataset(
                task._ds, shots, random_seed=42, separator=task.few_shot_example_separator
            )
            recorded["prompts"][name].append([task.task_prefix + sample["input"] for sample in samples])
        recorded["low"][name] = task.low_score
    colours = json_task.JsonTask({"canary": "", **copy.deepcopy(CASES["tasks"]["colours"])}, shot_list=[0])
    samples = copy.deepcopy(colours._ds)
    for sample, logprobs in zip(samples, CASES["logprobs"], strict=True):
        sample["absolute_log_prob"] = logprobs
        sample["log_prob"] = sample["normalized_log_prob"] = list(np.array(logprobs) - logsumexp(logprobs))
    recorded["choices"] = {
        "multiple_choice_grade": task_metrics.measure_multiple_choice_grade(samples),
        "choice_brier": task_metrics.measure_calibration_multiple_choice_brier_score(samples),
        "choice_ece": task_metrics.measure_expected_calibration_error(samples),
    }
    recorded["picked"] = [
        sample["choice"][task_metrics.argmax(np.array(sample["log_prob"]))] for sample in samples
    ]
    texts = [case["text"] for case in CASES["texts"]]
    targets = [case["targets"] for case in CASES["texts"]]
    single = [(text, target) for text, target in zip(texts, targets, strict=True) if len(target) == 1]
    recorded["texts"] = {
        **task_metrics.exact_str_match_fn(targets, texts),
        **task_metrics.case_insensitive_str_match_fn(targets, texts),
        **task_metrics.sequence_f1_fn(targets, texts),
    }
    numeric = [
        bool(task_metrics.check_if_numeric_value_is_within_relative_error(text, target, 0.1))
        for text, target in single
    ]
    recorded["numeric"] = numeric
    recorded["log_likelihood"] = task_metrics.log_likelihood_fn(
        CASES["nats"], [["a"] * len(case) for case in CASES["nats"]]
    )["log_likelihood"]
    recorded["outputs"] = [
        model_utils.postprocess_output(case["text"], 0, case["stop"] or None, case["pattern"] or None)
        for case in CASES["outputs"]
    ]
    (HERE / "bigbench_values.json").write_text(
        json.dumps(recorded, indent=1, ensure_ascii=False, default=float) + "\n", "utf-8"
    )


if __name__ == "__main__":
    main()
