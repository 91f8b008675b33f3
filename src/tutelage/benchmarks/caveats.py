"""What is reported of a benchmark beside its scores: exemplars, samples, missing parts, doubtful answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Protocol

from tutelage.benchmarks.fit import count_dropped
from tutelage.benchmarks.items import BenchmarkItem
from tutelage.benchmarks.runner import Benchmark
from tutelage.core.types import Json, Response
from tutelage.metrics.answer_extraction import ExtractedAnswer, audit_extraction, extract_bbh
from tutelage.metrics.catalogue import parse
from tutelage.metrics.math_answers import extract_gsm8k


class _Extract(Protocol):
    """Takes an answer out of a text by a rule."""

    def __call__(self, text: str, rule: str, /, *, finish: str | None = None) -> ExtractedAnswer:
        """The answer, and the doubts about it."""


_EXTRACTIONS: Mapping[str, tuple[_Extract, str]] = {
    "bbh": (extract_bbh, "mode"),
    "gsm8k": (extract_gsm8k, "extract"),
}
"""Metrics that take an answer out of a text: what does it, and the option that says by which rule."""


def caveats(benchmark: Benchmark) -> dict[str, Json]:
    """The caveats of a benchmark as JSON, without those that do not apply."""
    values: dict[str, Json] = {"version": benchmark.spec.version}
    if any(item.exemplar_count for item in benchmark.items):
        values["shots"] = max(item.exemplar_count + item.dropped_exemplars for item in benchmark.items)
    items, exemplars = count_dropped(benchmark)
    if items:
        values["shots_dropped"] = {"items": items, "examples": exemplars}
    if missing := benchmark.averaged(benchmark.missing):
        values["missing_parts"] = [*missing]
    if substitutes := benchmark.averaged(benchmark.substitutes):
        values["substituted_parts"] = [*substitutes]
    if missing := [part for part in benchmark.missing if part in benchmark.diagnostic]:
        values["missing_diagnostics"] = [*missing]
    available = sum(benchmark.sizes.values())
    if available > len(benchmark.items):
        values["sampled_of"] = available
        values["sizes"] = dict(benchmark.sizes)
    if benchmark.notes:
        values["notes"] = list(benchmark.notes)
    return values


def extraction_doubts(benchmark: Benchmark, responses: Mapping[str, Response]) -> dict[str, Json]:
    """How many answers were extracted with doubt; nothing where no metric of the benchmark defines that."""
    metrics = {part: [parse(name) for name in benchmark.metrics_of(part)] for part in benchmark.parts}
    extractions = [
        metric for of_part in metrics.values() for metric in of_part if metric.entry.name in _EXTRACTIONS
    ]
    if not extractions:
        return {}
    extraction = extractions[0]
    extract, option = _EXTRACTIONS[extraction.entry.name]
    rule = str(extraction.options[option])
    answers = [responses[item.id] for item in benchmark.items if extraction in metrics[item.part]]
    counts = audit_extraction([extract(answer.text, rule, finish=answer.finish) for answer in answers])
    return {"extraction": asdict(counts)}


def item_details(item: BenchmarkItem) -> dict[str, Json]:
    """What a person needs to read a response beside the question."""
    details: dict[str, Json] = {}
    if item.choices:
        details["choices"] = list(item.choices)
    if item.continuation:
        details["continuation"] = item.continuation
    if item.exemplar_count or item.dropped_exemplars:
        details["shots"] = item.exemplar_count
    return {**item.fields, **details}
