"""An evaluation's scores for people: a table, and what must be known to read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tutelage.cli import console
from tutelage.report.caveats import sentences

_HEAD = ["benchmark", "metric", "value", "95 % interval", "n"]


def show(document: Mapping[str, Any]) -> None:
    """Print `evaluation.json`'s content."""
    rows = [row for name, one in document["benchmarks"].items() for row in _rows(name, one)]
    console.show_table(_HEAD, rows, right=(2, 3, 4))
    if "base" in document:
        _show_base(document)
    for name, one in document["benchmarks"].items():
        for note in sentences(one):
            console.show(f"{name}: {note}")


def _rows(name: str, one: Mapping[str, Any]) -> Iterator[list[str]]:
    """The headline first, then groups and averages, then parts."""
    head = one.get("headline", "")
    mark = ", incomplete" if "missing_parts" in one else ""
    parts: Mapping[str, Any] = one["parts"]
    if head:
        yield from _lines(f"{name} ({head}{mark})", parts[head])
        yield from _lines("  all items", one["scores"])
    else:
        yield from _lines(f"{name}{f' ({mark[2:]})' if mark else ''}", one["scores"])
    groups = [group for group in one.get("groups", []) if group != head]
    for part in [*groups, *(part for part in parts if part not in one.get("groups", []))]:
        yield from _lines(f"  {part}{mark if part in groups else ''}", parts[part])


def _lines(label: str, scores: Mapping[str, Any]) -> Iterator[list[str]]:
    for metric, score in scores.items():
        interval = f"[{score['low']:.3f}, {score['high']:.3f}]"
        yield [label, metric, f"{score['value']:.3f}", interval, str(score["n"])]
        label = ""


def _show_base(document: Mapping[str, Any]) -> None:
    rows = []
    for name, one in document["against_base"].items():
        difference = one["difference"][one["primary"]]
        interval = f"[{difference['low']:+.3f}, {difference['high']:+.3f}]"
        adjusted = difference["p_adjusted"]
        p = difference["p"] if adjusted is None else adjusted
        rows.append([name, one["primary"], f"{difference['value']:+.3f}", interval, f"{p:.4f}"])
    console.show("with the adapter, less without it (p by Holm over the benchmarks):")
    console.show_table(["benchmark", "metric", "difference", "95 % interval", "p"], rows, right=(2, 3, 4))
