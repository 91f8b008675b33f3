"""`tutelage benchmarks list | show NAME | fetch NAME`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from tutelage.benchmarks import (
    Benchmark,
    BenchmarkInfo,
    BenchmarkItem,
    describe,
    fetch,
    is_missing_data,
    load,
    names,
)
from tutelage.cli import console
from tutelage.cli.options import Data
from tutelage.core.errors import InputError

_VARIANTS = ("ways", "filters", "subsets")
"""Fields of a spec whose names can stand behind the benchmark's."""
_MAX_EXAMPLES = 8
"""Of a benchmark with more parts, whose items look alike, only one example item is shown."""


def benchmarks(
    action: Annotated[
        Literal["list", "show", "fetch"],
        typer.Argument(help="What to do; fetch downloads its rows from the hub."),
    ] = "list",
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", help="A bundled benchmark, or the path of your own spec.", show_default=False
        ),
    ] = None,
    data: Data = None,
    json: Annotated[bool, console.Json] = False,
) -> None:
    """List the benchmarks that can be watched or evaluated on, show the prompts of one, or fetch its rows from the hub."""
    if action != "list":
        if name is None:
            raise InputError(
                f"`benchmarks {action}` needs a name",
                where="benchmarks",
                expected=", ".join(names()) + ", or the path of your own",
            )
        if action == "show":
            _show(name, data, as_json=json)
            return
        fetched = False
        for part, count in fetch(name):
            fetched = True
            console.show(f"  {part:<24}{count} file{'' if count == 1 else 's'}")
        if not fetched:
            console.show(f"{name}: its items come with its spec, and nothing has to be fetched")
        return
    entries = [_entry(bundled, data) for bundled in names()]
    if json:
        console.print_json({"benchmarks": entries})
        return
    rows = [
        [str(entry["name"]), str(entry["title"]), _items(entry), ", ".join(entry["ways"])]
        for entry in entries
    ]
    console.show_table(["name", "what it measures", "items", "ways"], rows, right=(2,))


def _entry(name: str, data: Path | None) -> dict[str, Any]:
    """A line of the list; without its data, a benchmark is still listed."""
    spec = describe(name)
    try:
        benchmark = load(name, data=data, limit=1)  # the rest is counted, not put into words
    except InputError as error:
        return {"name": name, **_about(spec), "items": None, "parts": None, **_unusable(error)}
    return {"name": name, **_about(spec), **_counts(benchmark)}


def _unusable(error: InputError) -> dict[str, str]:
    """Why a benchmark cannot be evaluated on: its data is `missing` or `wrong`, and the first mistake."""
    first = error.mistakes[0]
    location = f"{first.where}: " if first.where else ""
    return {"data": "missing" if is_missing_data(error) else "wrong", "why": f"{location}{first.problem}"}


def _about(spec: BenchmarkInfo) -> dict[str, Any]:
    return {
        "title": spec.title,
        "ways": list(getattr(spec, "ways", {})),
        "filters": list(getattr(spec, "filters", {})),
        "subsets": list(getattr(spec, "subsets", {})),
    }


def _counts(benchmark: Benchmark) -> dict[str, Any]:
    return {
        "items": sum(benchmark.sizes.values()),
        "parts": list(benchmark.parts),
        "missing_parts": list(benchmark.missing),
    }


def _items(entry: dict[str, Any]) -> str:
    if entry["items"] is None:
        return "data not here" if entry["data"] == "missing" else f"not usable: {entry['why']}"
    missing = len(entry["missing_parts"])
    parts = f", {missing} of {missing + len(entry['parts'])} parts not here" if missing else ""
    return f"{entry['items']}{parts}"


def _show(name: str, data: Path | None, *, as_json: bool) -> None:
    spec = describe(name)
    fields = ("description", "citation", "source", "licence", "language", "version", "aggregate")
    variants = {key: getattr(spec, key, {}) for key in _VARIANTS}
    facts: dict[str, Any] = {
        "name": name,
        **_about(spec),
        **{key: getattr(spec, key) for key in fields},
        **{key: {name: entry.title for name, entry in entries.items()} for key, entries in variants.items()},
    }
    missing: InputError | None = None
    try:
        benchmark = load(name, data=data)
    except InputError as error:
        facts |= {"items": None, "missing": error.as_json(), **_unusable(error)}
        missing = error
    else:
        facts |= {
            **_counts(benchmark),
            "name": benchmark.name,
            "metrics": _metrics(benchmark),
            "fingerprint": benchmark.fingerprint,
            "notes": list(benchmark.notes),
            "parts": _parts(benchmark),
        }
    if as_json:
        console.print_json(facts)
        return
    console.show(f"{facts['name']}: {facts['title']}")
    for label, line in _lines(facts):
        console.show(f"  {label:<12}{line}")
    if missing is None:
        _show_parts(facts["parts"])
    else:
        state = "Its data is not here" if facts["data"] == "missing" else "It cannot be used"
        console.show(f"{state}.\n{missing.block()}")


def _metrics(benchmark: Benchmark) -> list[str]:
    return list(dict.fromkeys(name for part in benchmark.parts for name in benchmark.metrics_of(part)))


def _parts(benchmark: Benchmark) -> list[dict[str, Any]]:
    counts = Counter(item.part for item in benchmark.items)
    first = {item.part: item for item in reversed(benchmark.items)}
    return [
        {
            "name": part,
            "title": benchmark.spec.parts[part].title,
            "kind": benchmark.spec.parts[part].kind,
            "group": benchmark.spec.parts[part].group,
            "metrics": list(benchmark.metrics_of(part)),
            "items": counts[part],
            "prompt": _full_prompt(first[part]),
            "choices": list(first[part].choices),
            **({"continuation": first[part].continuation} if first[part].continuation else {}),
            "references": list(first[part].references),
        }
        for part in benchmark.parts
    ]


def _full_prompt(item: BenchmarkItem) -> str:
    """Everything that a model reads before it answers; turns of a conversation are marked with their roles."""
    turns = [f"[{role}] {text}" for role, text in item.exemplar_turns]
    return "\n".join([*turns, f"[user] {item.full_prompt}"]) if turns else item.full_prompt


def _lines(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What is known of a benchmark except its parts, as label and text."""
    for key in ("description", "citation", "source", "licence", "language", "metrics", "aggregate", "items"):
        if facts.get(key):
            yield key, ", ".join(facts[key]) if key == "metrics" else str(facts[key])
    for kind in _VARIANTS:
        for name, title in facts[kind].items():
            yield kind[:-1], f"{name}: {title}"
    if facts.get("missing_parts"):
        yield "not here", ", ".join(facts["missing_parts"])
    for note in facts.get("notes", []):
        yield "note", note


def _show_parts(parts: list[dict[str, Any]]) -> None:
    rows = [[str(part[key]) for key in ("name", "kind", "items", "title")] for part in parts]
    if rows:
        console.show_table(["part", "asked as", "items", "what it is about"], rows, right=(2,))
    for part in parts if len(parts) <= _MAX_EXAMPLES else parts[:1]:
        console.show(f"An item of {part['name']}:\n{part['prompt']}")
        for key, label in (("choices", "choices"), ("references", "right")):
            if part[key]:
                console.show(f"{label}: {' | '.join(part[key])}")
        if "continuation" in part:
            console.show(f"compared behind each choice: {part['continuation']}")
        console.show("")
