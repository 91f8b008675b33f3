"""`tutelage evaluate MODEL --benchmark NAME`: score a model as it is."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from tutelage.cli import console
from tutelage.cli.options import Data, Out
from tutelage.cli.scored import show


class Against(StrEnum):
    """What else is asked."""

    BASE = "base"


def evaluate(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A hub id, folder, .gguf file, run, or bundled name.")
    ],
    benchmark: Annotated[
        list[str],
        typer.Option(
            "--benchmark",
            metavar="NAME[,NAME]",
            help="What to score it on, one of its ways behind a colon (mmlu:cloze, mmlu:all); may be repeated.",
        ),
    ],
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit", metavar="N", min=1, help="At most N items of each part, a sample that never changes."
        ),
    ] = None,
    first: Annotated[
        bool, typer.Option("--first", help="With --limit: the first N instead of a sample.")
    ] = False,
    shots: Annotated[
        int | None,
        typer.Option(
            "--shots",
            metavar="K",
            min=0,
            help="Worked examples before each question; else as the benchmark says.",
        ),
    ] = None,
    against: Annotated[
        Against | None,
        typer.Option(
            "--against",
            help="base: what MODEL was tuned from is asked the same, and the two are compared.",
        ),
    ] = None,
    chat_template: Annotated[
        str | None,
        typer.Option(
            "--chat-template", metavar="NAME", help="A bundled chat template or a file; else the model's own."
        ),
    ] = None,
    self_check: Annotated[
        bool,
        typer.Option(
            "--self-check",
            help="Ask a few questions of each benchmark again, one by one and the plain way; exit 1 when they differ.",
        ),
    ] = False,
    data: Data = None,
    out: Out = None,
    json: Annotated[bool, console.Json] = False,
) -> int:
    """Ask a model every item and print its scores with 95 % intervals; responses are kept, a killed run goes on."""
    from tutelage.cli.live import Live
    from tutelage.benchmarks import Limit
    from tutelage.evaluation.evaluate import evaluate as do
    from tutelage.evaluation.preflight import EvaluationOptions
    from tutelage.results.run_folder import STORE_FILE

    names = [name.strip() for text in benchmark for name in text.split(",") if name.strip()]
    options = EvaluationOptions(
        model,
        tuple(names),
        limit=Limit(limit, first=first),
        shots=shots,
        against_base=against is Against.BASE,
        self_check=self_check,
        data_dir=data,
        chat_template=chat_template,
    )
    with Live() as live:
        found = do(options, out=out, listener=live)
    if json:
        console.print_json(found.document)
    else:
        show(found.document)
        console.show(f"responses: {(found.folder / STORE_FILE).absolute()}")
    both = [*found.document["benchmarks"].values(), *found.document.get("base", {}).values()]
    return 1 if any(one.get("self_check", {}).get("wrong") for one in both) else 0
