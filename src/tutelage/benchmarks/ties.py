"""Answers that only the order of the choices decided: several choices were equally likely, and the first one counts."""

from __future__ import annotations

from collections.abc import Mapping

from tutelage.benchmarks.runner import Benchmark
from tutelage.core.types import Json, Response
from tutelage.metrics import Row
from tutelage.metrics.choices import likeliest_choices


def decided_by_order(benchmark: Benchmark, responses: Mapping[str, Response]) -> dict[str, Json]:
    """How many items have several likeliest choices, and how many of those are right because the first one is; nothing without any.

    A model that finds everything equally likely gets all items right whose right choice stands first, as in TruthfulQA's MC1.

    Args:
        benchmark: what was asked.
        responses: by item id, one for each item.
    """
    tied = right = 0
    for item in benchmark.items:
        part = benchmark.spec.parts[item.part]
        if part.kind != "choose" or part.predict != "likeliest":
            continue
        response = responses[item.id]
        fields: dict[str, Json] = {
            "choices": list(item.choices),
            "logprobs": list(response.logprobs),
            "lengths": list(response.lengths),
        }
        best = likeliest_choices(Row("", item.references, fields), part.normalise, where=item.id)
        if len(set(best)) > 1:
            tied += 1
            answer = item.predictions[item.choices.index(best[0])] if item.predictions else best[0]
            right += answer in item.references
    return {"ties": {"items": tied, "right": right}} if tied else {}
