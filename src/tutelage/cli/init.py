"""`tutelage init FILE`: a recipe to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tutelage.cli import console


def init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .jsonl, .csv or .tsv file.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="RECIPE", help="Write the recipe there instead of printing it."),
    ] = None,
    json: Annotated[bool, console.Json] = False,
) -> int:
    """Look at a data file and make a recipe for it: columns, lengths and metrics are guessed and commented."""
    from tutelage.config.init import init as make
    from tutelage.core import files
    from tutelage.core.errors import InputError

    if out is not None and (out.exists() or out.is_symlink()):
        raise InputError(
            "the recipe would overwrite what is there",
            where=str(out),
            found="a folder" if out.is_dir() else "a file",
            expected="a new name",
            fix="name another file with --out",
        )
    text = make(file, folder=out.parent if out is not None else None)
    if out is not None:
        files.write_text(out, text)
    if json:
        console.print_json({"file": str(out) if out is not None else None, "recipe": text})
    elif out is None:
        console.show(text.rstrip("\n"))
    else:
        console.show(f"recipe: {out}")
        console.show(f"next: tutelage run {out}")
    return 0
