"""`tutelage protect RUN`: the scale of a finished run's change that keeps the most gain within budget."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from tutelage.cli import console
from tutelage.cli.live import LiveProgress
from tutelage.cli.options import Data, Out, RecipeOfRun, Strict
from tutelage.cli.run import exit_code, show_results
from tutelage.comparison.budgets import Budget, Nats
from tutelage.config.protect_block import PATH
from tutelage.core.errors import InputError


def protect(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")],
    budget: Annotated[
        list[str] | None,
        typer.Option(
            "--budget",
            metavar="NAME=POINTS|NATSnats",
            help="What a watched benchmark may lose at most, in points (5) or in nats an item (0.05nats); by default what the run's recipe "
            "retains, or 5 points. May be repeated.",
        ),
    ] = None,
    scale: Annotated[
        list[float] | None,
        typer.Option(
            "--scale",
            metavar="SHARE",
            min=0.0,
            max=1.0,
            help=f"A scale of the tuned change to be tried, by default {', '.join(f'{each:g}' for each in PATH)}. May be repeated.",
        ),
    ] = None,
    recipe: RecipeOfRun = None,
    data: Data = None,
    out: Out = None,
    strict: Strict = False,
    json: Annotated[bool, console.Json] = False,
) -> int:
    """Find the scale of a run's tuned change with the best gain within all budgets, without tuning again. If killed, it resumes."""
    from tutelage.job.protect_run import protect_run

    with LiveProgress() as live:
        outcome = protect_run(
            run,
            scales=scale or PATH,
            budgets=_budgets(budget or ()),
            recipe=recipe,
            out=out,
            data_dir=data,
            listener=live,
        )
    if json:
        console.print_json(outcome.results)
    else:
        show_results(outcome.results, outcome.folder)
    return exit_code(outcome, strict=strict)


def _budgets(texts: Sequence[str]) -> dict[str, Budget]:
    """The budgets by benchmark.

    Raises:
        InputError: a text is no name with points or nats.
    """
    budgets: dict[str, Budget] = {}
    for text in texts:
        name, _, amount = text.rpartition("=")
        number = amount.strip().removesuffix("nats")
        try:
            budgets[name.strip()] = float(number) if number == amount.strip() else Nats(float(number))
        except ValueError:
            name = ""
        if not name.strip():
            raise InputError(
                "not a budget",
                where="--budget",
                found=text,
                expected="a watched benchmark and its points or nats",
                fix="write --budget general-probe=5, or --budget mmlu:cloze=0.05nats",
            )
    return budgets
