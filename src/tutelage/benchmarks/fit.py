"""Worked examples left out, the last ones first, where a question does not fit into the model's context with all of them."""

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


def fitted(benchmark: Benchmark, measure: Measure, context: int | None) -> Benchmark:
    """The same questions with as many whole examples as the context takes; an item says how many were left out.

    Only texts that might be too long are turned into tokens: no tokenizer makes more tokens of a text than it has bytes.

    Args:
        benchmark: its items have all their examples.
        measure: how long requests are.
        context: the tokens that the model can read; None where nothing bounds them.

    Raises:
        InputError: a question does not fit even without examples; InputErrors for several.
    """
    if context is None:
        return benchmark
    forms = sorted({item.form for item in benchmark.items})
    around = max(measure([Request("", "generate", "", form=form) for form in forms]), default=0) + _SPARE
    items = list(benchmark.items)
    left = [at for at, item in enumerate(items) if _bytes(item, benchmark) + around > context]
    errors: list[InputError] = []
    while left:
        lengths = measure([items[at].request(benchmark.spec.parts[items[at].part]) for at in left])
        long = [(at, length) for at, length in zip(left, lengths, strict=True) if length > context]
        errors += [_too_long(items[at], length, context) for at, length in long if not items[at].exemplars]
        left = [at for at, _ in long if items[at].exemplars]
        for at in left:
            items[at] = items[at].without_last_shot()
    raise_all(f"questions of {benchmark.name}", errors[:MAX_MISTAKES])
    return replace(benchmark, items=tuple(items))


def dropped(benchmark: Benchmark) -> tuple[int, int]:
    """How many items lost examples, and how many examples."""
    short = [item.dropped for item in benchmark.items if item.dropped]
    return len(short), sum(short)


def _bytes(item: BenchmarkItem, benchmark: Benchmark) -> int:
    request = item.request(benchmark.spec.parts[item.part])
    said = len(request.prompt.encode()) + sum(len(text.encode()) + _SPARE for _, text in request.history)
    return said + max((len(choice.encode()) for choice in request.choices), default=request.max_new_tokens)


def _too_long(item: BenchmarkItem, length: int, context: int) -> InputError:
    return InputError(
        "the question does not fit into the model's context",
        where=item.id,
        found=f"{length} tokens with its answer" + (", without examples" if item.dropped else ""),
        expected=f"at most {context}",
        fix="take a model with a longer context, or leave the part out",
    )
