"""The chart of gain and loss over the steps, and its table."""

from __future__ import annotations

import pytest

from tutelage.report.step_curves import MAX_LINES, step_curves


def line(gains, *, metric="accuracy", base=0.5):
    points = [{"step": 0, "value": base}]
    for step, gain in gains.items():
        change = {"value": gain, "low": gain - 10, "high": gain + 20}
        share = {key: value / 100 for key, value in change.items()}
        points.append({"step": step, "value": base + gain / 100, "difference": share, "gain": change})
    return {"primary": metric, "n": 40, "points": points}


def curve(tasks=None, watched=None, **more):
    return {
        "steps": 100,
        "delivered": 100,
        "tasks": tasks or {},
        "watched": watched or {},
        "left_out": [],
        "sentence": "",
        **more,
    }


def at(chart, step, value):
    return f"{chart.x.at(step):g},{100 - chart.y.at(value):g}"


def test_a_line_begins_at_no_change_and_lies_in_its_band():
    chart = step_curves(curve({"bot": line({50: 40, 100: 60})}, {"probe": line({50: -10, 100: -20})}))
    assert (chart.y.low, chart.y.high) == (-50, 100)
    bot, probe = chart.lines
    assert [bot.watched, probe.watched] == [False, True]
    assert bot.line == " ".join(at(chart, step, gain) for step, gain in ((0, 0), (50, 40), (100, 60)))
    outline = [(0, 0), (50, 60), (100, 80), (100, 50), (50, 30), (0, 0)]
    assert bot.band == " ".join(at(chart, step, gain) for step, gain in outline)
    assert bot.points[-1] == (100, 100 - chart.y.at(60))
    assert probe.summary == "\N{MINUS SIGN}20.0 (\N{MINUS SIGN}30.0 to 0.0) at step 100"
    assert chart.delivered is None


def test_the_table_has_every_step_and_metric_also_those_without_a_scale_of_points():
    cost = {
        "primary": "perplexity",
        "n": 7,
        "points": [{"step": 0, "value": 9.0}, {"step": 50, "value": None}],
    }
    chart = step_curves(curve({"bot": line({50: 40}), "cost": cost}, delivered=40, left_out=["small"]))
    assert [name for name, _, _ in chart.columns] == ["bot", "cost"]
    assert chart.columns[0][2] == 40
    assert chart.rows == (
        (0, ("50.0", "9.000")),
        (50, ("90.0 (+40.0, +30.0 to +60.0)", "")),
    )
    assert [each.name for each in chart.lines] == ["bot"]
    assert chart.undrawn == 1
    assert (chart.delivered, chart.left_out) == (40, ("small",))


def test_many_lines_stand_in_the_table_only():
    tasks = {f"task {n}": line({50: n}) for n in range(MAX_LINES + 3)}
    chart = step_curves(curve(tasks, {"probe": line({50: -1})}))
    assert [each.name for each in chart.lines] == [*list(tasks)[:MAX_LINES], "probe"]
    assert [each.dashes for each in chart.lines] == [*range(MAX_LINES), 0]
    assert chart.undrawn == 3
    assert len(chart.columns) == MAX_LINES + 4


@pytest.mark.parametrize("count", [1, 2000])
def test_a_long_training_is_thinned(count):
    chart = step_curves(curve({"bot": line(dict.fromkeys(range(1, count + 1), 3))}, steps=count))
    (bot,) = chart.lines
    assert len(bot.points) <= 300
    assert len(bot.band.split()) <= 600
    assert len(chart.rows) <= 500


def test_a_training_that_was_not_tracked_has_no_chart():
    assert step_curves(None) is None
    assert step_curves(curve()).lines == ()
