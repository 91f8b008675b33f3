"""`tutelage diagnose RUN`: whether what a finished run forgot was knowledge or form."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tutelage.cli import console
from tutelage.cli.live import LiveProgress
from tutelage.cli.options import Data, RecipeOfRun
from tutelage.results.run_folder import RunFolder


def diagnose(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")],
    control: Annotated[
        bool,
        typer.Option(
            "--control", help="Let the base learn the same rows too, to see what they change by themselves."
        ),
    ] = False,
    recipe: RecipeOfRun = None,
    data: Data = None,
    json: Annotated[bool, console.Json] = False,
) -> None:
    """Ask whether lost items are still known, and whether ten of the base's own answers bring them back. If killed, it resumes."""
    from tutelage.job.diagnose_run import diagnose_run

    with LiveProgress() as live:
        outcome = diagnose_run(run, control=control, recipe=recipe, data_dir=data, listener=live)
    if json:
        console.print_json(outcome.diagnosis)
        return
    for sentence in outcome.diagnosis["sentences"]:
        console.show(sentence)
    console.show(f"report: {RunFolder(outcome.folder.absolute()).report}")
