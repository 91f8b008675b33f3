"""`tutelage evaluate MODEL --benchmark NAME`: score a model as it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import typer

from tutelage.cli import console
from tutelage.cli.options import ChatTemplate, Data, Out, names_in
from tutelage.comparison import wording
from tutelage.evaluation.options import EvaluationOptions, meaning
from tutelage.report.caveats import sentences
from tutelage.results.name_marks import name_marks

_COLUMNS = ["benchmark", "metric", "value", "95 % interval", "n"]


def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=meaning("model"))],
    benchmark: Annotated[
        list[str],
        typer.Option("--benchmark", metavar="NAME[,NAME]", help=meaning("benchmarks") + " May be repeated."),
    ],
    limit: Annotated[int | None, typer.Option("--limit", metavar="N", min=1, help=meaning("limit"))] = None,
    first: Annotated[bool, typer.Option("--first", help=meaning("first"))] = False,
    shots: Annotated[int | None, typer.Option("--shots", metavar="K", min=0, help=meaning("shots"))] = None,
    against: Annotated[
        Literal["base"] | None, typer.Option("--against", help="base: " + meaning("against_base"))
    ] = None,
    chat_template: ChatTemplate = None,
    self_check: Annotated[
        bool, typer.Option("--self-check", help=meaning("self_check") + " Exit code 1 if they differ.")
    ] = False,
    data: Data = None,
    out: Out = None,
    json: Annotated[bool, console.Json] = False,
) -> int:
    """Score a model on benchmarks, with 95 % intervals. Responses are kept: if killed, it resumes."""
    from tutelage.cli.live import LiveProgress
    from tutelage.evaluation.evaluate import evaluate as evaluate_model
    from tutelage.results.run_folder import STORE_FILE

    options = EvaluationOptions(
        model=model,
        benchmarks=names_in(benchmark),
        limit=limit,
        first=first,
        shots=shots,
        against_base=against == "base",
        self_check=self_check,
        chat_template=chat_template,
        data_dir=data,
        out=out,
    )
    with LiveProgress() as live:
        evaluation = evaluate_model(options, listener=live)
    if json:
        console.print_json(evaluation.document)
    else:
        _show(evaluation.document)
        console.show(f"responses: {(evaluation.folder / STORE_FILE).absolute()}")
    measured = [*evaluation.document["benchmarks"].values(), *evaluation.document.get("base", {}).values()]
    return 1 if any(scores.get("self_check", {}).get("wrong") for scores in measured) else 0


def _show(document: Mapping[str, Any]) -> None:
    """Print the content of an `evaluation.json`."""
    benchmarks: Mapping[str, Mapping[str, Any]] = document["benchmarks"]
    rows = [row for name, measured in benchmarks.items() for row in _rows(name, measured)]
    console.show_table(_COLUMNS, rows, right=(2, 3, 4))
    if "base" in document:
        _show_differences(document["against_base"])
    for name, measured in benchmarks.items():
        for note in sentences(measured):
            console.show(f"{name}: {note}")


def _rows(name: str, measured: Mapping[str, Any]) -> Iterator[list[str]]:
    """The headline first, then groups and averages, then parts."""
    headline = measured.get("headline", "")
    marks = name_marks(measured)
    parts: Mapping[str, Any] = measured["parts"]
    if headline:
        yield from _lines(f"{name} ({headline}){marks}", parts[headline])
        yield from _lines("  all items", measured["scores"])
    else:
        yield from _lines(name + marks, measured["scores"])
    groups = [group for group in measured.get("groups", []) if group != headline]
    for part in [*groups, *(part for part in parts if part not in measured.get("groups", []))]:
        is_category = part.partition(": ")[0] in parts  # of one part, which is here
        yield from _lines(f"  {part}{marks if part in groups and not is_category else ''}", parts[part])


def _lines(label: str, scores: Mapping[str, Any]) -> Iterator[list[str]]:
    for metric, score in scores.items():
        value, low, high = (wording.format_score(metric, score[end]) for end in ("value", "low", "high"))
        yield [label, wording.metric_name(metric), value, f"[{low}, {high}]", str(score["n"])]
        label = ""


def _show_differences(against_base: Mapping[str, Mapping[str, Any]]) -> None:
    rows = []
    for name, compared in against_base.items():
        difference = compared["difference"][compared["primary"]]
        metric = compared["primary"]
        value, low, high = (
            wording.format_score(metric, difference[end], sign=True) for end in ("value", "low", "high")
        )
        p = difference["p"] if difference["p_adjusted"] is None else difference["p_adjusted"]
        rows.append([name, metric, value, f"[{low}, {high}]", wording.format_p(p)])
    console.show("with the adapter minus without it (p by Holm over the benchmarks):")
    console.show_table(["benchmark", "metric", "difference", "95 % interval", "p"], rows, right=(2, 3, 4))
