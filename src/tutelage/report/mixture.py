"""What was trained on of each task, for the page of a run of many tasks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tutelage.report import formatting
from tutelage.report.data_card import MAX_LISTED, MAX_TASKS

Shares = tuple[tuple[str, Mapping[str, Any]], ...]
"""Names of tasks, styles or templates with the counts of what was trained on."""


@dataclass(frozen=True, slots=True)
class TrainedMixture:
    """What was trained on by task, style and template, as the data card counts it.

    `rows` counts all rows, `more` the tasks that are not listed.
    """

    rows: int
    tasks: Shares
    styles: Shares
    templates: Shares
    more: int
    notes: tuple[str, ...]


def trained_mixture(card: Mapping[str, Any]) -> TrainedMixture | None:
    """Sum up what was trained on by task, style and template; None if the card does not list it."""
    tasks: Mapping[str, Mapping[str, Any]] = (card.get("training") or {}).get("tasks") or {}
    if not tasks:
        return None
    styles, templates = (_summed(tasks, form) for form in ("styles", "templates"))
    frequent = sorted(templates.items(), key=lambda item: (-item[1]["rows"], item[0]))[:MAX_TASKS]
    return TrainedMixture(
        rows=sum(counts["rows"] for counts in tasks.values()),
        tasks=tuple(tasks.items())[:MAX_TASKS],
        styles=tuple(sorted(styles.items())),
        templates=tuple(frequent),
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
