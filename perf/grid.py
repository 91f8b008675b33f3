"""Experiments as grids of independent cells: each finished cell is a JSON file that is committed, and missing ones can be run later.

    python perf/grid.py NAME [--data DIR] [--runs DIR] [--cells CELL[,CELL]]
    python perf/grid.py NAME --table

NAME is a module of perf/grids with

    NEEDS_DATA             whether its recipes read files of --data
    cells(data, scratch)   the recipes by the cell's name; `scratch` is a folder for data files that the recipes read
    table(results)         the lines of a Markdown table of the cells that are finished

A cell's result is what `results.json` says of its tasks, groups, watched benchmarks and protection, the recipe, the seconds it took, and date,
commit and processor. It goes into perf/results/NAME. A killed cell resumes in its run folder; a finished one is not run again.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from measurement_note import measured_on
from tutelage.config import from_mapping
from tutelage.core import files

PERF = Path(__file__).parent
RESULTS = PERF / "results"
SCORES = ("base", "tuned", "difference")


def main(words: Sequence[str] | None = None) -> None:
    sys.path.insert(0, str(PERF))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=sorted(path.stem for path in (PERF / "grids").glob("[!_]*.py")))
    parser.add_argument("--data", type=Path, help="where the data files are")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where the cells' run folders go")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the cells' JSON files go")
    parser.add_argument("--cells", help="only these cells, with commas between")
    parser.add_argument("--model", help="another model than the recipes', to try a grid out")
    parser.add_argument("--table", action="store_true", help="run nothing, and print the table")
    options = parser.parse_args(words)
    grid = importlib.import_module(f"grids.{options.name}")
    folder = options.results / options.name
    if not options.table:
        if options.data is None and grid.NEEDS_DATA:
            parser.error("--data DIR is needed to run cells")
        scratch = options.runs / options.name
        scratch.mkdir(parents=True, exist_ok=True)
        recipes = grid.cells(options.data, scratch)
        if options.model:
            recipes = {cell: {**recipe, "model": options.model} for cell, recipe in recipes.items()}
        chosen = options.cells.split(",") if options.cells else list(recipes)
        if unknown := sorted(set(chosen) - set(recipes)):
            parser.error(f"no such cell: {', '.join(unknown)}; there are {', '.join(recipes)}")
        for cell in chosen:
            run_cell(cell, recipes[cell], folder / f"{cell}.json", data=options.data, scratch=scratch)
    for line in grid.table(
        {path.stem: json.loads(path.read_text("utf-8")) for path in folder.glob("*.json")}
    ):
        print(line)


def run_cell(cell: str, recipe: Mapping[str, Any], result: Path, *, data: Path | None, scratch: Path) -> None:
    """Run a cell's recipe unless its result is there, and write its result."""
    if result.exists():
        return
    from tutelage.job.run import run  # loads torch, which a table does not need

    print(f"{cell}: begun {time.strftime('%H:%M')}", flush=True)
    started = time.monotonic()
    results = run(from_mapping(recipe, root=scratch), out=scratch / cell, data_dir=data).results
    files.write_text(
        result, json.dumps(summary(recipe, results, time.monotonic() - started), indent=1) + "\n"
    )


def summary(recipe: Mapping[str, Any], results: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """What is kept of a cell: scores and differences without their signatures."""
    return {
        "measured": measured_on(),
        "seconds": round(seconds),
        "recipe": recipe,
        "groups": results.get("groups", {}),
        "tasks": {
            name: {**_outcome(outcome), "metrics": _by_metric(outcome)}
            for name, outcome in results["tasks"].items()
        },
        "watched": {name: _outcome(outcome) for name, outcome in results["watched"].items()},
        **({"protection": results["protection"]} if "protection" in results else {}),
    }


def _outcome(outcome: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "primary": outcome["primary"],
        **{side: outcome[side][outcome["primary"]] for side in SCORES},
        "parts": {name: _outcome(part) for name, part in outcome.get("parts", {}).items()},
        **({"notes": outcome["told"]["notes"]} if outcome.get("told", {}).get("notes") else {}),
    }


def _by_metric(outcome: Mapping[str, Any]) -> dict[str, Any]:
    return {metric: {side: outcome[side].get(metric) for side in SCORES} for metric in outcome["base"]}


if __name__ == "__main__":
    main()
