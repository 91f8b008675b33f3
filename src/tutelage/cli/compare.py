"""`tutelage compare RUN RUN`: compares runs or evaluations item by item; `tutelage compare RUN` a run's base with its tuned model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from tutelage.cli import console, failure_text
from tutelage.comparison import RunComparison, compare_runs, wording
from tutelage.comparison.flips import Flip, flipped_items
from tutelage.comparison.one_run import compare_sides, item_groups
from tutelage.comparison.pairing import UnpairedItems
from tutelage.core.strictjson import shorten
from tutelage.report.caveats import sentences
from tutelage.report.slices import HEAD, slice_tables
from tutelage.results.name_marks import name_marks

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
            help="Run folders or folders of evaluations; each is compared with the first. Of a single run: its base with its tuned "
            "model, and where it still fails.",
            show_default=False,
        ),
    ],
    seed: Annotated[int, typer.Option(help="Seed of the paired tests.")] = 0,
    items: Annotated[
        int | None,
        typer.Option(
            "--items",
            metavar="N",
            min=0,
            help="Show N items that became right and N that became wrong, with both answers; of a single run also N that are still "
            "wrong or cut off, 3 by default.",
            show_default=False,
        ),
    ] = None,
    json: Annotated[bool, console.Json] = False,
) -> None:
    """Compare runs or evaluations on the same items; a run stands for its tuned model. A single run is compared with its base.

    Differences are the later one minus the first. Nothing is evaluated again: answers are read from the results. Items that
    only one side has are left out and counted.
    """
    if len(runs) == 1:
        _compare_sides(runs[0], limit=3 if items is None else items, as_json=json)
        return
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


def _compare_sides(run: Path, *, limit: int, as_json: bool) -> None:
    """Show a run's verdict, its scores, and where it still fails with `limit` items of each group."""
    sides = compare_sides(run)
    if as_json:
        console.print_json(sides.as_json())
        return
    console.show(sides.results["verdict"]["sentence"])
    outcomes = {
        name + name_marks(outcome.get("told", {})): outcome
        for group in ("tasks", "watched")
        for name, outcome in sides.results[group].items()
    }
    _show_table(outcomes, "base", "tuned")
    for name, outcome in sides.results["tasks"].items():
        for table in slice_tables(outcome.get("slices")):
            console.show(f"\n{name} by {table.column} ({table.metric}):")
            columns = [table.column, *map(str.lower, HEAD)]
            console.show_table(columns, table.rows, right=tuple(range(1, len(HEAD))))
            console.show(table.note)
    for failures, groups in zip(sides.failures, item_groups(run, sides.failures, limit=limit), strict=True):
        failure_text.show(failures, groups)


def _show_flip(comparison: RunComparison, flip: Flip) -> None:
    console.show(f"\n{flip.name}, {flip.item}: newly {'right' if flip.right else 'wrong'}")
    console.show(f"  asked      {shorten(flip.prompt[-_PROMPT_CHARACTERS:], _PROMPT_CHARACTERS)}")
    console.show(f"  right      {' | '.join(shorten(text, 80) for text in flip.references)}")
    for label, answer in zip((comparison.base, comparison.tuned), flip.answers, strict=True):
        console.show(f"  {label[:10]:<11}{shorten(answer, 200)}")


def _show(comparison: RunComparison) -> None:
    console.show(comparison.comparison.verdict.sentence)
    compared = comparison.comparison.as_json()
    outcomes = {
        name + comparison.marks(name): outcome
        for group in ("tasks", "watched")
        for name, outcome in compared[group].items()
    }
    _show_table(outcomes, comparison.base, comparison.tuned)
    for name, sides in comparison.caveats.items():
        for side, reasons in sides.items():
            label = comparison.base if side == "base" else comparison.tuned
            for sentence in sentences(reasons):
                console.show(f"{name}, {label}: {sentence}")
    for unpaired in comparison.left_out:
        console.show(_unpaired_note(comparison, unpaired))
    for name, label in comparison.not_compared:
        console.show(f"Not compared: {name}, which only {label} measured.")


def _show_table(outcomes: Mapping[str, Mapping[str, Any]], base: str, tuned: str) -> None:
    """The table of all that was compared, in the form of results.json."""
    rows = [line for name, outcome in outcomes.items() for line in _lines(name, outcome)]
    console.show_table([*COLUMNS[:2], base, tuned, *COLUMNS[4:]], rows, right=tuple(range(2, len(COLUMNS))))
    console.show(_HOLM_NOTE)


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


def _lines(name: str, outcome: Mapping[str, Any]) -> list[list[str]]:
    lines = [_line(name, outcome, metric) for metric in outcome["difference"]]
    parts = outcome.get("parts", {}).items()
    return [*lines, *(_line(f"  {part}", inner, inner["primary"]) for part, inner in parts)]


def _line(name: str, outcome: Mapping[str, Any], metric: str) -> list[str]:
    difference = outcome["difference"][metric]
    adjusted = difference.get("p_adjusted")

    def on_scale(value: float, *, sign: bool = False) -> str:
        return wording.format_score(metric, value, sign=sign)

    flips = [str(outcome.get(key, "")) for key in ("newly_right", "newly_wrong")]
    return [
        name,
        wording.metric_label(metric),
        on_scale(outcome["base"][metric]["value"]),
        on_scale(outcome["tuned"][metric]["value"]),
        on_scale(difference["value"], sign=True),
        f"{on_scale(difference['low'], sign=True)} to {on_scale(difference['high'], sign=True)}",
        str(difference["n"]),
        *(flips if metric == outcome["primary"] else ("", "")),
        wording.format_p(difference["p"]),
        "" if adjusted is None else wording.format_p(adjusted),
    ]
