"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from tutelage.evaluation.options import meaning


def names_in(texts: Sequence[str]) -> tuple[str, ...]:
    """The names in the values of an option that may be repeated, each value a name or several separated by commas."""
    return tuple(name.strip() for text in texts for name in text.split(",") if name.strip())


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
ChatTemplate = Annotated[
    str | None, typer.Option("--chat-template", metavar="NAME", help=meaning("chat_template"))
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="PATH=VALUE", help="Change a field of the recipe: tune.epochs=3. May be repeated."
    ),
]
From = Annotated[
    Path | None,
    typer.Option(
        "--from",
        metavar="RUN",
        help="Train the tuned model of this finished run further, and see what its tasks lost: the recipe's `continues`.",
    ),
]
RecipeOfRun = Annotated[
    Path | None,
    typer.Option(
        "--recipe",
        metavar="FILE",
        help="The file of the run's recipe, where the command that made the run named it relative to another folder.",
    ),
]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict",
        help="Exit code 1 also where it cannot be told whether a budget or a target that the recipe states is kept.",
    ),
]
