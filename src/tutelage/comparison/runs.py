"""Runs and evaluations against each other, from their stored results: no model answers again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tutelage.comparison.paired_comparison import Comparison, compare_models
from tutelage.comparison.pairing import UnpairedItems, pair_evaluations
from tutelage.comparison.task_comparison import PairedScores
from tutelage.comparison.verdict import SideNames
from tutelage.core.errors import InputError
from tutelage.metrics import metric_names
from tutelage.results import digests
from tutelage.results.name_marks import mark_reasons, name_marks
from tutelage.results.run_folder import STORE_FILE
from tutelage.results.store import Evaluation, Store

ADJUSTMENT = "holm"
"""How `p_adjusted` is made: over the primary metrics of all tasks as one family, of all benchmarks as another."""


@dataclass(frozen=True, slots=True)
class RunComparison:
    """One run against another.

    Attributes:
        base, tuned: the two, as they were named.
        comparison: differences are `tuned` minus `base`.
        not_compared: what only one of them measured, as (name, the one that has it).
        left_out: of what both measured, the items that only one was asked.
        caveats: by benchmark and side ("base", "tuned"), why the averages may not bear the benchmark's name alone: parts that are
            missing or substituted, or a sample. Sides without such reasons are left out.
    """

    base: str
    tuned: str
    comparison: Comparison
    not_compared: tuple[tuple[str, str], ...]
    left_out: tuple[UnpairedItems, ...] = ()
    caveats: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)

    def marks(self, name: str) -> str:
        """What stands behind a benchmark's name, as `name_marks` has it, for the reasons of either side."""
        of_sides = self.caveats.get(name, {}).values()
        return name_marks({reason: value for caveats in of_sides for reason, value in caveats.items()})

    def as_json(self) -> dict[str, Any]:
        """`tasks`, `watched`, `verdict` as in results.json, and what they are about."""
        return {
            "base": self.base,
            "tuned": self.tuned,
            **self.comparison.as_json(),
            "adjustment": ADJUSTMENT,
            "not_compared": [{"name": name, "only_in": owner} for name, owner in self.not_compared],
            "left_out": [unpaired.as_json() for unpaired in self.left_out],
            "caveats": {
                name: {side: dict(reasons) for side, reasons in sides.items()}
                for name, sides in self.caveats.items()
            },
        }


def compare_runs(first: Path, *others: Path, seed: int = 0) -> list[RunComparison]:
    """Compare each of `others` with `first`, item by item.

    Each is a run folder, the folder of an evaluation, or a results.sqlite. Of a run it is the tuned model that is
    compared. Items that only one of them was asked are left out, and counted.

    Raises:
        InputError: no results, several models and none of them "tuned", nothing in common, or other metrics.
    """
    labels = _labels([first, *others])
    comparisons = []
    with open_results(first) as a:
        for path, label in zip(others, labels[1:], strict=True):
            with open_results(path) as b:
                comparisons.append(_compare_stores(a, b, base=labels[0], tuned=label, seed=seed))
    return comparisons


def _compare_stores(a: Store, b: Store, *, base: str, tuned: str, seed: int) -> RunComparison:
    a_evaluations, b_evaluations = latest_scored_evaluations(a), latest_scored_evaluations(b)
    both = [key for key in a_evaluations if key in b_evaluations]
    if not both:
        raise InputError(
            "nothing was measured with both",
            where=f"{base} and {tuned}",
            found=f"{_shown(a_evaluations)} against {_shown(b_evaluations)}",
            expected="at least one task or benchmark that both have",
        )
    paired: dict[str, dict[str, PairedScores]] = {"task": {}, "benchmark": {}}
    left_out = []
    for suite, name in both:
        scores, unpaired = pair_evaluations(
            a_evaluations[suite, name], b_evaluations[suite, name], base=base, tuned=tuned, seed=seed
        )
        paired["task" if suite == "task" else "benchmark"][name] = scores
        left_out += [unpaired] if unpaired else []
    only = [(name, base) for suite, name in a_evaluations if (suite, name) not in b_evaluations]
    only += [(name, tuned) for suite, name in b_evaluations if (suite, name) not in a_evaluations]
    names = SideNames(kind="runs", base=base, tuned=tuned)
    comparison = compare_models(paired["task"], paired["benchmark"], seed=seed, names=names)
    return RunComparison(
        base, tuned, comparison, tuple(only), tuple(left_out), _caveats(a, b, paired["benchmark"])
    )


def _caveats(a: Store, b: Store, names: Iterable[str]) -> dict[str, dict[str, dict[str, Any]]]:
    sides = {"base": digests.caveats_beside(a.path), "tuned": digests.caveats_beside(b.path)}
    reasons = {
        name: {side: mark_reasons(caveats.get(name, {})) for side, caveats in sides.items()} for name in names
    }
    given = {name: {side: why for side, why in of_sides.items() if why} for name, of_sides in reasons.items()}
    return {name: of_sides for name, of_sides in given.items() if of_sides}


@contextmanager
def open_results(path: Path) -> Iterator[Store]:
    """Open the results of a run or of an evaluation, or a results file itself, for reading.

    Raises:
        InputError: there are none, or they are not as they were when the document beside them was computed.
    """
    file = _results_file(path)
    document, recorded = digests.document_beside(file)
    with Store.open(file, read_only=True) as store:
        digests.require_unchanged(store, recorded, by=document)
        yield store


def latest_scored_evaluations(store: Store) -> dict[tuple[str, str], Evaluation]:
    """The evaluation that was scored last of every task and benchmark, of the one model that is compared."""
    scored = [evaluation for evaluation in store.evaluations() if evaluation.parts()]
    models = list(dict.fromkeys(evaluation.model for evaluation in scored))
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
    return {(each.suite, each.name): each for each in scored if each.model == model}


def _results_file(path: Path) -> Path:
    """The results file of a run or of an evaluation, or the file itself."""
    file = path / STORE_FILE if path.is_dir() else path
    if not file.is_file():
        found = f"no {STORE_FILE}" if path.is_dir() else "no such file"
        fix = "check the name; a run's folder is runs/NAME unless --out named another"
        if not path.is_dir() and str(path).partition(":")[0] in metric_names():
            found = "a metric's name"
            fix = "name runs only: `tutelage compare RUN RUN` compares all metrics that both have"
        raise InputError(
            "there are no results here",
            where=str(path),
            found=found,
            expected=f"a run folder, the folder of an evaluation, or a {STORE_FILE}",
            fix=fix,
        )
    return file


def _labels(paths: Sequence[Path]) -> list[str]:
    """Short names that tell the paths apart: the last part of each where that is enough."""
    short = [(path.parent if path.name == STORE_FILE else path).name for path in paths]
    if len(set(short)) == len(short) and all(short):
        return short
    return [str(path) for path in paths]


def _shown(evaluations: Mapping[tuple[str, str], Evaluation]) -> str:
    return ", ".join(name for _, name in evaluations) or "nothing"
