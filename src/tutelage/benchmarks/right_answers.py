"""Which of an item's choices are right, and how likely a model finds them: for losses in nats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from tutelage.benchmarks.items import BenchmarkItem
from tutelage.benchmarks.runner import Benchmark
from tutelage.core.types import Response
from tutelage.metrics.answer_log_probability import AnswerLogProbabilities
from tutelage.metrics.score import Row
from tutelage.metrics.scoring import cluster_numbers


def right_choices(item: BenchmarkItem) -> list[int]:
    """The indices of the choices that count as right; none where answers are generated."""
    references = {reference.strip() for reference in item.references}
    texts = item.predictions or item.choices
    return [index for index, text in enumerate(texts) if text.strip() in references]


def why_without_log_probabilities(benchmark: Benchmark) -> str | None:
    """Why right answers of a benchmark have no log-probability; None where all have one."""
    generating = [part for part in benchmark.parts if benchmark.spec.parts[part].kind == "generate"]
    if generating:
        return "answers are generated in " + ", ".join(generating[:5]) + (", ..." if generating[5:] else "")
    without = [item.id for item in benchmark.items if not right_choices(item)]
    if without:
        return f"{len(without)} items have no right choice, such as {without[0]}"
    return None


def answer_log_probabilities(
    benchmark: Benchmark, responses: Mapping[str, Response]
) -> AnswerLogProbabilities | None:
    """A model's log-probability of each item's right answer among its choices; of several right ones that of their union.

    Args:
        benchmark: what was asked.
        responses: by item id.

    Returns:
        The log-probabilities in the items' order; None where right answers have none.
    """
    if why_without_log_probabilities(benchmark) is not None:
        return None
    nats = [_share(responses[item.id].logprobs, right_choices(item)) for item in benchmark.items]
    rows = [Row("", item.references, cluster=item.cluster) for item in benchmark.items]
    return AnswerLogProbabilities(np.array(nats, np.float64), cluster_numbers(rows))


def _share(logprobs: Sequence[float], right: Sequence[int]) -> float:
    """The log of the share of the probability that some of the choices have; -inf where they have none."""
    values: npt.NDArray[np.float64] = np.array(logprobs, np.float64)
    with np.errstate(invalid="ignore"):
        return float(np.logaddexp.reduce(values[list(right)]) - np.logaddexp.reduce(values))
