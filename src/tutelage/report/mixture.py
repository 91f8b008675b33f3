"""Many tasks on the page: the means of groups of tasks, and what was trained on of each task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tutelage.report import formatting
from tutelage.report.data_card import MAX_LISTED, MAX_TASKS
from tutelage.report.formatting import Number


@dataclass(frozen=True, slots=True)
class GroupMeans:
    """The means of a group of tasks on a scale of 0 to 100, and their difference with its interval.

    `tasks` counts the tasks, `without` those that are left out because their metric is no mean of its items.
    """

    name: str
    tasks: int
    without: int
    base: Number
    tuned: Number
    difference: tuple[Number, Number, Number]
    p: Number
    items: Number
    change: str


@dataclass(frozen=True, slots=True)
class TrainedShare:
    """What was trained on of one task, template or style: share of rows in percent, and counts.

    `requested` is the share that the recipe asks for, `max_repeats` how often the same row came.
    """

    name: str
    requested: Number | None
    share: Number
    rows: Number
    tokens: Number
    loss_tokens: Number
    max_repeats: Number | None = None


@dataclass(frozen=True, slots=True)
class TrainedMixture:
    """What was trained on by task, style and template; `more` counts the tasks that are not listed."""

    tasks: tuple[TrainedShare, ...]
    styles: tuple[TrainedShare, ...]
    templates: tuple[TrainedShare, ...]
    more: int
    notes: tuple[str, ...]


def group_means(results: Mapping[str, Any]) -> list[GroupMeans]:
    """List the groups of tasks in results.json with their means."""
    return [_means(formatting.plain(name), group) for name, group in (results.get("groups") or {}).items()]


def _means(name: str, group: Mapping[str, Any]) -> GroupMeans:
    difference = group["difference"]
    value, low, high = (_hundred(difference[key], sign=True) for key in ("value", "low", "high"))
    return GroupMeans(
        name=name,
        tasks=len(group["tasks"]),
        without=len(group["without"]),
        base=_hundred(group["base"]["value"]),
        tuned=_hundred(group["tuned"]["value"]),
        difference=(value, low, high),
        p=formatting.probability(difference["p"]),
        items=formatting.count(difference["n"]),
        change="better" if low.raw > 0 else "worse" if high.raw < 0 else "",
    )


def trained_mixture(card: Mapping[str, Any]) -> TrainedMixture | None:
    """Sum up what was trained on by task, style and template; None if the card does not list it."""
    tasks: Mapping[str, Mapping[str, Any]] = (card.get("training") or {}).get("tasks") or {}
    if not tasks:
        return None
    total = sum(counts["rows"] for counts in tasks.values())
    styles, templates = (_summed(tasks, form) for form in ("styles", "templates"))
    frequent = sorted(templates.items(), key=lambda item: (-item[1]["rows"], item[0]))[:MAX_TASKS]
    return TrainedMixture(
        tasks=tuple(_share(name, counts, total) for name, counts in list(tasks.items())[:MAX_TASKS]),
        styles=tuple(_share(name, counts, total) for name, counts in sorted(styles.items())),
        templates=tuple(_share(name, counts, total) for name, counts in frequent),
        more=max(0, len(tasks) - MAX_TASKS),
        notes=tuple(_notes(card.get("mixture") or {}, tasks)),
    )


def _summed(tasks: Mapping[str, Mapping[str, Any]], form: str) -> dict[str, Counter[str]]:
    """The counts by style or template, summed over the tasks."""
    sums: dict[str, Counter[str]] = {}
    for task in tasks.values():
        for name, counts in task[form].items():
            sums.setdefault(name, Counter()).update(counts)
    return sums


def _share(name: str, counts: Mapping[str, Any], total: int) -> TrainedShare:
    return TrainedShare(
        name=formatting.plain(name),
        requested=_hundred(counts["asked"]) if "asked" in counts else None,
        share=_hundred(counts["rows"] / total),
        rows=formatting.count(counts["rows"]),
        tokens=formatting.count(counts["tokens"]),
        loss_tokens=formatting.count(counts["loss_tokens"]),
        max_repeats=formatting.count(counts["most"]) if "most" in counts else None,
    )


def _notes(mixture: Mapping[str, Any], tasks: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """The notes of the card, how much was replayed, and which tasks were excluded as too near to held-out ones."""
    yield from (formatting.plain(line) for line in mixture.get("said") or [])
    if replay := mixture.get("replay"):
        share = tasks[replay["from"]]["tokens"] / sum(counts["tokens"] for counts in tasks.values())
        yield (
            f"Of all tokens {100 * share:.1f} % were replayed from {formatting.plain(replay['from'])}; "
            f"{100 * replay['token_share']:.1f} % were requested, which is {100 * replay['row_share']:.1f} % of the rows."
        )
    if excluded := mixture.get("left_out"):
        names = ", ".join(
            f"{formatting.plain(task['task'])} ({formatting.plain(task['cluster'])})"
            for task in excluded[:MAX_LISTED]
        )
        more = f" and {len(excluded) - MAX_LISTED} more" if len(excluded) > MAX_LISTED else ""
        yield f"Too near to a held-out task, and neither trained on nor tested: {names}{more}."


def _hundred(value: float, *, sign: bool = False) -> Number:
    return Number(value, f"{100 * value:+.1f}" if sign else f"{100 * value:.1f}")
