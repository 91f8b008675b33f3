"""Fixed samples of what a run measures, small enough to be asked at many steps of its training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tutelage.benchmarks import Benchmark, BenchmarkItem, Limit
from tutelage.benchmarks.sampling import sample
from tutelage.core import hashing
from tutelage.core.types import Prompted, Request
from tutelage.prepare.encoding import Questions, TaskQuestions
from tutelage.tokens.encoder import conversation_text


@dataclass(frozen=True, slots=True)
class StepSamples:
    """What is asked at each measured step.

    Attributes:
        tasks: the tasks, each with some of its validation rows.
        benchmarks: the watched benchmarks, each with some of its items.
        left_out: tasks without validation rows.
    """

    tasks: tuple[TaskQuestions, ...]
    benchmarks: tuple[Benchmark, ...]
    left_out: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        """The sha256 of what is asked and how it is scored."""
        tasks = [
            [
                task.name,
                list(task.task.metrics),
                [[*_text(question), *question[0].references] for question in task.validation],
            ]
            for task in self.tasks
        ]
        return hashing.of_json([tasks, [benchmark.fingerprint for benchmark in self.benchmarks]])

    @property
    def size(self) -> int:
        """How many questions there are."""
        return sum(len(task.validation) for task in self.tasks) + sum(
            len(benchmark.items) for benchmark in self.benchmarks
        )


def draw_samples(
    tasks: Sequence[TaskQuestions], benchmarks: Sequence[Benchmark], *, items: int, seed: int
) -> StepSamples:
    """Draw a sample of each task's validation rows and of each benchmark's items.

    Samples are drawn by hashes of the texts: each is the same for every model and machine.

    Args:
        tasks: the tasks, with their validation questions.
        benchmarks: what is watched.
        items: the most questions of each. What is judged together, such as a row in all wordings, is taken whole; the first such
            group is taken whatever its size.
        seed: another one draws other questions.
    """
    return StepSamples(
        tuple(
            replace(task, validation=_sample_questions(task, items, seed))
            for task in tasks
            if task.validation
        ),
        tuple(_sample_benchmark(benchmark, items, seed) for benchmark in benchmarks),
        tuple(task.name for task in tasks if not task.validation),
    )


def _sample_questions(task: TaskQuestions, items: int, seed: int) -> Questions:
    return tuple(
        sample(
            task.validation,
            Limit(items),
            key=lambda question: "\n".join([str(seed), *_text(question)]),
            unit=(lambda question: question[0].id) if task.in_all_wordings else None,
        )
    )


def _text(question: tuple[Prompted, Request]) -> list[str]:
    request = question[1]
    return [conversation_text(request.prompt, request.history), *request.choices]


def _sample_benchmark(benchmark: Benchmark, items: int, seed: int) -> Benchmark:
    """The benchmark with a sample of its items, each part with its share of them."""
    by_part = {part: [item for item in benchmark.items if item.part == part] for part in benchmark.parts}
    counts = _allot(items, {part: len(of_part) for part, of_part in by_part.items()})
    ids = {
        item.id
        for part, count in counts.items()
        for item in sample(
            by_part[part],
            Limit(count),
            key=lambda item: "\n".join([str(seed), item.full_prompt, *item.choices]),
            unit=_cluster_of if any(item.cluster is not None for item in by_part[part]) else None,
        )
    }
    return replace(benchmark, items=tuple(item for item in benchmark.items if item.id in ids))


def _cluster_of(item: BenchmarkItem) -> str:
    return item.id if item.cluster is None else item.cluster


def _allot(items: int, sizes: Mapping[str, int]) -> dict[str, int]:
    """Spread items over parts: one each where there are enough, the rest by size and largest remainders.

    Parts that get none are left out.
    """
    total = sum(sizes.values())
    if items >= total:
        return dict(sizes)
    each = 1 if items >= len(sizes) else 0
    rest = items - each * len(sizes)
    shares = {part: rest * (size - each) / (total - each * len(sizes)) for part, size in sizes.items()}
    counts = {part: each + math.floor(share) for part, share in shares.items()}
    by_remainder = sorted(shares, key=lambda part: shares[part] % 1, reverse=True)
    for part in by_remainder[: items - sum(counts.values())]:
        counts[part] += 1
    return {part: count for part, count in counts.items() if count}
