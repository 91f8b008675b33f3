"""`tutelage compare`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from tutelage.cli import console
from tutelage.compare import Outcome, RunComparison, compare_runs, words
from tutelage.core.errors import InputError

COLUMNS = ("", "metric", "first", "second", "difference", "95 % interval", "n", "p", "adjusted")


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Run folders or folders of evaluations; each is compared with the first.", show_default=False
        ),
    ],
    seed: Annotated[int, typer.Option(help="Seed of the paired tests.")] = 0,
    json: Annotated[bool, console.Json] = False,
) -> None:
    """Compare runs or evaluations on the same items. Of a run it is the tuned model that is compared.

    Differences are the later one minus the first. Nothing is answered again: what both measured is read from their
    results, and items must be the same.
    """
    if len(runs) < 2:
        raise InputError(
            "one alone cannot be compared", where="compare", found=str(runs[0]), expected="two or more"
        )
    found = compare_runs(*runs, seed=seed)
    if json:
        console.print_json(
            found[0].as_json() if len(found) == 1 else {"comparisons": [one.as_json() for one in found]}
        )
        return
    for one in found:
        _show(one)


def _show(one: RunComparison) -> None:
    console.show(one.comparison.verdict.sentence)
    outcomes: Mapping[str, Outcome] = {**one.comparison.tasks, **one.comparison.watched}
    rows = [line for name, outcome in outcomes.items() for line in _lines(name, outcome)]
    columns = [*COLUMNS[:2], one.base, one.tuned, *COLUMNS[4:]]
    console.show_table(columns, rows, right=(2, 3, 4, 5, 6, 7, 8))
    for name, owner in one.not_compared:
        console.show(f"Not compared: {name}, which only {owner} measured.")


def _lines(name: str, outcome: Outcome) -> list[list[str]]:
    found = [_line(name, outcome, metric) for metric in outcome.difference]
    return [*found, *(_line(f"  {part}", inner, inner.primary) for part, inner in outcome.parts.items())]


def _line(name: str, outcome: Outcome, metric: str) -> list[str]:
    difference = outcome.difference[metric]

    def on_scale(value: float, *, sign: bool = False) -> str:
        return words.number(words.on_scale(metric, value), sign=sign)

    return [
        name,
        words.of_metric(metric).label,
        on_scale(outcome.base[metric].value),
        on_scale(outcome.tuned[metric].value),
        on_scale(difference.value, sign=True),
        f"{on_scale(difference.low, sign=True)} to {on_scale(difference.high, sign=True)}",
        str(difference.n),
        f"{difference.p:.4f}",
        "" if difference.p_adjusted is None else f"{difference.p_adjusted:.4f}",
    ]
