"""`tutelage compare`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from tutelage.cli import console
from tutelage.comparison import Outcome, RunComparison, compare_runs, wording
from tutelage.comparison.flips import Flip, flipped_items
from tutelage.comparison.pairing import UnpairedItems
from tutelage.core.errors import InputError
from tutelage.core.strictjson import shorten

COLUMNS = (
    "",
    "metric",
    "first",
    "second",
    "difference",
    "95 % interval",
    "n",
    "newly right",
    "newly wrong",
    "p",
    "p by Holm",
)
_FAMILIES = (
    "Tests are paired. p by Holm is adjusted over the primary metrics of all benchmarks as one family, of all tasks as "
    "another; the parts of each of the two are families of their own."
)
_SHOWN = 300  # characters of a prompt, its end: that is where the question stands


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Run folders or folders of evaluations; each is compared with the first.", show_default=False
        ),
    ],
    seed: Annotated[int, typer.Option(help="Seed of the paired tests.")] = 0,
    items: Annotated[
        int,
        typer.Option(
            "--items",
            metavar="N",
            min=0,
            help="Show N newly right and N newly wrong items of each, with both answers.",
        ),
    ] = 0,
    json: Annotated[bool, console.Json] = False,
) -> None:
    """Compare runs or evaluations on the same items. Of a run it is the tuned model that is compared.

    Differences are the later one minus the first. Nothing is answered again: what both measured is read from their
    results. Items that only one was asked are left out, and counted.
    """
    if len(runs) < 2:
        raise InputError(
            "one alone cannot be compared", where="compare", found=str(runs[0]), expected="two or more"
        )
    found = compare_runs(*runs, seed=seed)
    changed = [flipped_items(runs[0], other, most=items) if items else [] for other in runs[1:]]
    if json:
        told = [_told(one, some) for one, some in zip(found, changed, strict=True)]
        console.print_json(told[0] if len(told) == 1 else {"comparisons": told})
        return
    for one, some in zip(found, changed, strict=True):
        _show(one)
        for change in some:
            _show_change(one, change)


def _told(one: RunComparison, changed: Sequence[Flip]) -> dict[str, Any]:
    return {**one.as_json(), **({"items": [asdict(change) for change in changed]} if changed else {})}


def _show_change(one: RunComparison, change: Flip) -> None:
    console.show(f"\n{change.name}, {change.item}: newly {'right' if change.right else 'wrong'}")
    console.show(f"  asked      {shorten(change.prompt[-_SHOWN:], _SHOWN)}")
    console.show(f"  right      {' | '.join(shorten(text, 80) for text in change.references)}")
    for label, answer in zip((one.base, one.tuned), change.answers, strict=True):
        console.show(f"  {label[:10]:<11}{shorten(answer, 200)}")


def _show(one: RunComparison) -> None:
    console.show(one.comparison.verdict.sentence)
    outcomes: Mapping[str, Outcome] = {**one.comparison.tasks, **one.comparison.watched}
    rows = [line for name, outcome in outcomes.items() for line in _lines(name, outcome)]
    columns = [*COLUMNS[:2], one.base, one.tuned, *COLUMNS[4:]]
    console.show_table(columns, rows, right=tuple(range(2, len(COLUMNS))))
    console.show(_FAMILIES)
    for some in one.left_out:
        console.show(_left_out(one, some))
    for name, owner in one.not_compared:
        console.show(f"Not compared: {name}, which only {owner} measured.")


def _left_out(one: RunComparison, some: UnpairedItems) -> str:
    counts = {
        f"that only {one.base} was asked": some.only_base,
        f"that only {one.tuned} was asked": some.only_tuned,
        "that were asked otherwise": some.otherwise,
    }
    told = ", ".join(f"{count} {subject}" for subject, count in counts.items() if count)
    averages = (
        f"; without {' and '.join(some.averages)}, whose weights are of all items" if some.averages else ""
    )
    return f"Left out of {some.name}: {told}; {some.both} items are compared{averages}."


def _lines(name: str, outcome: Outcome) -> list[list[str]]:
    found = [_line(name, outcome, metric) for metric in outcome.difference]
    return [*found, *(_line(f"  {part}", inner, inner.primary) for part, inner in outcome.parts.items())]


def _line(name: str, outcome: Outcome, metric: str) -> list[str]:
    difference = outcome.difference[metric]

    def display_value(value: float, *, sign: bool = False) -> str:
        return wording.number(wording.display_value(metric, value), sign=sign)

    return [
        name,
        wording.metric_wording(metric).label,
        display_value(outcome.base[metric].value),
        display_value(outcome.tuned[metric].value),
        display_value(difference.value, sign=True),
        f"{display_value(difference.low, sign=True)} to {display_value(difference.high, sign=True)}",
        str(difference.n),
        *(map(str, outcome.newly) if outcome.newly is not None and metric == outcome.primary else ("", "")),
        f"{difference.p:.4f}",
        "" if difference.p_adjusted is None else f"{difference.p_adjusted:.4f}",
    ]
