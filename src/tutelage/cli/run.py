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
    """1 if something lost more than its stated budget, no scale is within it, or a stated target is missed.

    With `strict` also where it cannot be told.
    """
    return 1 if outcome.over_budget or outcome.missed or (strict and outcome.undecided) else 0


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
    console.show(f"where it still fails: tutelage compare {folder}")
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
    from tutelage.comparison.wording import format_nats, format_p

    rows = [_row(name, metric, measured) for metric in measured["base"] if metric in measured["tuned"]]
    budget = measured.get("budget", {})
    if "nats" in budget:
        change, low, high = (format_nats(-budget[end]) for end in ("loss", "high", "low"))
        label = f"nats an item, budget {budget['nats']:g}: {budget['word']}"
        sides = (format_nats(budget[side]) for side in ("base", "tuned"))
        rows.append([name, label, *sides, f"{change} [{low}, {high}]", format_p(budget["p_adjusted"])])
    return rows


def _row(name: str, metric: str, measured: Mapping[str, Any]) -> list[str]:
    from tutelage.comparison import wording

    difference = measured["difference"][metric]
    p = difference["p"] if difference["p_adjusted"] is None else difference["p_adjusted"]
    return [
        name,
        wording.metric_label(metric) + (" *" if metric == measured["primary"] else ""),
        _interval(metric, measured["base"][metric]),
        _interval(metric, measured["tuned"][metric]),
        _interval(metric, difference, sign=True),
        wording.format_p(p),
    ]


def _interval(metric: str, score: Mapping[str, Any], *, sign: bool = False) -> str:
    from tutelage.comparison.wording import format_score

    value, low, high = (format_score(metric, score[end], sign=sign) for end in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"
