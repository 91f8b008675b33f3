"""Question: how hard are a benchmark's items for a model, by part, difficulty and topic?

    python perf/probe_difficulty.py MODEL BENCHMARK [CHAT_TEMPLATE]

    python perf/probe_difficulty.py smollm2-135m-instruct general-probe:development

Prints the share of right answers with its 95 % interval, and for `choose` what guessing gives and how often each
position is chosen. docs/benchmarks.md holds what it printed.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from measurement_note import measured_on
from tutelage.benchmarks import Benchmark, BenchmarkItem, load
from tutelage.core.types import Response
from tutelage.engine import Engine
from tutelage.metrics import Row, score_rows
from tutelage.models import load as load_model
from tutelage.models import resolve
from tutelage.tokens import chat_templates


def main(model: str, name: str, template: str | None = None) -> None:
    benchmark = load(name, root=Path.cwd())
    text = None if template is None else chat_templates.template_text(template, root=Path.cwd())
    loaded = load_model(resolve(model), chat_template=text)
    engine = Engine(loaded.model, loaded.tokenizer, encoder_decoder=loaded.encoder_decoder)
    requests = benchmark.requests()
    tokens = sum(len(engine.encoder.prompt_ids(r.prompt)) for r in requests)
    started = time.perf_counter()
    responses = {r.id: r for r in engine.answer(requests)}
    seconds = time.perf_counter() - started
    print(measured_on())
    print(f"{name}: {len(requests)} items, {tokens} prompt tokens, {seconds:.0f} s")
    for title, key in groupings():
        print(f"\n{title:<32} {'right':>6} {'low':>6} {'high':>6} {'n':>4} {'guess':>6}  positions chosen")
        show(benchmark, responses, key)


def groupings() -> list[tuple[str, Callable[[BenchmarkItem], str]]]:
    return [
        ("whole", lambda _: "whole"),
        ("part", lambda item: item.part),
        ("difficulty", lambda item: f"{item.part}: {item.difficulty}" if item.difficulty else ""),
        ("topic", lambda item: f"{item.part}: {item.topic}" if item.topic else ""),
    ]


def show(benchmark: Benchmark, responses: dict[str, Response], key: Callable[[BenchmarkItem], str]) -> None:
    counted = benchmark.score(responses).scores[benchmark.spec.metrics[0]]
    right = {benchmark.items[row].id: value for row, value in zip(counted.rows, counted.items, strict=True)}
    for group in dict.fromkeys(key(item) for item in benchmark.items if key(item)):
        items = [item for item in benchmark.items if key(item) == group]
        rows = [Row("1" if right[item.id] else "0", ("1",)) for item in items]
        score = score_rows(["accuracy"], rows)["accuracy"].score
        guess = sum(1 / len(item.choices) if item.choices else 0.0 for item in items) / len(items)
        places = Counter(responses[item.id].choice for item in items if item.choices)
        chosen = " ".join(str(places[i]) for i in range(max(len(item.choices) for item in items)))
        print(
            f"{group:<32} {score.value:6.3f} {score.low:6.3f} {score.high:6.3f} {score.n:4d} {guess:6.2f}  {chosen}"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
