"""`tutelage harness MODEL --tasks NAME`: tasks of an installed lm-evaluation-harness."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from tutelage.cli import console
from tutelage.cli.options import Data, Out, names_in
from tutelage.evaluation.options import meaning
from tutelage.harness.run import HarnessOptions


def _help(field: str) -> str:
    return meaning(field, HarnessOptions)


def harness(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=_help("model"))],
    tasks: Annotated[
        list[str],
        typer.Option("--tasks", metavar="NAME[,NAME]", help=_help("tasks") + " May be repeated."),
    ],
    limit: Annotated[int | None, typer.Option("--limit", metavar="N", min=1, help=_help("limit"))] = None,
    shots: Annotated[int | None, typer.Option("--shots", metavar="K", min=0, help=_help("shots"))] = None,
    chat: Annotated[bool, typer.Option("--chat", help=_help("chat"))] = False,
    system: Annotated[str | None, typer.Option("--system", metavar="TEXT", help=_help("system"))] = None,
    chat_template: Annotated[
        str | None, typer.Option("--chat-template", metavar="NAME", help=_help("chat_template"))
    ] = None,
    include: Annotated[Path | None, typer.Option("--include", metavar="DIR", help=_help("include"))] = None,
    data: Data = None,
    out: Out = None,
    json: Annotated[bool, console.Json] = False,
) -> None:
    """Run tasks of an installed lm-evaluation-harness (Tutelage's extra lm-eval) with shared prefixes."""
    from tutelage.cli.live import LiveProgress
    from tutelage.harness.run import run_tasks

    options = HarnessOptions(
        model=model,
        tasks=names_in(tasks),
        limit=limit,
        shots=shots,
        chat=chat,
        system=system,
        chat_template=chat_template,
        include=include,
        data_dir=data,
        out=out,
    )
    with LiveProgress() as live:
        result = run_tasks(options, listener=live)
    rows = list(_rows(result.document))
    if json:
        names = ("task", "filter", "metric", "value", "stderr", "n")
        console.print_json(
            {"folder": str(result.folder), "scores": [dict(zip(names, row, strict=True)) for row in rows]}
        )
        return
    cells = [
        [task, kind, metric, _shown(value), _shown(error), str(n)]
        for task, kind, metric, value, error, n in rows
    ]
    console.show_table(["task", "filter", "metric", "value", "stderr", "n"], cells, right=(3, 4, 5))
    if truncated := result.document["config"]["truncated_requests"]:
        console.show(f"{truncated} requests were too long for the model: their contexts lost the beginning")
    console.show(f"results and samples: {result.folder.absolute()}")


def _rows(document: Mapping[str, Any]) -> Iterator[tuple[str, str, str, float | None, float | None, int]]:
    """Task, filter, metric, value, standard error and number of documents, of tasks and groups."""
    scores = {**document.get("groups", {}), **document["results"]}
    for task, values in scores.items():
        n = document["n-samples"].get(task, {}).get("effective") or values.get("sample_len") or 0
        for key, value in values.items():
            metric, comma, kind = key.partition(",")
            if comma and not metric.endswith("_stderr"):
                yield task, kind, metric, _number(value), _number(values.get(f"{metric}_stderr,{kind}")), n


def _number(value: Any) -> float | None:
    """A number that JSON can hold; lm-eval writes "N/A" where there is none."""
    return float(value) if isinstance(value, int | float) and abs(value) < float("inf") else None


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
