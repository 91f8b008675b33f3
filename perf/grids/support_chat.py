"""Question: what does the support chat of `recipes/support-chat.yaml` learn in each of its tasks, and what does it forget?"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tutelage.config import load

NEEDS_DATA = True
RECIPE = Path(__file__).parents[2] / "recipes" / "support-chat.yaml"
SETS: dict[str, list[str]] = {"protected": []}


def cells(data: Path | None, scratch: Path) -> dict[str, dict[str, Any]]:  # noqa: ARG001  # as every grid's
    """The recipe as it is; the bundled rows are copied below `scratch`."""
    shutil.copytree(RECIPE.parent / "data", scratch / "data", dirs_exist_ok=True)
    return {
        cell: load(RECIPE, sets=sets).model_dump(mode="json", exclude_unset=True, by_alias=True)
        for cell, sets in SETS.items()
    }


def table(results: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """For each cell its tasks' metrics and what it watches, base, tuned and difference in points."""
    for cell, result in results.items():
        yield f"| {cell} | metric | rows | base | tuned | difference |"
        yield "|---|---|---:|---:|---:|---:|"
        for task, outcome in result["tasks"].items():
            for metric, sides in outcome["metrics"].items():
                yield _row(task, metric, sides)
        for benchmark, outcome in result["watched"].items():
            yield _row(benchmark, outcome["primary"], outcome)
            for name, part in outcome["parts"].items():
                yield _row(f"its part {name}", part["primary"], part)
        searched = (result.get("protection") or {}).get("sentence", "")
        yield f"\n{result['seconds'] / 60:.1f} minutes. {searched}\n{result['measured']}"


def _row(label: str, metric: str, sides: Mapping[str, Any]) -> str:
    scale = 1 if metric == "chrf" else 100  # chrF lies in 0 to 100 as it is
    base, tuned = (f"{scale * sides[side]['value']:.1f}" for side in ("base", "tuned"))
    difference = "{value:+.1f} ({low:+.1f} to {high:+.1f})".format(
        **{end: scale * sides["difference"][end] for end in ("value", "low", "high")}
    )
    return f"| {label} | {metric} | {sides['difference']['n']} | {base} | {tuned} | {difference} |"
