"""A run's base against its tuned model: the results it recorded, and where the tuned model still fails."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tutelage.comparison.failures import Failures, failures_of_run
from tutelage.comparison.judged_items import judge
from tutelage.comparison.runs import open_results
from tutelage.core.errors import InputError
from tutelage.results import document
from tutelage.results.run_folder import RunFolder
from tutelage.results.store import Store


@dataclass(frozen=True, slots=True)
class RunSides:
    """A run's base and tuned model.

    Attributes:
        results: the content of results.json.
        failures: where the tuned model still fails, by task and benchmark.
    """

    results: Mapping[str, Any]
    failures: tuple[Failures, ...]

    def as_json(self) -> dict[str, Any]:
        """`tasks`, `watched`, `verdict` of results.json, and `failures`."""
        recorded = {key: self.results[key] for key in ("tasks", "watched", "verdict")}
        return {
            "base": "base",
            "tuned": "tuned",
            **recorded,
            "failures": [each.as_json() for each in self.failures],
        }


@dataclass(frozen=True, slots=True)
class AnsweredItem:
    """An item with both answers; `references` are the right ones."""

    id: str
    prompt: str
    references: tuple[str, ...]
    base: str
    tuned: str


ItemGroups = Mapping[str, tuple[int, tuple[AnsweredItem, ...]]]
"""By title of a group: how many items it has, and the first of them."""


def compare_sides(run: Path) -> RunSides:
    """Read what a finished run recorded of its base and tuned model, and find where the tuned one still fails.

    Raises:
        InputError: no finished run, or its results are not as they were when results.json was computed.
    """
    folder = RunFolder(run)
    if not folder.results.is_file():
        raise InputError(
            "there is nothing to compare with",
            where=str(run),
            found="an evaluation of one model" if folder.evaluation.is_file() else "no results.json",
            expected="a finished run, whose base and tuned model are compared, or two runs or evaluations",
            fix="name a second run or evaluation: `tutelage compare FIRST SECOND`",
        )
    results = document.read(folder.results)
    with open_results(run) as store:
        return RunSides(results, tuple(failures_of_run(store)))


def item_groups(run: Path, all_failures: Sequence[Failures], *, limit: int) -> list[ItemGroups]:
    """The items of each group of failures, still wrong and cut off first, with both answers.

    Args:
        run: the run's folder.
        all_failures: of its tasks and benchmarks.
        limit: how many items of each group.
    """
    with open_results(run) as store:
        return [dict(_groups(store, failures, limit)) for failures in all_failures]


def _groups(
    store: Store, failures: Failures, limit: int
) -> Iterator[tuple[str, tuple[int, tuple[AnsweredItem, ...]]]]:
    scored = store.last_scored()
    base, tuned = (scored[model, failures.suite, failures.name] for model in ("base", "tuned"))
    right = judge(base, tuned).right
    items = {item.id: item for item in tuned.items()}
    answers = base.responses(), tuned.responses()
    groups = {
        **({"still wrong": failures.still_wrong} if right else {}),
        "cut off": failures.cut_off,
        "newly wrong": tuple(id_ for id_, sides in right.items() if sides == (True, False)),
        "newly right": tuple(id_ for id_, sides in right.items() if sides == (False, True)),
    }
    for title, ids in groups.items():
        if ids or title in ("still wrong", "cut off"):
            shown = tuple(
                AnsweredItem(
                    id_, items[id_].prompt, items[id_].references, *(side[id_].text for side in answers)
                )
                for id_ in ids[:limit]
            )
            yield title, (len(ids), shown)
