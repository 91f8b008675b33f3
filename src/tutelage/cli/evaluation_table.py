"""Shows the scores of an evaluation as tables, with the notes that are needed to read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tutelage.cli import console
from tutelage.report.caveats import sentences

_COLUMNS = ["benchmark", "metric", "value", "95 % interval", "n"]


def show(document: Mapping[str, Any]) -> None:
    """Print the content of an `evaluation.json`."""
    benchmarks: Mapping[str, Mapping[str, Any]] = document["benchmarks"]
    rows = [row for name, measured in benchmarks.items() for row in _rows(name, measured)]
    console.show_table(_COLUMNS, rows, right=(2, 3, 4))
    if "base" in document:
        _show_differences(document["against_base"])
    for name, measured in benchmarks.items():
        for note in sentences(measured):
            console.show(f"{name}: {note}")


def _rows(name: str, measured: Mapping[str, Any]) -> Iterator[list[str]]:
    """The headline first, then groups and averages, then parts."""
    headline = measured.get("headline", "")
    incomplete = "missing_parts" in measured or "substituted_parts" in measured
    mark = ", incomplete" if incomplete else ""
    parts: Mapping[str, Any] = measured["parts"]
    if headline:
        yield from _lines(f"{name} ({headline}{mark})", parts[headline])
        yield from _lines("  all items", measured["scores"])
    else:
        yield from _lines(f"{name}{' (incomplete)' if incomplete else ''}", measured["scores"])
    groups = [group for group in measured.get("groups", []) if group != headline]
    for part in [*groups, *(part for part in parts if part not in measured.get("groups", []))]:
        yield from _lines(f"  {part}{mark if part in groups else ''}", parts[part])


def _lines(label: str, scores: Mapping[str, Any]) -> Iterator[list[str]]:
    for metric, score in scores.items():
        interval = f"[{score['low']:.3f}, {score['high']:.3f}]"
        yield [label, metric, f"{score['value']:.3f}", interval, str(score["n"])]
        label = ""


def _show_differences(against_base: Mapping[str, Mapping[str, Any]]) -> None:
    rows = []
    for name, compared in against_base.items():
        difference = compared["difference"][compared["primary"]]
        interval = f"[{difference['low']:+.3f}, {difference['high']:+.3f}]"
        p = difference["p"] if difference["p_adjusted"] is None else difference["p_adjusted"]
        rows.append([name, compared["primary"], f"{difference['value']:+.3f}", interval, f"{p:.4f}"])
    console.show("with the adapter minus without it (p by Holm over the benchmarks):")
    console.show_table(["benchmark", "metric", "difference", "95 % interval", "p"], rows, right=(2, 3, 4))
