"""`tutelage benchmarks list | show NAME`."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tutelage.cli import console
from tutelage.cli.options import Data
from tutelage.core.errors import InputError

if TYPE_CHECKING:
    from tutelage.benchmarks import Benchmark


class Action(StrEnum):
    """What to do."""

    LIST = "list"
    SHOW = "show"


def benchmarks(
    action: Annotated[Action, typer.Argument(help="What to do.")] = Action.LIST,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", help="A bundled benchmark, or the path of your own spec.", show_default=False
        ),
    ] = None,
    data: Data = None,
    json: Annotated[bool, console.Json] = False,
) -> None:
    """List the benchmarks that can be watched or evaluated on, or show what one of them asks."""
    if action is Action.LIST:
        _list(data, as_json=json)
        return
    if name is None:
        from tutelage.benchmarks import names

        raise InputError(
            "`benchmarks show` needs a name",
            where="benchmarks",
            expected=", ".join(names()) + ", or the path of your own",
        )
    _show(name, data, as_json=json)


def _list(data: Path | None, *, as_json: bool) -> None:
    from tutelage.benchmarks import names

    found = [_entry(name, data) for name in names()]
    if as_json:
        console.print_json({"benchmarks": found})
        return
    rows = [[str(one["name"]), str(one["title"]), _items(one)] for one in found]
    console.show_table(["name", "what it measures", "items"], rows, right=(2,))


def _entry(name: str, data: Path | None) -> dict[str, Any]:
    """A benchmark in short; one whose items are not at hand says so and does not hide the others."""
    from tutelage.benchmarks import load

    try:
        benchmark = load(name, data=data)
    except InputError as error:
        return {"name": name, "title": error.problem, "items": None, "parts": None}
    return _in_short(benchmark)


def _in_short(benchmark: Benchmark) -> dict[str, Any]:
    return {
        "name": benchmark.name,
        "title": benchmark.spec.title,
        "items": len(benchmark.items),
        "parts": list(benchmark.parts),
    }


def _items(one: dict[str, Any]) -> str:
    return "not at hand" if one["items"] is None else str(one["items"])


def _show(name: str, data: Path | None, *, as_json: bool) -> None:
    from tutelage.benchmarks import load

    benchmark = load(name, data=data)
    spec = benchmark.spec
    counts = Counter(item.part for item in benchmark.items)
    first = {item.part: item for item in reversed(benchmark.items)}
    parts = [
        {
            "name": part,
            "title": spec.parts[part].title,
            "kind": spec.parts[part].kind,
            "items": counts[part],
            "prompt": first[part].prompt,
        }
        for part in benchmark.parts
    ]
    told = {
        **_in_short(benchmark),
        "description": spec.description,
        "licence": spec.licence,
        "language": spec.language,
        "metrics": list(spec.metrics),
        "version": spec.version,
        "fingerprint": benchmark.fingerprint,
        "parts": parts,
    }
    if as_json:
        console.print_json(told)
        return
    console.show(f"{benchmark.name}: {spec.title}")
    for key in ("description", "licence", "language", "metrics", "items"):
        if told[key]:
            console.show(f"  {key:<12}{', '.join(told[key]) if key == 'metrics' else told[key]}")
    rows = [[str(part["name"]), str(part["kind"]), str(part["items"]), str(part["title"])] for part in parts]
    console.show_table(["part", "asked as", "items", "what it is about"], rows, right=(2,))
    for part in parts:
        console.show(f"An item of {part['name']}:\n{part['prompt']}\n")
