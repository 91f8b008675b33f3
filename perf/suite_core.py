"""Question: on which tasks of a suite is a model clearly above chance, and what does the suite cost?

    python perf/suite_core.py smollm2-135m-instruct core --data DIR

A suite that is to show forgetting can only have tasks on which there is something to forget: those where the interval of the first
metric lies above the suite's `low`. Prints each task with its interval and the tokens that are read for it (a token that several
prompts begin with counts once) and generated. docs/benchmarks.md holds what it printed. To look at candidates, write a suite of
them and name its path.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from measurement_note import measured_on
from tutelage.benchmarks import Benchmark, load
from tutelage.benchmarks.task_scores import TASK_SCORE
from tutelage.core.types import Request, Response
from tutelage.engine import Engine
from tutelage.models import load as load_model
from tutelage.models import resolve


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("suite", help="core, or the path of a suite")
    parser.add_argument("--data", type=Path, help="where the benchmarks' files are")
    parser.add_argument("--limit", type=int, help="at most so many items of each part")
    parser.add_argument("--tasks", help="only these tasks, with commas between")
    options = parser.parse_args(words)
    tasks = options.tasks.split(",") if options.tasks else None
    benchmark = load(options.suite, data=options.data, limit=options.limit, parts=tasks, root=Path.cwd())
    loaded = load_model(resolve(options.model))
    engine = Engine(loaded.model, loaded.tokenizer, encoder_decoder=loaded.encoder_decoder)
    responses: dict[str, Response] = {}
    costs: dict[str, tuple[int, float]] = {}
    for part in benchmark.parts:
        requests = [
            request
            for item, request in zip(benchmark.items, benchmark.requests(), strict=True)
            if item.part == part
        ]
        started = time.process_time()
        answers = engine.answer(requests)
        seconds = time.process_time() - started
        responses |= {answer.id: answer for answer in answers}
        costs[part] = (tokens(engine, requests, answers), seconds)
    print(measured_on())
    for line in table(benchmark, responses, costs):
        print(line)


def table(
    benchmark: Benchmark, responses: dict[str, Response], costs: dict[str, tuple[int, float]]
) -> Iterator[str]:
    """The table's lines: a line a part, then the suite."""
    scores = benchmark.score(responses)
    yield "| task | metric | items | score | 95 % interval | counts as 0 | above | tokens | processor seconds |"
    yield "|---|---|---:|---:|---:|---:|---|---:|---:|"
    for part in benchmark.parts:
        metric, item_scores = next((n, s) for n, s in scores.parts[part].items() if n != TASK_SCORE)
        score, low = item_scores.score, benchmark.spec.parts[part].low
        n_tokens, seconds = costs[part]
        yield (
            f"| {part} | `{metric}` | {score.n} | {score.value:.3f} | {score.low:.3f} to {score.high:.3f} | {low:.3f} "
            f"| {'yes' if score.low > low else 'no'} | {n_tokens:,} | {seconds:.0f} |"
        )
    for group, by_metric in scores.groups.items():
        score = by_metric[TASK_SCORE].score
        yield f"| all of {group} | `{TASK_SCORE}` | {score.n} | {score.value:.3f} | {score.low:.3f} to {score.high:.3f} | 0 | | | |"
    score = scores.scores[TASK_SCORE].score
    total, seconds = (sum(cost[index] for cost in costs.values()) for index in (0, 1))
    yield (
        f"| the suite | `{TASK_SCORE}` | {score.n} | {score.value:.3f} | {score.low:.3f} to {score.high:.3f} | 0 "
        f"| | {total:,.0f} | {seconds:.0f} |"
    )


def tokens(engine: Engine, requests: Sequence[Request], answers: Sequence[Response]) -> int:
    """Tokens that are read, each shared beginning once, and tokens that are generated."""
    nodes: dict[tuple[int, int], int] = {}
    for encoded in engine.request_encoder.encode(requests):
        for choice in encoded.choices or ([],):
            node = 0
            for token in [*encoded.prompt, *choice]:
                node = nodes.setdefault((node, token), len(nodes) + 1)
    return len(nodes) + sum(answer.tokens for answer in answers if answer.choice is None)


if __name__ == "__main__":
    main()
