"""`tutelage init FILE`: writes a first recipe for a data file, and asks which column answers where that is not clear."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tutelage.cli import console

if TYPE_CHECKING:
    from tutelage.config.init_columns import UnclearColumnsError


def init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A data file: .jsonl, .csv, .parquet, ...")],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="RECIPE", help="Write the recipe to this file instead of printing it."),
    ] = None,
    prompt: Annotated[
        list[str] | None,
        typer.Option(
            "--prompt",
            metavar="COLUMN",
            help="The column that asks; several columns stand in the prompt in order.",
        ),
    ] = None,
    completion: Annotated[
        str | None, typer.Option("--completion", metavar="COLUMN", help="The column that answers.")
    ] = None,
    json: Annotated[bool, console.Json] = False,
) -> None:
    """Write a recipe for a data file: columns, lengths, split and metrics follow from its rows and are explained in comments."""
    from tutelage.config.init import init as recipe_for
    from tutelage.config.init_columns import UnclearColumnsError
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
    folder = out.parent if out is not None else None
    try:
        text = recipe_for(file, folder=folder, prompt=prompt or (), completion=completion)
    except UnclearColumnsError as unclear:
        if json or not unclear.columns or not sys.stdin.isatty():
            raise
        asks, answers = _ask(unclear)
        text = recipe_for(file, folder=folder, prompt=[asks], completion=answers)
    if out is not None:
        files.write_text(out, text)
    document = {"file": None if out is None else str(out), "recipe": text}
    shown = (
        text.rstrip("\n")
        if out is None
        else f"recipe: {out}\nnext: tutelage inspect {out}, then tutelage run {out}"
    )
    console.show_result(document, shown, as_json=json)


def _ask(unclear: UnclearColumnsError) -> tuple[str, str]:
    """Ask on the terminal which column asks and which one answers; an empty line takes the guess."""
    names = [name for name, _ in unclear.columns]
    console.say(f"{unclear.problem}:")
    for number, (name, values) in enumerate(unclear.columns, 1):
        console.say(f"  {number}  {name}: {values}")
    reading = unclear.reading
    asks = _ask_for("asks (the prompt)", names, reading.prompt if reading else None)
    answers = _ask_for("answers (the completion)", names, reading.completion if reading else None)
    return asks, answers


def _ask_for(role: str, names: list[str], guess: str | None) -> str:
    while True:
        reply = str(typer.prompt(f"Which column {role}? Name or number", default=guess, err=True)).strip()
        if reply in names:
            return reply
        if reply.isdecimal() and 1 <= int(reply) <= len(names):
            return names[int(reply) - 1]
        console.say(f"no such column; name one of {', '.join(names)}")
