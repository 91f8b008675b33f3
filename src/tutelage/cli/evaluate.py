"""`tutelage evaluate MODEL --benchmark NAME`: score a model as it is."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from tutelage.cli import console
from tutelage.cli.evaluation_table import show
from tutelage.cli.options import Data, Out
from tutelage.evaluation.options import EvaluationOptions, meaning


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
    chat_template: Annotated[
        str | None, typer.Option("--chat-template", metavar="NAME", help=meaning("chat_template"))
    ] = None,
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
        benchmarks=tuple(name.strip() for text in benchmark for name in text.split(",") if name.strip()),
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
        show(evaluation.document)
        console.show(f"responses: {(evaluation.folder / STORE_FILE).absolute()}")
    measured = [*evaluation.document["benchmarks"].values(), *evaluation.document.get("base", {}).values()]
    return 1 if any(scores.get("self_check", {}).get("wrong") for scores in measured) else 0
