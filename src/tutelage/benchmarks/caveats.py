"""What is told of a benchmark beside its scores: examples, samples, parts that are not here, doubtful answers."""

from __future__ import annotations

from collections.abc import Mapping

from tutelage.benchmarks.fit import dropped
from tutelage.benchmarks.items import BenchmarkItem
from tutelage.benchmarks.runner import Benchmark
from tutelage.core.types import Json, Response
from tutelage.metrics import answer_extraction
from tutelage.metrics.catalogue import parse


def about(benchmark: Benchmark) -> dict[str, Json]:
    """What is to be said of a benchmark beside its scores, as JSON; what goes without saying is left out."""
    found: dict[str, Json] = {"version": benchmark.spec.version}
    if any(item.exemplars for item in benchmark.items):
        found["shots"] = max(item.exemplars + item.dropped for item in benchmark.items)
    items, examples = dropped(benchmark)
    if items:
        found["shots_dropped"] = {"items": items, "examples": examples}
    if benchmark.missing:
        found["missing_parts"] = list(benchmark.missing)
    sampled = sum(benchmark.sizes.values())
    if sampled > len(benchmark.items):
        found["sampled_of"] = sampled
        found["sizes"] = dict(benchmark.sizes)
    if benchmark.notes:
        found["notes"] = list(benchmark.notes)
    return found


def doubts(benchmark: Benchmark, responses: Mapping[str, Response]) -> dict[str, Json]:
    """How many answers were extracted with doubt, where a metric of the benchmark says how to tell."""
    asked = [parse(name) for name in benchmark.spec.metrics]
    mode = next((str(one.options["mode"]) for one in asked if one.entry.implementation == "bbh"), None)
    if mode is None:
        return {}
    answers = [responses[item.id] for item in benchmark.items]
    counts = answer_extraction.audit(
        answer_extraction.bbh(one.text, mode, finish=one.finish) for one in answers
    )
    return {"extraction": dict(counts.as_json())}


def fields(item: BenchmarkItem) -> dict[str, Json]:
    """What a person needs to read a response beside the question."""
    found: dict[str, Json] = {}
    if item.choices:
        found["choices"] = list(item.choices)
    if item.exemplars or item.dropped:
        found["shots"] = item.exemplars
    return found
