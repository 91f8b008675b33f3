"""What refuses a recipe before any weight is loaded, the same for `run` and `inspect`: benchmarks, and what the rows are to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tutelage import benchmarks as library
from tutelage.benchmarks import Benchmark
from tutelage.benchmarks.right_answers import why_without_log_probabilities
from tutelage.comparison.budgets import Nats, no_log_probabilities
from tutelage.config.schema import Recipe
from tutelage.core.errors import InputError, raise_all
from tutelage.evaluation.preflight import fit_benchmark
from tutelage.job.context import budgets_of
from tutelage.job.tracking import check_track
from tutelage.job.tuning import step_count
from tutelage.models import LoadedTokenizer, ModelSource, adapter_refusal
from tutelage.prepare.preparation import Prepared
from tutelage.prepare.recipe_mixture import check_replay_pool
from tutelage.protection.scale_search import check_gains


def watched_benchmarks(recipe: Recipe, data_dir: Path | None) -> tuple[Benchmark, ...]:
    """The watched benchmarks of a recipe.

    Raises:
        InputError: there is no such benchmark, its data is wrong, one is watched twice, or a budget cannot be measured.
    """
    benchmarks = tuple(
        library.load(
            watch.benchmark,
            data=data_dir,
            limit=library.Limit(watch.limit, first=watch.first),
            shots=watch.shots,
            root=recipe.root,
        )
        for watch in recipe.watch
    )
    counts = Counter(benchmark.name for benchmark in benchmarks)
    if repeated := sorted(name for name, count in counts.items() if count > 1):
        raise InputError(
            "a benchmark is watched twice",
            where="watch",
            found=", ".join(repeated),
            fix="remove one of them",
        )
    _check_nats(recipe, benchmarks)
    return benchmarks


def _check_nats(recipe: Recipe, benchmarks: tuple[Benchmark, ...]) -> None:
    """Refuse budgets in nats of benchmarks whose right answers have no log-probability, all at once."""
    budgets = budgets_of(recipe, benchmarks)
    reasons = {
        watch.benchmark: why_without_log_probabilities(benchmark)
        for watch, benchmark in zip(recipe.watch, benchmarks, strict=True)
        if isinstance(budgets.get(benchmark.name), Nats)
    }
    errors = [no_log_probabilities(name, reason) for name, reason in reasons.items() if reason is not None]
    raise_all("retain", errors)


def fitted(
    recipe: Recipe, benchmarks: Sequence[Benchmark], tokenizer: LoadedTokenizer
) -> tuple[Benchmark, ...]:
    """The watched benchmarks with as many exemplars as the model's context takes.

    Raises:
        InputError: a question is too long for the model, or needs a chat template that it lacks.
    """
    return tuple(
        fit_benchmark(benchmark, tokenizer, reserved=recipe.tune.virtual) for benchmark in benchmarks
    )


def check_rows(recipe: Recipe, rows: Prepared, benchmarks: Sequence[Benchmark]) -> None:
    """Refuse a search, a tracking or a replay for which the rows do not suffice.

    Raises:
        InputError: they do not.
    """
    if recipe.protect is not None and recipe.protect.scales:
        check_gains(rows.questions)
    steps = step_count(recipe, rows)
    check_track(recipe, rows.questions, benchmarks, steps=steps)
    check_replay_pool(recipe, rows.mixture, steps * recipe.tune.batch_size)


def check_inspected(
    recipe: Recipe, rows: Prepared, source: ModelSource, tokenizer: LoadedTokenizer, data_dir: Path | None
) -> None:
    """Refuse what a run of the recipe would refuse, beside what its rows and their tokens show.

    Raises:
        InputError: a run would.
    """
    if source.base is not None and recipe.continues is None:
        raise adapter_refusal(source.name)
    check_rows(recipe, rows, fitted(recipe, watched_benchmarks(recipe, data_dir), tokenizer))
