"""The curve of results.json: a chart of gain and loss over the steps of the training, and a table of its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tutelage.comparison import wording
from tutelage.comparison.step_curve import CurveLine, StepPoint
from tutelage.comparison.task_comparison import Estimate
from tutelage.report import formatting
from tutelage.report.chart import Scale, fitted, from_zero, line, thinned

MAX_LINES = 4
"""How many tasks are drawn, and how many benchmarks."""
MAX_ROWS = 500


@dataclass(frozen=True, slots=True)
class DrawnLine:
    """One task or benchmark in the chart, in percent of it with y downwards.

    Attributes:
        name: of the task or benchmark.
        watched: whether it is a benchmark.
        dashes: which pattern of dashes it has, from 0.
        line: the points of the polyline.
        band: the outline of the 95 % intervals.
        points: the measured steps.
        summary: the change at the last measured step.
    """

    name: str
    watched: bool
    dashes: int
    line: str
    band: str
    points: tuple[tuple[float, float], ...]
    summary: str


@dataclass(frozen=True, slots=True)
class StepCurves:
    """Gain and loss over the steps.

    Attributes:
        sentence: what they show; "" where there is nothing to say.
        x: the steps.
        y: points since step 0.
        lines: what is drawn; nothing without a metric on a scale of 0 to 100.
        undrawn: how many tasks and benchmarks stand in the table only.
        columns: name, metric and number of questions of each task and benchmark.
        rows: for each measured step its number, and the score of each task and benchmark.
        left_out: tasks that were not measured.
        delivered: the step whose weights were delivered, where it is not the last.
    """

    sentence: str
    x: Scale
    y: Scale
    lines: tuple[DrawnLine, ...]
    undrawn: int
    columns: tuple[tuple[str, str, int], ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    left_out: tuple[str, ...]
    delivered: int | None


def step_curves(curve: Mapping[str, Any] | None) -> StepCurves | None:
    """Make chart and table; None for results of a training that was not tracked.

    Args:
        curve: of results.json.
    """
    if not curve:
        return None
    groups = [
        {name: CurveLine.from_json(value) for name, value in curve[group].items()}
        for group in ("tasks", "watched")
    ]
    drawn = [[name for name, each in group.items() if _gains(each)][:MAX_LINES] for group in groups]
    chosen = [group[name] for group, names in zip(groups, drawn, strict=True) for name in names]
    ends = [end for each in chosen for _, gain in _gains(each) for end in (gain.low, gain.high)]
    x, y = from_zero(curve["steps"]), fitted([0.0, *ends])
    columns = [(name, each) for group in groups for name, each in group.items()]
    delivered = curve.get("delivered")
    return StepCurves(
        sentence=formatting.plain(curve["sentence"]),
        x=x,
        y=y,
        lines=tuple(
            _drawn(name, group[name], watched=bool(watched), dashes=dashes, x=x, y=y)
            for watched, (group, names) in enumerate(zip(groups, drawn, strict=True))
            for dashes, name in enumerate(names)
        ),
        undrawn=len(columns) - len(chosen),
        columns=tuple(
            (formatting.plain(name), wording.metric_wording(each.primary).label, each.n)
            for name, each in columns
        ),
        rows=_rows([each for _, each in columns]),
        left_out=tuple(map(formatting.plain, curve["left_out"])),
        delivered=None if delivered == curve["steps"] else delivered,
    )


def _gains(each: CurveLine) -> list[tuple[int, Estimate]]:
    """The gain in points at each step, 0 at step 0; empty without a scale of 0 to 100."""
    gains = [(point.step, point.gain) for point in each.points if point.gain is not None]
    return [(0, Estimate(0.0, 0.0, 0.0)), *gains] if gains else []


def _drawn(name: str, each: CurveLine, *, watched: bool, dashes: int, x: Scale, y: Scale) -> DrawnLine:
    gains = _gains(each)
    values = [(float(step), gain.value) for step, gain in gains]
    highs = [(float(step), gain.high) for step, gain in gains]
    lows = [(float(step), gain.low) for step, gain in gains]
    step, last = gains[-1]
    low, high = (wording.format_number(end, sign=True) for end in (last.low, last.high))
    return DrawnLine(
        name=formatting.plain(name),
        watched=watched,
        dashes=dashes,
        line=line(values, x, y),
        band=f"{line(highs, x, y)} {line(lows[::-1], x, y)}",
        points=tuple((x.at(at), 100 - y.at(value)) for at, value in thinned(values)),
        summary=f"{wording.format_number(last.value, sign=True)} ({low} to {high}) at step {step}",
    )


def _rows(lines: Sequence[CurveLine]) -> tuple[tuple[int, tuple[str, ...]], ...]:
    by_step = [{point.step: point for point in each.points} for each in lines]
    steps = sorted({step for points in by_step for step in points})[:MAX_ROWS]
    return tuple(
        (
            step,
            tuple(_cell(each.primary, points.get(step)) for each, points in zip(lines, by_step, strict=True)),
        )
        for step in steps
    )


def _cell(metric: str, point: StepPoint | None) -> str:
    """A score with its difference to step 0 and the interval of that, on the scale shown to people."""
    if point is None or point.value is None:
        return ""
    value = formatting.score(metric, point.value).text
    if point.difference is None:
        return value
    change, low, high = (formatting.score(metric, end, sign=True).text for end in point.difference)
    return f"{value} ({change}, {low} to {high})"
