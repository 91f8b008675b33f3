"""`tutelage train RECIPE`: only the tuning."""

from __future__ import annotations

from typing import Annotated

from tutelage.cli import console
from tutelage.cli.options import Data, Out, RecipeFile, Sets


def train(
    recipe: RecipeFile,
    out: Out = None,
    data: Data = None,
    sets: Sets = None,
    json: Annotated[bool, console.Json] = False,
) -> int:
    """Tune the model and measure nothing; `tutelage run` with the same recipe measures later."""
    from tutelage.cli.live import Live
    from tutelage.config import load
    from tutelage.job.run import train as do
    from tutelage.results.run_folder import RunFolder

    with Live() as live:
        folder = RunFolder(do(load(recipe, sets=sets or ()), out=out, data_dir=data, listener=live))
    if json:
        console.print_json({"run": str(folder.path), "model": str(folder.model)})
    else:
        console.show(f"the tuned model: {folder.model.absolute()}")
    return 0
