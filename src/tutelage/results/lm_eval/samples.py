"""The lines of `samples_TASK_TIME.jsonl` (lm_eval/evaluator.py, evaluate; lm_eval/loggers/evaluation_tracker.py).

The store has prompts without their exemplars, and so have these lines. Whether a choice was the greedy continuation is not
known: the value is "None".
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from tutelage.core.types import Response
from tutelage.results.evaluation import Item
from tutelage.results.lm_eval.harness_tree import GREEDY, HarnessTask


def samples(task: HarnessTask) -> Iterator[dict[str, Any]]:
    """Yield one dictionary per item, in the order in which they were asked."""
    for number, item in enumerate(task.items):
        doc = _doc(task, item)
        arguments, outputs = _requests(item, task.responses[item.id])
        target = item.references[0] if item.references else ""
        values = {
            metric.name: metric.by_item[item.id] for metric in task.metrics if item.id in metric.by_item
        }
        yield {
            "doc_id": number,
            "doc": doc,
            "target": target,
            "arguments": {
                f"gen_args_{i}": {"arg_0": item.prompt, "arg_1": argument}
                for i, argument in enumerate(arguments)
            },
            "resps": [[output] for output in outputs],
            "filtered_resps": outputs,
            "filter": "none",
            "metrics": list(values),
            "doc_hash": digest(json.dumps(doc, indent=2, ensure_ascii=False)),
            "prompt_hash": digest(item.prompt),
            "target_hash": digest(target),
            **values,
        }


def digest(text: str) -> str:
    """The sha256 of a text in UTF-8, as lm-evaluation-harness's `hash_string` makes it."""
    return hashlib.sha256(text.encode()).hexdigest()


def _doc(task: HarnessTask, item: Item) -> dict[str, Any]:
    """The item as a document. The columns of a task's row go into a dictionary of their own: they may have any name."""
    doc: dict[str, Any] = {
        "id": item.id,
        "part": item.part,
        "question": item.prompt,
        "references": list(item.references),
    }
    return {**doc, "row": dict(item.fields)} if task.suite == "task" else {**item.fields, **doc}


def _requests(item: Item, response: Response) -> tuple[list[Any], list[Any]]:
    """The second argument of each request, after the prompt, and its output: of every choice, or of the generated text."""
    choices = item.fields.get("choices")
    if response.choice is not None and isinstance(choices, list) and len(choices) == len(response.logprobs):
        return [str(choice) for choice in choices], [[str(value), "None"] for value in response.logprobs]
    return [GREEDY], [response.text]
