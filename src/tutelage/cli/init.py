"""`tutelage init FILE`: writes a first recipe for a data file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tutelage.cli import console


def init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A data file: .jsonl, .csv, .parquet, ...")],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="RECIPE", help="Write the recipe to this file instead of printing it."),
    ] = None,
    json: Annotated[bool, console.Json] = False,
) -> None:
    """Write a recipe for a data file: columns, lengths and metrics are guessed and explained in comments."""
    from tutelage.config.init import init as recipe_for
    from tutelage.core import files
    from tutelage.core.errors import InputError

    if out is not None and (out.exists() or out.is_symlink()):
        raise InputError(
            "the recipe would overwrite a file or folder",
            where=str(out),
            found="a folder" if out.is_dir() else "a file",
            expected="a new name",
            fix="name another file with --out",
        )
    text = recipe_for(file, folder=out.parent if out is not None else None)
    if out is not None:
        files.write_text(out, text)
    document = {"file": None if out is None else str(out), "recipe": text}
    shown = text.rstrip("\n") if out is None else f"recipe: {out}\nnext: tutelage run {out}"
    console.show_result(document, shown, as_json=json)
