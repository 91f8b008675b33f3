"""`tutelage report RUN`: renders the page of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tutelage.cli import console
from tutelage.report import write


def report(
    run: Annotated[Path, typer.Argument(help="The run folder.", show_default=False)],
    json: Annotated[bool, console.Json] = False,
) -> None:
    """Write a run's page again from its results. Nothing is trained or evaluated."""
    path = write(run)
    console.show_result({"report": str(path)}, str(path), as_json=json)
