"""Write scores and responses as lm-evaluation-harness 0.4.13 does: `results_TIME.json`, and every item in `samples_TASK_TIME.jsonl`."""

from tutelage.results.lm_eval.writing import write as write
