"""`tutelage report RUN`: renders the page of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tutelage.cli import console
from tutelage.report import live_page, write


def report(
    run: Annotated[Path, typer.Argument(help="The run folder.", show_default=False)],
    json: Annotated[bool, console.Json] = False,
) -> None:
    """Write a run's page again from its results, or of a run that is not finished from what it has. Nothing is trained or evaluated."""
    path = live_page.write(run) if live_page.is_unfinished(run) else write(run)
    console.show_result({"report": str(path)}, str(path), as_json=json)
