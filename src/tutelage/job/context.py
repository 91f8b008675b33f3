"""What all stages of a run share: the recipe, its folder, the listener and the clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tutelage.benchmarks import Benchmark
from tutelage.comparison.budgets import Budget
from tutelage.config.contradictions import check_tune
from tutelage.config.identity import record, run_folder
from tutelage.config.retain_block import as_budget
from tutelage.config.schema import Recipe
from tutelage.core.clock import Clock
from tutelage.core.provenance import provenance, timestamp
from tutelage.evaluation.progress import Listener, SilentListener
from tutelage.prepare import template_clock
from tutelage.protection.self_replay import ReplayCounts
from tutelage.results.folder_claim import check_claimable
from tutelage.results.run_folder import RunFolder


@dataclass(frozen=True, slots=True)
class RunContext:
    """What all stages of a run share.

    Attributes:
        recipe: the recipe.
        record: the same with every default filled in, as the folder and its results record it.
        folder: the run folder.
        data_dir: the folder of `local` data files.
        listener: receives progress.
        clock: what chat templates read when they ask for the time.
        started: the time of the start, as provenance states it.
        start_time: the same by `time.monotonic`, in seconds.
        replayed: what became of the base's own answers that are mixed in; None without self-replay.
    """

    recipe: Recipe
    record: Mapping[str, Any]
    folder: RunFolder
    data_dir: Path | None
    listener: Listener
    clock: Clock
    started: str
    start_time: float
    replayed: ReplayCounts | None = None

    @property
    def four_bit(self) -> bool:
        """Whether base and tuned model are both held in 4 bits: what is scored is what was tuned."""
        return self.recipe.tune.method == "qlora"

    def budgets(self, benchmarks: Sequence[Benchmark]) -> dict[str, Budget]:
        """The budgets that the recipe states, by the benchmarks' full names: it may name them by path or without their way."""
        return budgets_of(self.recipe, benchmarks)

    def say(self, stage: str) -> Callable[[str], None]:
        """A function that tells the listener a line about a stage."""
        return partial(self.listener.stage, stage)

    def provenance(self, *, ended: str | None = None) -> dict[str, Any]:
        """Versions, machine and times of this run, with what templates read of the clock."""
        return {**provenance(started=self.started, ended=ended), **template_clock.card_entry(self.clock)}


def budgets_of(recipe: Recipe, benchmarks: Sequence[Benchmark]) -> dict[str, Budget]:
    """The budgets that a recipe states, by the full names of its watched benchmarks."""
    watched = zip(recipe.watch, benchmarks, strict=True)
    return {
        benchmark.name: as_budget(recipe.retain[watch.benchmark])
        for watch, benchmark in watched
        if watch.benchmark in recipe.retain
    }


def start(
    recipe: Recipe, *, out: Path | None, data_dir: Path | None, listener: Listener | None
) -> RunContext:
    """Begin a run: check that the recipe's method takes its fields, and that the folder is free or this run's.

    Args:
        recipe: the recipe.
        out: the run folder; `runs/<name>-<hash>` by default.
        data_dir: the folder of `local` data files.
        listener: receives progress.

    Raises:
        InputError: it does not, or the folder holds another run or anything else.
    """
    listener = listener or SilentListener()
    for note in recipe.notes:
        listener.stage("recipe", note)
    check_tune(recipe.tune)
    folder = run_folder(recipe, out)
    recipe_record = record(recipe, folder)
    check_claimable(folder, recipe_record)
    return RunContext(
        recipe,
        recipe_record,
        folder,
        data_dir,
        listener,
        template_clock.clock_for(folder.path, day=recipe.date),
        started=timestamp(),
        start_time=time.monotonic(),
    )
