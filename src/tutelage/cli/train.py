"""`tutelage train RECIPE`: tunes without evaluating."""

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
    """Tune the model without evaluating it; `tutelage run` with the same recipe evaluates it later."""
    from tutelage.cli.live import LiveProgress
    from tutelage.config import load
    from tutelage.job.run import train as train_recipe
    from tutelage.results.run_folder import RunFolder

    with LiveProgress() as live:
        folder = RunFolder(train_recipe(load(recipe, sets=sets or ()), out=out, data_dir=data, listener=live))
    document = {"run": str(folder.path), "model": str(folder.model)}
    console.show_result(document, f"the tuned model: {folder.model.absolute()}", as_json=json)
    return 0
