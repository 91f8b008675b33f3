"""`tutelage evaluate MODEL --benchmark NAME`: score a model as it is."""

from __future__ import annotations

from typing import Annotated

import typer

from tutelage.cli import console
from tutelage.cli.options import Data, Out


def evaluate(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A hub id, folder, .gguf file, run, or bundled name.")
    ],
    benchmark: Annotated[
        list[str],
        typer.Option("--benchmark", metavar="NAME[,NAME]", help="What to score it on; may be repeated."),
    ],
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, help="Only the first N items of each part.")
    ] = None,
    chat_template: Annotated[
        str | None,
        typer.Option(
            "--chat-template", metavar="NAME", help="A bundled chat template or a file; else the model's own."
        ),
    ] = None,
    data: Data = None,
    out: Out = None,
    json: Annotated[bool, console.Json] = False,
) -> int:
    """Ask a model every item and print its scores with 95 % intervals; responses are kept, a killed run goes on."""
    from tutelage.cli.live import Live
    from tutelage.recipe.evaluate import evaluate as do

    names = [name.strip() for text in benchmark for name in text.split(",") if name.strip()]
    with Live() as live:
        found = do(
            model, names, limit=limit, data_dir=data, out=out, chat_template=chat_template, listen=live
        )
    if json:
        console.print_json(found.document)
        return 0
    rows = []
    for name, measured in found.document["benchmarks"].items():
        for part, scores in [("", measured["scores"]), *measured["parts"].items()]:
            for metric, score in scores.items():
                interval = f"[{score['low']:.3f}, {score['high']:.3f}]"
                rows.append(
                    [
                        name if not part else f"  {part}",
                        metric,
                        f"{score['value']:.3f}",
                        interval,
                        str(score["n"]),
                    ]
                )
    console.show_table(["benchmark", "metric", "value", "95 % interval", "n"], rows, right=(2, 3, 4))
    console.show(f"responses: {(found.folder / 'results.sqlite').absolute()}")
    return 0
