"""`tutelage submit MODEL --benchmark glue --to DIR`: answer a leaderboard's test sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tutelage.cli import console
from tutelage.cli.options import ChatTemplate, Data, Out
from tutelage.evaluation.options import SubmissionOptions, meaning


def _help(field: str) -> str:
    return meaning(field, SubmissionOptions)


def submit(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=_help("model"))],
    benchmark: Annotated[str, typer.Option("--benchmark", metavar="NAME", help=_help("benchmark"))],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help=_help("to"))],
    chat_template: ChatTemplate = None,
    data: Data = None,
    out: Out = None,
    json: Annotated[bool, console.Json] = False,
) -> None:
    """Answer test sets without labels and write the leaderboard's files, all or none. If killed, it resumes."""
    from tutelage.cli.live import LiveProgress
    from tutelage.evaluation.submit import submit as answer_and_write

    options = SubmissionOptions(
        model=model, benchmark=benchmark, to=to, chat_template=chat_template, data_dir=data, out=out
    )
    with LiveProgress() as live:
        result = answer_and_write(options, listener=live)
    if json:
        console.print_json(
            {
                "folder": str(result.folder),
                "responses": str(result.responses),
                "predictions": dict(result.predictions),
                "invalid": dict(result.invalid),
            }
        )
        return
    console.show_table(
        ["file", "predictions"],
        [[name, str(count)] for name, count in result.predictions.items()],
        right=(1,),
    )
    for part, count in result.invalid.items():
        console.show(f"{part}: {count} answers are no label; the first label stands in their place")
    console.show(f"written to {result.folder.absolute()}; responses: {result.responses.absolute()}")
