"""`tutelage compare RUN RUN`: compares runs or evaluations item by item."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tutelage.cli import console
from tutelage.comparison import RunComparison, TaskComparison, compare_runs, wording
from tutelage.comparison.flips import Flip, flipped_items
from tutelage.comparison.pairing import UnpairedItems
from tutelage.core.errors import InputError
from tutelage.core.strictjson import shorten
from tutelage.report.caveats import sentences

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
_HOLM_NOTE = (
    "Tests are paired. p by Holm is adjusted over the primary metrics of all benchmarks as one family, of all tasks as "
    "another; the parts of each of the two are families of their own."
)
_PROMPT_CHARACTERS = 300  # of a prompt's end, where the question stands


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
            help="Show N items that became right and N that became wrong, with both answers.",
        ),
    ] = 0,
    json: Annotated[bool, console.Json] = False,
) -> None:
    """Compare runs or evaluations on the same items; a run stands for its tuned model.

    Differences are the later one minus the first. Nothing is evaluated again: answers are read from the results. Items that
    only one side has are left out and counted.
    """
    if len(runs) < 2:
        raise InputError(
            "there is nothing to compare with", where="compare", found=str(runs[0]), expected="two or more"
        )
    comparisons = compare_runs(*runs, seed=seed)
    flips = [flipped_items(runs[0], other, limit=items) if items else [] for other in runs[1:]]
    if json:
        documents = [
            comparison.as_json() | ({"items": [asdict(flip) for flip in pair]} if pair else {})
            for comparison, pair in zip(comparisons, flips, strict=True)
        ]
        console.print_json(documents[0] if len(documents) == 1 else {"comparisons": documents})
        return
    for comparison, flips_of_pair in zip(comparisons, flips, strict=True):
        _show(comparison)
        for flip in flips_of_pair:
            _show_flip(comparison, flip)


def _show_flip(comparison: RunComparison, flip: Flip) -> None:
    console.show(f"\n{flip.name}, {flip.item}: newly {'right' if flip.right else 'wrong'}")
    console.show(f"  asked      {shorten(flip.prompt[-_PROMPT_CHARACTERS:], _PROMPT_CHARACTERS)}")
    console.show(f"  right      {' | '.join(shorten(text, 80) for text in flip.references)}")
    for label, answer in zip((comparison.base, comparison.tuned), flip.answers, strict=True):
        console.show(f"  {label[:10]:<11}{shorten(answer, 200)}")


def _show(comparison: RunComparison) -> None:
    console.show(comparison.comparison.verdict.sentence)
    outcomes: Mapping[str, TaskComparison] = {**comparison.comparison.tasks, **comparison.comparison.watched}
    rows = [
        line for name, outcome in outcomes.items() for line in _lines(name + comparison.marks(name), outcome)
    ]
    columns = [*COLUMNS[:2], comparison.base, comparison.tuned, *COLUMNS[4:]]
    console.show_table(columns, rows, right=tuple(range(2, len(COLUMNS))))
    console.show(_HOLM_NOTE)
    for name, sides in comparison.caveats.items():
        for side, reasons in sides.items():
            label = comparison.base if side == "base" else comparison.tuned
            for sentence in sentences(reasons):
                console.show(f"{name}, {label}: {sentence}")
    for unpaired in comparison.left_out:
        console.show(_unpaired_note(comparison, unpaired))
    for name, label in comparison.not_compared:
        console.show(f"Not compared: {name}, which only {label} measured.")


def _unpaired_note(comparison: RunComparison, unpaired: UnpairedItems) -> str:
    counts = {
        f"that only {comparison.base} was asked": unpaired.only_base,
        f"that only {comparison.tuned} was asked": unpaired.only_tuned,
        "that were asked otherwise": unpaired.otherwise,
    }
    reasons = ", ".join(f"{count} {reason}" for reason, count in counts.items() if count)
    shares = (
        "; its score is the mean of their shares in F1, correlations and the like over all items, an approximation"
        if unpaired.approximate
        else ""
    )
    without = f"; without {' and '.join(unpaired.averages)}, whose weights are of all items"
    averages = without if unpaired.averages else ""
    return f"Left out of {unpaired.name}: {reasons}; {unpaired.both} items are compared{shares}{averages}."


def _lines(name: str, outcome: TaskComparison) -> list[list[str]]:
    lines = [_line(name, outcome, metric) for metric in outcome.difference]
    return [*lines, *(_line(f"  {part}", inner, inner.primary) for part, inner in outcome.parts.items())]


def _line(name: str, outcome: TaskComparison, metric: str) -> list[str]:
    difference = outcome.difference[metric]

    def on_scale(value: float, *, sign: bool = False) -> str:
        return wording.format_number(wording.display_value(metric, value), sign=sign)

    return [
        name,
        wording.metric_wording(metric).label,
        on_scale(outcome.base[metric].value),
        on_scale(outcome.tuned[metric].value),
        on_scale(difference.value, sign=True),
        f"{on_scale(difference.low, sign=True)} to {on_scale(difference.high, sign=True)}",
        str(difference.n),
        *(map(str, outcome.flips) if outcome.flips is not None and metric == outcome.primary else ("", "")),
        f"{difference.p:.4f}",
        "" if difference.p_adjusted is None else f"{difference.p_adjusted:.4f}",
    ]
