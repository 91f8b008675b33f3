"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE", help="The recipe, a YAML file.")]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="The output folder; default: named after the settings."),
]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        envvar="TUTELAGE_DATA",
        help="A folder of datasets, searched before the network.",
    ),
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="PATH=VALUE", help="Change a field of the recipe: tune.epochs=3. May be repeated."
    ),
]
