"""`tutelage evaluate MODEL --benchmark NAME`: score a model as it is."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from tutelage.cli import console
from tutelage.cli.options import Data, Out
from tutelage.cli.scored import show
from tutelage.evaluation.options import EvaluationOptions, meaning


class Against(StrEnum):
    """What else is asked."""

    BASE = "base"


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
        Against | None, typer.Option("--against", help="base: " + meaning("against_base"))
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
    """Ask a model every item and print its scores with 95 % intervals. Responses are kept: if killed, it resumes."""
    from tutelage.cli.live import LiveProgress
    from tutelage.evaluation.evaluate import evaluate as do
    from tutelage.results.run_folder import STORE_FILE

    options = EvaluationOptions(
        model=model,
        benchmarks=tuple(name.strip() for text in benchmark for name in text.split(",") if name.strip()),
        limit=limit,
        first=first,
        shots=shots,
        against_base=against is Against.BASE,
        self_check=self_check,
        chat_template=chat_template,
        data_dir=data,
        out=out,
    )
    with LiveProgress() as live:
        found = do(options, listener=live)
    if json:
        console.print_json(found.document)
    else:
        show(found.document)
        console.show(f"responses: {(found.folder / STORE_FILE).absolute()}")
    both = [*found.document["benchmarks"].values(), *found.document.get("base", {}).values()]
    return 1 if any(one.get("self_check", {}).get("wrong") for one in both) else 0
