"""The tasks that runs taught one after the other: `sequence` of results.json as tables of the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tutelage.comparison import wording
from tutelage.comparison.wording import format_number
from tutelage.report import formatting

_FIGURES = {
    "accuracy": ("Average accuracy", "the mean score of all tasks now"),
    "backward_transfer": (
        "Backward transfer",
        "now against right after a task's own stage, mean of the earlier tasks; below 0 it forgot",
    ),
    "forward_transfer": (
        "Forward transfer",
        "right before a task's own stage against the original base, mean of the later tasks",
    ),
    "average_forgetting": (
        "Average forgetting",
        "the best score that a task had at an earlier stage against now, mean of the earlier tasks",
    ),
}


@dataclass(frozen=True, slots=True)
class StageRow:
    """A row of the matrix: the stage, the tasks that it taught, and for each task (score, interval, whether this stage taught it)."""

    stage: int
    name: str
    tasks: str
    cells: tuple[tuple[str, str, bool], ...]


@dataclass(frozen=True, slots=True)
class SequenceTables:
    """The matrix and its figures.

    Attributes:
        sentence: what the last stage did.
        tasks: the columns: each task with its metric.
        rows: the stages, the original base first.
        blank: whether a cell has no score.
        figures: name, value, interval and meaning.
        without: the tasks without a column.
        watched: benchmarks with their change since the original base, or the reason why there is none.
    """

    sentence: str
    tasks: tuple[tuple[str, str], ...]
    rows: tuple[StageRow, ...]
    blank: bool
    figures: tuple[tuple[str, str, str, str], ...]
    without: tuple[str, ...]
    watched: tuple[tuple[str, str], ...]


def sequence_tables(sequence: Mapping[str, Any] | None) -> SequenceTables | None:
    """Make the tables; None for a run that continues no other.

    Args:
        sequence: of results.json.
    """
    if not sequence:
        return None
    tasks = sequence["tasks"]
    rows = tuple(
        StageRow(
            number,
            formatting.plain(stage["name"]),
            ", ".join(map(formatting.plain, stage["tasks"])),
            tuple(_cell(task, number) for task in tasks.values()),
        )
        for number, stage in enumerate(sequence["stages"])
    )
    return SequenceTables(
        sentence=sequence["sentence"],
        tasks=tuple(
            (formatting.plain(name), wording.metric_wording(task["metric"]).label)
            for name, task in tasks.items()
        ),
        rows=rows,
        blank=any(not text for row in rows for text, _, _ in row.cells),
        figures=tuple(
            (title, _value(figure), _ends(figure), meaning)
            for name, (title, meaning) in _FIGURES.items()
            if (figure := sequence["figures"].get(name)) is not None
        ),
        without=tuple(
            f"{formatting.plain(task['name'])} ({formatting.plain(task['metric'])})"
            for task in sequence["without"]
        ),
        watched=tuple(
            (formatting.plain(name), _since(change)) for name, change in sequence["watched"].items()
        ),
    )


def _cell(task: Mapping[str, Any], stage: int) -> tuple[str, str, bool]:
    score = task["scores"].get(str(stage))
    if score is None:
        return "", "", False
    return _value(score), _ends(score), stage == task["stage"]


def _value(number: Mapping[str, float]) -> str:
    return format_number(number["value"])


def _ends(number: Mapping[str, float]) -> str:
    return f"{format_number(number['low'])} to {format_number(number['high'])}"


def _since(change: Mapping[str, Any]) -> str:
    if "not_compared" in change:
        return f"not compared: {formatting.plain(change['not_compared'])}"
    return f"{format_number(change['value'], sign=True)} points ({_ends(change)}, {change['n']} items)"
