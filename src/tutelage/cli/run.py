"""`tutelage run RECIPE`, the whole job, and `tutelage train RECIPE`, which only tunes. If killed, the same command resumes it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tutelage.cli import console
from tutelage.cli.live import LiveProgress
from tutelage.cli.live_page import watched
from tutelage.cli.options import Data, From, Out, RecipeFile, Sets, Strict
from tutelage.job.stage_plan import plan_of_run, plan_of_training
from tutelage.results.name_marks import name_marks
from tutelage.results.run_folder import RunFolder

if TYPE_CHECKING:
    from tutelage.job.run import RunResult


def run(
    recipe: RecipeFile,
    continues: From = None,
    out: Out = None,
    data: Data = None,
    sets: Sets = None,
    strict: Strict = False,
    live: Annotated[
        bool,
        typer.Option(
            "--live", help="Write the page every few seconds while the run is at work; open it in a browser."
        ),
    ] = False,
    json: Annotated[bool, console.Json] = False,
) -> int:
    """Prepare the data, evaluate the base model, tune it, evaluate the tuned model, compare, and write the report."""
    from tutelage.config import load
    from tutelage.config.identity import run_folder
    from tutelage.job.run import run as run_recipe

    with LiveProgress() as progress:
        read = load(recipe, sets=sets or (), continues=continues)
        folder = run_folder(read, out).path
        progress.begin(plan_of_run(read), folder)
        with watched(progress, folder) if live else nullcontext(progress) as listener:
            outcome = run_recipe(read, out=out, data_dir=data, listener=listener)
    if json:
        console.print_json(outcome.results)
    else:
        show_results(outcome.results, outcome.folder)
    return exit_code(outcome, strict=strict)


def exit_code(outcome: RunResult, *, strict: bool) -> int:
    """1 if something lost more than its stated budget or no scale is within it; with `strict` also where it cannot be told."""
    return 1 if outcome.over_budget or (strict and outcome.undecided) else 0


def train(
    recipe: RecipeFile,
    continues: From = None,
    out: Out = None,
    data: Data = None,
    sets: Sets = None,
    json: Annotated[bool, console.Json] = False,
) -> None:
    """Tune the model without evaluating it; `tutelage run` with the same recipe evaluates it later."""
    from tutelage.config import load
    from tutelage.config.identity import run_folder
    from tutelage.job.run import train as train_recipe

    with LiveProgress() as live:
        read = load(recipe, sets=sets or (), continues=continues)
        live.begin(plan_of_training(), run_folder(read, out).path)
        folder = RunFolder(train_recipe(read, out=out, data_dir=data, listener=live))
    document = {"run": str(folder.path), "model": str(folder.model)}
    console.show_result(document, f"the tuned model: {folder.model.absolute()}", as_json=json)


def show_results(results: Mapping[str, Any], folder: Path) -> None:
    """Print a run's scores, its verdict and where its report is."""
    from tutelage.comparison import lost_items
    from tutelage.results import diagnosis_document

    rows = [
        row
        for group in ("tasks", "watched")
        for name, measured in results[group].items()
        for row in _rows(name + name_marks(measured.get("told", {})), measured)
    ]
    console.show_table(["", "metric", "base", "tuned", "difference", "p"], rows, right=(2, 3, 4, 5))
    console.show(results["verdict"]["sentence"])
    for name, measured in results["watched"].items():
        if lost := measured.get("lost_items"):
            console.show(lost_items.sentence(name, lost))
    for key in ("protection", "curve"):
        if sentence := results.get(key, {}).get("sentence"):
            console.show(sentence)
    for line in _sequence_lines(results.get("sequence")):
        console.show(line)
    for sentence in diagnosis_document.sentences(folder, results):
        console.show(sentence)
    console.show(f"report: {RunFolder(folder.absolute()).report}")
    console.show(f"talk to it: tutelage chat {folder} --against base")


def _sequence_lines(sequence: Mapping[str, Any] | None) -> list[str]:
    """A line for each earlier task of a sequence, then what became of all of them."""
    if sequence is None:
        return []
    from tutelage.comparison.wording import format_number

    last = str(len(sequence["stages"]) - 1)
    lines = []
    for name, task in sequence["tasks"].items():
        if change := task.get("change"):
            after, now = (task["scores"][stage]["value"] for stage in (str(task["stage"]), last))
            value, low, high = (format_number(change[key], sign=True) for key in ("value", "low", "high"))
            lines.append(
                f"{name}, taught in stage {task['stage']}: {format_number(after)} then, {format_number(now)} now "
                f"({value} points, 95 % interval {low} to {high})"
            )
    return [*lines, sequence["sentence"]]


def _rows(name: str, measured: Mapping[str, Any]) -> list[list[str]]:
    """The rows of a task or benchmark: its metrics, and the loss in nats where its budget is in nats."""
    rows = [_row(name, metric, measured) for metric in measured["base"] if metric in measured["tuned"]]
    budget = measured.get("budget", {})
    if "nats" in budget:
        change = f"{-budget['loss']:+.3f} [{-budget['high']:+.3f}, {-budget['low']:+.3f}]"
        label = f"nats an item, budget {budget['nats']:g}: {budget['word']}"
        sides = (f"{budget[side]:.3f}" for side in ("base", "tuned"))
        rows.append([name, label, *sides, change, f"{budget['p_adjusted']:.4f}"])
    return rows


def _row(name: str, metric: str, measured: Mapping[str, Any]) -> list[str]:
    difference = measured["difference"][metric]
    return [
        name,
        metric + (" *" if metric == measured["primary"] else ""),
        _interval(measured["base"][metric]),
        _interval(measured["tuned"][metric]),
        f"{difference['value']:+.3f} [{difference['low']:+.3f}, {difference['high']:+.3f}]",
        f"{difference['p'] if difference['p_adjusted'] is None else difference['p_adjusted']:.4f}",
    ]


def _interval(score: Mapping[str, Any]) -> str:
    return f"{score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}]"
