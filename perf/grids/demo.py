"""Question: what does the demo learn and forget, tuned plainly and protected, and how far do seeds differ?

`recipes/support-bot.yaml` as it is and with `protect: none`, each with three seeds of training.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from tutelage.comparison.wording import AVERAGES, format_p
from tutelage.config import load

NEEDS_DATA = False
RECIPE = Path(__file__).parents[2] / "recipes" / "support-bot.yaml"
SEEDS = (0, 1, 2)
SETS = {"plain": ["protect=none"], "protected": []}
TASK, PROBE = "support-bot", "general-probe"
METRICS = ("states_fact", "rightly_refuses", "wrongly_refuses", "rougeL")

Cell = Mapping[str, Any]
Outcome = Mapping[str, Any]


def cells(data: Path | None, scratch: Path) -> dict[str, dict[str, Any]]:  # noqa: ARG001  # as every grid's
    """The recipe of each cell; the bundled rows are copied below `scratch`."""
    shutil.copytree(RECIPE.parent / "data", scratch / "data", dirs_exist_ok=True)
    return {
        f"{kind}-{seed}": load(RECIPE, sets=[*sets, f"tune.seed={seed}"]).model_dump(
            mode="json", exclude_unset=True, by_alias=True
        )
        for kind, sets in SETS.items()
        for seed in SEEDS
    }


def table(results: Mapping[str, Cell]) -> Iterator[str]:
    """Base, each cell, and the mean of each kind's seeds; then what each search came to."""
    of_kinds = {
        kind: {seed: results[f"{kind}-{seed}"] for seed in SEEDS if f"{kind}-{seed}" in results}
        for kind in SETS
    }
    finished = {kind: of_kind for kind, of_kind in of_kinds.items() if of_kind}
    titles = [
        title
        for kind, of_kind in finished.items()
        for title in [*(f"{kind} {seed}" for seed in of_kind), f"{kind}, mean of {len(of_kind)}"]
    ]
    yield f"| | base | {' | '.join(titles)} |"
    yield "|---|---:|" + "---:|" * len(titles)
    for metric in METRICS:
        yield _row(metric, finished, partial(_by_metric, metric))
    yield _row(PROBE, finished, _probe)
    parts = {
        part for of_kind in finished.values() for cell in of_kind.values() for part in _probe(cell)["parts"]
    }
    for part in sorted(parts):
        kind = "average over its parts," if part in AVERAGES else "its part"
        yield _row(f"{kind} {part}", finished, partial(_part, part))
    yield ""
    for kind, of_kind in finished.items():
        for seed, cell in of_kind.items():
            yield f"- {kind} {seed}, {cell['seconds'] / 60:.1f} minutes: {_loss(cell)}"
    yield ""
    yield from sorted({cell["measured"] for of_kind in finished.values() for cell in of_kind.values()})


def _by_metric(metric: str, cell: Cell) -> Outcome:
    outcome: Outcome = cell["tasks"][TASK]["metrics"][metric]
    return outcome


def _probe(cell: Cell) -> Outcome:
    outcome: Outcome = cell["watched"][PROBE]
    return outcome


def _part(name: str, cell: Cell) -> Outcome:
    outcome: Outcome = _probe(cell)["parts"][name]
    return outcome


def _row(
    label: str, finished: Mapping[str, Mapping[int, Cell]], outcome_of: Callable[[Cell], Outcome]
) -> str:
    base = {
        f"{100 * outcome_of(cell)['base']['value']:.1f}"
        for of_kind in finished.values()
        for cell in of_kind.values()
    }
    columns: list[str] = []
    for of_kind in finished.values():
        tuned = [100 * outcome_of(cell)["tuned"]["value"] for cell in of_kind.values()]
        columns += [f"{value:.1f}" for value in tuned]
        columns.append(f"{sum(tuned) / len(tuned):.1f}" if tuned else "")
    return f"| {label} | {', '.join(sorted(base))} | {' | '.join(columns)} |"


def _loss(cell: Cell) -> str:
    """What was lost, which parts fell significantly, and the outcome of the search."""
    value, low, high = (100 * _probe(cell)["difference"][end] for end in ("value", "low", "high"))
    fell = [
        f"{name} (p {format_p(part['difference']['p_adjusted'])})"
        for name, part in _probe(cell)["parts"].items()
        if name not in AVERAGES
        and part["difference"]["value"] < 0
        and part["difference"]["p_adjusted"] < 0.05
    ]
    searched = (cell.get("protection") or {}).get("sentence", "")
    return f"{PROBE} {value:+.1f} ({low:+.1f} to {high:+.1f}); parts that fell (Holm): {', '.join(fell) or 'none'}. {searched}".rstrip()
