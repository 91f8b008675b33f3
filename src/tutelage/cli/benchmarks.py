"""`tutelage benchmarks list | show NAME`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tutelage.cli import console
from tutelage.cli.options import Data
from tutelage.core.errors import InputError, InputErrors

if TYPE_CHECKING:
    from tutelage.benchmarks import Benchmark, BenchmarkItem, RowsSpec, Spec

_SHOWN = 8
"""Parts of which an item each is shown; of more, they are alike, and one of the first is."""


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
    rows = [[str(one["name"]), str(one["title"]), _items(one), ", ".join(one["ways"])] for one in found]
    console.show_table(["name", "what it measures", "items", "ways"], rows, right=(2,))


def _entry(name: str, data: Path | None) -> dict[str, Any]:
    """A benchmark in short; one whose items are not at hand says so and does not hide the others."""
    from tutelage.benchmarks import describe, load

    spec = describe(name)
    try:
        benchmark = load(name, data=data)
    except InputError as error:
        return {"name": name, **_about(spec), "items": None, "parts": None, **_unusable(error)}
    return {"name": name, **_about(spec), **_here(benchmark)}


def _unusable(error: InputError) -> dict[str, str]:
    """Why a benchmark cannot be asked: its data is `missing` or `wrong`, and what the first mistake is."""
    from tutelage.benchmarks import is_missing_data

    first = error.errors[0] if isinstance(error, InputErrors) else error
    place = f"{first.where}: " if first.where else ""
    return {"data": "missing" if is_missing_data(error) else "wrong", "why": f"{place}{first.problem}"}


def _about(spec: Spec | RowsSpec) -> dict[str, Any]:
    ways = getattr(spec, "ways", {})
    return {"title": spec.title, "ways": list(ways), "filters": list(getattr(spec, "filters", {}))}


def _here(benchmark: Benchmark) -> dict[str, Any]:
    return {
        "items": len(benchmark.items),
        "parts": list(benchmark.parts),
        "missing_parts": list(benchmark.missing),
    }


def _items(one: dict[str, Any]) -> str:
    if one["items"] is None:
        return "data not here" if one["data"] == "missing" else f"data is wrong: {one['why']}"
    missing = len(one["missing_parts"])
    return (
        f"{one['items']}, {missing} of {missing + len(one['parts'])} parts not here"
        if missing
        else str(one["items"])
    )


def _show(name: str, data: Path | None, *, as_json: bool) -> None:
    from tutelage.benchmarks import describe, load

    spec = describe(name)
    told: dict[str, Any] = {"name": name, **_about(spec)}
    for key in ("description", "citation", "source", "licence", "language", "version", "aggregate"):
        told[key] = getattr(spec, key)
    told["ways"] = {way: one.title for way, one in getattr(spec, "ways", {}).items()}
    told["filters"] = {key: one.title for key, one in getattr(spec, "filters", {}).items()}
    why: InputError | None = None
    try:
        benchmark = load(name, data=data)
    except InputError as error:
        told |= {"items": None, "missing": error.as_json(), **_unusable(error)}
        why = error
    else:
        told |= {
            **_here(benchmark),
            "name": benchmark.name,
            "metrics": list(benchmark.spec.metrics),
            "fingerprint": benchmark.fingerprint,
            "notes": list(benchmark.notes),
            "parts": _parts(benchmark),
        }
    if as_json:
        console.print_json(told)
        return
    _say(told)
    if why is not None:
        state = "not here" if told["data"] == "missing" else "wrong"
        console.show(f"Its data is {state}.\n{why.block()}")


def _parts(benchmark: Benchmark) -> list[dict[str, Any]]:
    counts = Counter(item.part for item in benchmark.items)
    first = {item.part: item for item in reversed(benchmark.items)}
    return [
        {
            "name": part,
            "title": benchmark.spec.parts[part].title,
            "kind": benchmark.spec.parts[part].kind,
            "group": benchmark.spec.parts[part].group,
            "items": counts[part],
            "prompt": _asked(first[part]),
            "choices": list(first[part].choices),
            "references": list(first[part].references),
        }
        for part in benchmark.parts
    ]


def _asked(item: BenchmarkItem) -> str:
    """All that a model reads before it answers; turns of a conversation are marked as such."""
    turns = [f"[{role}] {text}" for role, text in item.exemplar_turns]
    return "\n".join([*turns, f"[user] {item.full_prompt}"]) if turns else item.full_prompt


def _lines(told: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What is known of a benchmark but for its parts, as label and text."""
    for key in ("description", "citation", "source", "licence", "language", "metrics", "aggregate", "items"):
        if told.get(key):
            yield key, ", ".join(told[key]) if key == "metrics" else str(told[key])
    for kind in ("ways", "filters"):
        for name, title in told[kind].items():
            yield kind[:-1], f"{name}: {title}"
    if told.get("missing_parts"):
        yield "not here", ", ".join(told["missing_parts"])
    for note in told.get("notes", []):
        yield "note", note


def _say(told: dict[str, Any]) -> None:
    console.show(f"{told['name']}: {told['title']}")
    for label, line in _lines(told):
        console.show(f"  {label:<12}{line}")
    parts = told["parts"] if told["items"] else []
    rows = [[str(one["name"]), str(one["kind"]), str(one["items"]), str(one["title"])] for one in parts]
    if rows:
        console.show_table(["part", "asked as", "items", "what it is about"], rows, right=(2,))
    same = len(parts) > _SHOWN
    for one in parts[:1] if same else parts:
        console.show(f"An item of {one['name']}:\n{one['prompt']}")
        for label in ("choices", "references"):
            if one[label]:
                console.show(f"{'choices' if label == 'choices' else 'right'}: {' | '.join(one[label])}")
        console.show("")
