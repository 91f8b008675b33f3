"""`tutelage export RUN --to DIR`: the tuned model somewhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tutelage.cli import console


def export(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run folder, or a model folder.")],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="The folder to write.")],
    merge: Annotated[
        bool,
        typer.Option("--merge", help="Write the sum of base and adapter, so that nothing else is needed."),
    ] = False,
    json: Annotated[bool, console.Json] = False,
) -> int:
    """Write the tuned model with its tokenizer and chat template, loadable with plain transformers or peft."""
    from tutelage.models import export as write
    from tutelage.models import load, loading_lines, resolve

    source = resolve(run, say=console.say)
    write(load(source), to, merge=merge, base=source.base or source)
    lines = loading_lines(to, shown=str(to.absolute()))
    if json:
        console.print_json({"folder": str(to), "load": lines})
    else:
        console.show("\n".join(lines))
    return 0
