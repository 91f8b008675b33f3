"""`tutelage runs [list | show RUN | remove RUN ...]`."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from tutelage.cli import console
from tutelage.core.errors import InputError
from tutelage.results import stored_runs
from tutelage.results.stored_runs import StoredRun


def runs(
    action: Annotated[Literal["list", "show", "remove"], typer.Argument(help="What to do.")] = "list",
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUN", help="The run's folder, or its name in DIR.", show_default=False),
    ] = None,
    folder: Annotated[
        Path, typer.Option("--in", metavar="DIR", help="The folder in which the runs are.")
    ] = Path("runs"),
    yes: Annotated[bool, typer.Option("--yes", help="With remove: do not ask.")] = False,
    json: Annotated[bool, console.Json] = False,
) -> None:
    """List runs with their states and sizes, show what a run holds, or remove runs from the disk."""
    _check(action, names or [], yes=yes)
    if action == "list":
        _list(folder, as_json=json)
        return
    paths = [stored_runs.find(name, folder) for name in names or []]
    if action == "show":
        _show([stored_runs.describe(path) for path in paths], folder, as_json=json)
    else:
        _remove(paths, folder, yes=yes, as_json=json)


def _check(action: str, names: list[str], *, yes: bool) -> None:
    if action == "list" and names:
        raise InputError(
            "`runs list` takes no names",
            where="runs list",
            found=", ".join(names),
            fix=f"tutelage runs show {names[0]}, or --in {names[0]} to list the runs in that folder",
        )
    if action != "list" and not names:
        raise InputError(
            f"`runs {action}` needs a run",
            where=f"runs {action}",
            expected="the folder of a run, or its name in runs/",
            fix="`tutelage runs` lists them",
        )
    if yes and action != "remove":
        raise InputError("the option belongs to remove", where="--yes", fix="leave it away")


def _list(folder: Path, *, as_json: bool) -> None:
    listed = stored_runs.stored_runs(folder)
    if as_json:
        console.print_json({"folder": str(folder), "runs": [_as_json(run) for run in listed]})
        return
    if not listed:
        console.show(f"no run in {folder}")
        return
    rows = [
        [run.path.name, run.state, _date(run.changed), megabytes(run.size), _about(run)] for run in listed
    ]
    console.show_table(["run", "state", "last written", "MB", ""], rows, right=(3,))
    console.show(f"{megabytes(sum(run.size for run in listed))} MB in {len(listed)} runs")


def _show(described: list[StoredRun], folder: Path, *, as_json: bool) -> None:
    if as_json:
        console.print_json({"runs": [_as_json(run) for run in described]})
        return
    for run in described:
        facts = {
            "run": str(run.path),
            "state": f"in use by {run.user}" if run.user else run.state,
            "model": str(run.recipe.get("continues") or run.recipe.get("model", "")),
            "tasks": ", ".join(_tasks(run)),
            "verdict": run.verdict,
            "last written": _date(run.changed),
            "size": f"{megabytes(run.size)} MB",
            **{f"  {part}": f"{megabytes(size)} MB" for part, size in sorted(run.sizes.items())},
            "named by": ", ".join(map(str, stored_runs.continued_by(run.path, folder))),
        }
        console.show("\n".join(f"{key:<26}{value}" for key, value in facts.items() if value))


def _remove(paths: list[Path], folder: Path, *, yes: bool, as_json: bool) -> None:
    described = [stored_runs.describe(path) for path in {path.resolve(): path for path in paths}.values()]
    for run in described:
        stored_runs.check_removable(run.path)
    for run in described:
        console.say(f"{run.path}: {run.state}, {megabytes(run.size)} MB")
        for other in stored_runs.continued_by(run.path, folder):
            console.say(f"  {other} is made from it")
    if not yes and not _is_confirmed(len(described)):
        console.show_result({"removed": []}, "nothing was removed", as_json=as_json)
        return
    for run in described:
        stored_runs.remove(run.path)
    removed = [{"run": str(run.path), "bytes": run.size} for run in described]
    total = megabytes(sum(run.size for run in described))
    console.show_result({"removed": removed}, f"removed: {total} MB", as_json=as_json)


def _is_confirmed(number: int) -> bool:
    """Ask on the terminal.

    Raises:
        InputError: standard input is none.
    """
    if not sys.stdin.isatty():
        raise InputError(
            "nobody can be asked whether the runs shall be removed",
            where="runs remove",
            found="a standard input that is no terminal",
            fix="add --yes",
        )
    console.say(f"Remove {'it' if number == 1 else f'these {number} runs'} for good? [y/N]")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _as_json(run: StoredRun) -> dict[str, Any]:
    return {
        "run": str(run.path),
        "state": run.state,
        "model": run.recipe.get("model"),
        "continues": run.recipe.get("continues"),
        "tasks": _tasks(run),
        "verdict": run.verdict,
        "changed": datetime.fromtimestamp(run.changed).astimezone().isoformat(timespec="seconds"),
        "bytes": run.size,
        "parts": run.sizes,
        "in_use_by": str(run.user) if run.user else None,
    }


def _tasks(run: StoredRun) -> list[str]:
    tasks = run.recipe.get("tasks")
    return [
        str(task.get("name")) for task in (tasks if isinstance(tasks, list) else []) if isinstance(task, dict)
    ]


def _about(run: StoredRun) -> str:
    """What a run taught which model, in a few words."""
    model = Path(str(run.recipe.get("model", "?"))).name
    return f"{', '.join(_tasks(run))} on {model}"


def _date(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds).astimezone():%Y-%m-%d %H:%M}"


def megabytes(size: int) -> str:
    """Bytes as megabytes (10^6), with a decimal below 100."""
    return f"{size / 1e6:,.1f}" if size < 1e8 else f"{size / 1e6:,.0f}"
