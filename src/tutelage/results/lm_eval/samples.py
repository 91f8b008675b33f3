"""Every item as a line of `samples_TASK_TIME.jsonl` (lm_eval/evaluator.py, evaluate; lm_eval/loggers/evaluation_tracker.py).

Prompts are the questions without their worked examples, as they are kept here. Whether a choice was the greedy continuation is
not known and says "None".
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from tutelage.core.types import Response
from tutelage.results.evaluation import Item
from tutelage.results.lm_eval.tasks import GREEDY, Task


def samples(task: Task) -> Iterator[dict[str, Any]]:
    """One dictionary an item, in the order in which they were asked."""
    for number, item in enumerate(task.items):
        response = task.responses[item.id]
        doc = _doc(task, item)
        arguments = _arguments(item, response)
        given = _given(response, chosen=len(arguments))
        target = item.references[0] if item.references else ""
        values = {
            metric.name: metric.by_item[item.id] for metric in task.metrics if item.id in metric.by_item
        }
        yield {
            "doc_id": number,
            "doc": doc,
            "target": target,
            "arguments": {
                f"gen_args_{i}": {"arg_0": item.prompt, "arg_1": second} for i, second in enumerate(arguments)
            },
            "resps": [[one] for one in given],
            "filtered_resps": given,
            "filter": "none",
            "metrics": list(values),
            "doc_hash": digest(json.dumps(doc, indent=2, ensure_ascii=False)),
            "prompt_hash": digest(item.prompt),
            "target_hash": digest(target),
            **values,
        }


def digest(text: str) -> str:
    """Their `hash_string`: sha256 of the text as UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()


def _doc(task: Task, item: Item) -> dict[str, Any]:
    """What is known of the item; a task's rows have columns of any name, so they stand apart."""
    own: dict[str, Any] = {
        "id": item.id,
        "part": item.part,
        "question": item.prompt,
        "references": list(item.references),
    }
    return {**own, "row": dict(item.fields)} if task.suite == "task" else {**item.fields, **own}


def _arguments(item: Item, response: Response) -> list[Any]:
    """What came after the prompt in each request: a choice, or how to generate."""
    choices = item.fields.get("choices")
    if response.choice is not None and isinstance(choices, list) and len(choices) == len(response.logprobs):
        return [str(choice) for choice in choices]
    return [GREEDY]


def _given(response: Response, *, chosen: int) -> list[Any]:
    if response.choice is not None and chosen == len(response.logprobs):
        return [[str(value), "None"] for value in response.logprobs]
    return [response.text]
