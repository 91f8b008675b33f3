"""Scores and answers in the layout of lm-evaluation-harness 0.4.13: `results_TIME.json`, and `samples_TASK_TIME.jsonl` with every item."""

from tutelage.results.lm_eval.writing import write as write
