"""`tutelage predict MODEL FILE --out FILE`: a model's answers to rows or to lines of standard input."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from tutelage.cli import console
from tutelage.cli.options import ChatTemplate, Data, RecipeOfRun, names_in
from tutelage.prediction.options import PredictionOptions, meaning

_STDIN = "-"


def predict(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=meaning("model"))],
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="Rows, in any format and layout that recipes take; answers need not stand in them. "
            "A .txt file: a question a line. - or nothing: so are the lines of standard input.",
            show_default=False,
        ),
    ] = _STDIN,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help=meaning("out") + " Default: JSON lines on standard output."
        ),
    ] = None,
    task: Annotated[str | None, typer.Option("--task", metavar="NAME", help=meaning("task"))] = None,
    prompt: Annotated[
        str | None, typer.Option("--prompt", metavar="TEMPLATE", help=meaning("prompt"))
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option("--keep", metavar="COL[,COL]", help=meaning("keep") + " May be repeated."),
    ] = None,
    max_new_tokens: Annotated[
        int | None, typer.Option("--max-new-tokens", metavar="N", min=1, help=meaning("max_new_tokens"))
    ] = None,
    temperature: Annotated[
        float, typer.Option("--temperature", min=0.0, max=5.0, help=meaning("temperature"))
    ] = 0.0,
    top_p: Annotated[float, typer.Option("--top-p", min=0.0, max=1.0, help=meaning("top_p"))] = 1.0,
    n: Annotated[int, typer.Option("--n", metavar="N", min=1, help=meaning("n"))] = 1,
    seed: Annotated[int, typer.Option("--seed", help=meaning("seed"))] = 0,
    chat_template: ChatTemplate = None,
    recipe: RecipeOfRun = None,
    data: Data = None,
    json: Annotated[bool, console.Json] = False,
) -> None:
    """Answer rows, or lines of standard input, with a model; a run is asked through its recipe's own prompt.

    With --out, the same command resumes after any stop, and the file is whole or absent.
    """
    from tutelage.cli.live import LiveProgress
    from tutelage.prediction.predict import predict as answer
    from tutelage.prediction.rows import LINES
    from tutelage.prediction.table import json_line

    options = PredictionOptions(
        model=model,
        task=task,
        prompt=prompt,
        chat_template=chat_template,
        keep=names_in(keep or []),
        recipe=recipe,
        data_dir=data,
        out=out,
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        top_p=top_p,
        n=n,
        seed=seed,
    )
    rows = _lines() if file == _STDIN else Path(file)
    with LiveProgress() as live:
        predictions = answer(options, rows, shown=LINES, listener=live)
    if json:
        console.print_json(predictions.as_json())
    elif out is None:
        for record in predictions.records:
            # Characters that control a terminal would be left out when shown: as escapes they stay in the data.
            console.show(console.CONTROLS.sub(lambda mark: f"\\u{ord(mark[0]):04x}", json_line(record)))
    else:
        console.show(f"{len(predictions.records)} answers to {predictions.rows} rows: {out}")
    if predictions.cut:
        console.say(
            f"{predictions.cut} of {len(predictions.records)} answers were cut off at the most new tokens: "
            "allow more with --max-new-tokens"
        )


def _lines() -> list[str]:
    """The lines of standard input."""
    from tutelage.prediction.rows import LINES, lines_of

    if sys.stdin.isatty():
        console.say("Write a question a line; Ctrl-D ends.")
    return lines_of(sys.stdin.buffer.read(), where=LINES)
