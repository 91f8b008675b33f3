"""Exemplars left out, the last ones first, where a question does not fit into the model's context with all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from tutelage.benchmarks.items import BenchmarkItem
from tutelage.benchmarks.runner import Benchmark
from tutelage.core.errors import InputError, raise_all
from tutelage.core.limits import MAX_MISTAKES
from tutelage.core.types import Request

Measure = Callable[[Sequence[Request]], Sequence[int]]
"""Requests to how many tokens each takes, prompt and longest answer together."""
_SPARE = 64
"""Tokens allowed for what a chat template writes around a turn."""


def fit_to_context(benchmark: Benchmark, measure: Measure, context: int | None) -> Benchmark:
    """Drop exemplars, the last ones first, from questions that are too long for the model; an item counts those it lost.

    Only texts that might be too long are turned into tokens: no tokenizer makes more tokens of a text than it has bytes.

    Args:
        benchmark: its items have all their exemplars.
        measure: gives the lengths of requests in tokens.
        context: the tokens that the model can read; None where nothing bounds them.

    Raises:
        InputError: a question does not fit even without exemplars; InputErrors for several.
    """
    if context is None:
        return benchmark
    forms = sorted({item.form for item in benchmark.items})
    template_tokens = max(measure([Request("", "generate", "", form=form) for form in forms]), default=0)
    items = list(benchmark.items)
    limit = context - template_tokens - _SPARE
    unfitted = [index for index, item in enumerate(items) if _bytes(item, benchmark) > limit]
    errors: list[InputError] = []
    while unfitted:
        lengths = measure(
            [items[index].request(benchmark.spec.parts[items[index].part]) for index in unfitted]
        )
        too_long = [pair for pair in zip(unfitted, lengths, strict=True) if pair[1] > context]
        errors += [
            _too_long(items[index], length, context)
            for index, length in too_long
            if not items[index].exemplar_count
        ]
        unfitted = [index for index, _ in too_long if items[index].exemplar_count]
        for index in unfitted:
            items[index] = items[index].without_last_exemplar()
    raise_all(f"questions of {benchmark.name}", errors[:MAX_MISTAKES])
    return replace(benchmark, items=tuple(items))


def count_dropped(benchmark: Benchmark) -> tuple[int, int]:
    """How many items lost exemplars, and how many exemplars they lost together."""
    counts = [item.dropped_exemplars for item in benchmark.items if item.dropped_exemplars]
    return len(counts), sum(counts)


def _bytes(item: BenchmarkItem, benchmark: Benchmark) -> int:
    """An upper bound of a question's tokens beside those of the chat template."""
    request = item.request(benchmark.spec.parts[item.part])
    prompt = len(request.prompt.encode()) + sum(len(text.encode()) + _SPARE for _, text in request.history)
    answer = max((len(choice.encode()) for choice in request.choices), default=request.max_new_tokens)
    return prompt + answer + len(request.continuation.encode())


def _too_long(item: BenchmarkItem, length: int, context: int) -> InputError:
    return InputError(
        "the question does not fit into the model's context",
        where=item.id,
        found=f"{length} tokens with its answer" + (", without examples" if item.dropped_exemplars else ""),
        expected=f"at most {context}",
        fix="take a model with a longer context, or leave the part out",
    )
