"""`tutelage report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tutelage.cli import console
from tutelage.report import write


def report(
    run: Annotated[Path, typer.Argument(help="The run's folder.", show_default=False)],
    json: Annotated[bool, console.Json] = False,
) -> None:
    """Write a run's page again, from what the run left. Nothing is trained or answered."""
    path = write(run)
    if json:
        console.print_json({"report": str(path)})
    else:
        console.show(str(path))
