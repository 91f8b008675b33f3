"""Runs and evaluations against each other, from what their stores hold: nothing is answered again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tutelage.compare.comparison import Comparison, compare
from tutelage.compare.outcome import Measured
from tutelage.compare.verdict import Names
from tutelage.core.errors import InputError
from tutelage.metrics.score import Scored
from tutelage.results.store import Evaluation, Store

FILE = "results.sqlite"
SHOWN = 5
ADJUSTMENT = "holm"
"""How `p_adjusted` is made: over the primary metrics of all tasks as one family, of all benchmarks as another."""


@dataclass(frozen=True, slots=True)
class RunComparison:
    """One run against another.

    Attributes:
        base, tuned: the two, as they were named.
        comparison: differences are `tuned` minus `base`.
        not_compared: what only one of them measured, as (name, the one that has it).
    """

    base: str
    tuned: str
    comparison: Comparison
    not_compared: tuple[tuple[str, str], ...]

    def as_json(self) -> dict[str, Any]:
        """`tasks`, `watched`, `verdict` as in results.json, and what they are about."""
        return {
            "base": self.base,
            "tuned": self.tuned,
            **self.comparison.as_json(),
            "adjustment": ADJUSTMENT,
            "not_compared": [{"name": name, "only_in": owner} for name, owner in self.not_compared],
        }


def compare_runs(first: Path, *others: Path, seed: int = 0) -> list[RunComparison]:
    """Compare each of `others` with `first`, item by item.

    Each is a run folder, the folder of an evaluation, or a results.sqlite. Of a run it is the tuned model that is
    compared. What both measured must have been measured on the same items with the same metrics.

    Raises:
        InputError: no results, several models and none of them "tuned", nothing in common, or other items.
    """
    labels = _labels([first, *others])
    found = []
    with Store.open(file_of(first), read_only=True) as a:
        for path, label in zip(others, labels[1:], strict=True):
            with Store.open(file_of(path), read_only=True) as b:
                found.append(_pair(a, b, base=labels[0], tuned=label, seed=seed))
    return found


def _pair(a: Store, b: Store, *, base: str, tuned: str, seed: int) -> RunComparison:
    left, right = scored_evaluations(a), scored_evaluations(b)
    both = [key for key in left if key in right]
    if not both:
        raise InputError(
            "nothing was measured with both",
            where=f"{base} and {tuned}",
            found=f"{_shown(left)} against {_shown(right)}",
            expected="at least one task or benchmark that both have",
        )
    measured: dict[str, dict[str, Measured]] = {"task": {}, "benchmark": {}}
    for suite, name in both:
        pair = (left[suite, name], right[suite, name])
        _same_items(*pair, base=base, tuned=tuned)
        measured["task" if suite == "task" else "benchmark"][name] = _measured(*pair)
    only = [(name, base) for suite, name in left if (suite, name) not in right]
    only += [(name, tuned) for suite, name in right if (suite, name) not in left]
    comparison = compare(
        measured["task"], measured["benchmark"], seed=seed, names=Names(kind="runs", base=base, tuned=tuned)
    )
    return RunComparison(base=base, tuned=tuned, comparison=comparison, not_compared=tuple(only))


def scored_evaluations(store: Store) -> dict[tuple[str, str], Evaluation]:
    """The evaluation that was scored last of every task and benchmark, of the one model that is compared."""
    scored = [one for one in store.evaluations() if one.parts()]
    models = list(dict.fromkeys(one.model for one in scored))
    if not models:
        raise InputError(
            "nothing has been scored here yet",
            where=str(store.path),
            fix="finish it with the command that began it, then compare",
        )
    if "tuned" not in models and len(models) > 1:
        raise InputError(
            "these results are of several models, and none of them is called tuned",
            where=str(store.path),
            found=", ".join(models),
            fix="compare evaluations that are of one model each",
        )
    model = "tuned" if "tuned" in models else models[0]
    return {(one.suite, one.name): one for one in scored if one.model == model}


def _same_items(a: Evaluation, b: Evaluation, *, base: str, tuned: str) -> None:
    left, right = ({item.id: item.key for item in one.items()} for one in (a, b))
    faults = {
        f"only in {base}": [item for item in left if item not in right],
        f"only in {tuned}": [item for item in right if item not in left],
        "asked otherwise": [item for item in left if item in right and left[item] != right[item]],
    }
    if any(faults.values()):
        raise InputError(
            f"{a.name!r} was not measured on the same items",
            where=f"{base} and {tuned}",
            found="; ".join(f"{len(ids)} {what} ({_first(ids)})" for what, ids in faults.items() if ids),
            expected=f"the same {len(left)} items",
            fix="evaluate both on the same data, split and seed",
        )


def _measured(a: Evaluation, b: Evaluation) -> Measured:
    parts = [part for part in a.parts() if part and part in b.parts()]
    return replace(_part(a, b, ""), parts={part: _part(a, b, part) for part in parts})


def _part(a: Evaluation, b: Evaluation, part: str) -> Measured:
    left, right = a.item_scores(part), b.item_scores(part)
    primary = a.primary(part)
    metrics = [metric for metric in left if metric in right]
    if primary is None or primary not in metrics:
        raise InputError(
            "the two were not scored by the same primary metric",
            where=f"{a.name}: {part}" if part else a.name,
            found=f"{primary} against {b.primary(part)}",
            fix="score both with the same metrics",
        )
    for metric in metrics:
        _same_signature(a.name, left[metric][0], right[metric][0])
    order = {item_id: row for row, item_id in enumerate(item.id for item in a.items())}
    return Measured(
        primary=primary,
        base={metric: _in_order(*left[metric], order) for metric in metrics},
        tuned={metric: _in_order(*right[metric], order) for metric in metrics},
    )


def _same_signature(name: str, a: Scored, b: Scored) -> None:
    if a.score.signature != b.score.signature:
        raise InputError(
            f"{a.metric} was not computed in the same way",
            where=name,
            found=f"{a.score.signature} against {b.score.signature}",
            expected="the same metric, options and version",
            fix="score both with the same version and options",
        )


def _in_order(scored: Scored, ids: Sequence[str], order: Mapping[str, int]) -> Scored:
    """The same score with its items in the first side's order, `rows` counted in it."""
    rows = np.array([order[item_id] for item_id in ids], dtype=np.int64)
    by = np.argsort(rows, kind="stable")
    return replace(
        scored,
        rows=tuple(rows[by].tolist()),
        items=scored.items[by],
        statistics=scored.statistics[by],
        clusters=None if scored.clusters is None else _renumbered(scored.clusters[by]),
    )


def _renumbered(clusters: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Clusters numbered in the order in which they come, so that both sides number them alike."""
    _, first, inverse = np.unique(clusters, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)


def file_of(path: Path) -> Path:
    """The results of a run, of an evaluation, or the file itself."""
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        raise InputError(
            "there are no results here",
            where=str(path),
            found=f"no {FILE}" if path.is_dir() else "no such file",
            expected=f"a run folder, the folder of an evaluation, or a {FILE}",
        )
    return file


def _labels(paths: Sequence[Path]) -> list[str]:
    """Short names that tell the paths apart: the last part of each where that is enough."""
    short = [(path.parent if path.name == FILE else path).name for path in paths]
    if len(set(short)) == len(short) and all(short):
        return short
    return [str(path) for path in paths]


def _first(ids: Sequence[str]) -> str:
    return ", ".join([*ids[:SHOWN], *(["..."] if len(ids) > SHOWN else [])])


def _shown(found: Mapping[tuple[str, str], Evaluation]) -> str:
    return ", ".join(name for _, name in found) or "nothing"
