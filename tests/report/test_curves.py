from __future__ import annotations

import pytest

from tutelage.report.curves import losses, others


def log(count=10):
    return [
        {"step": n, "loss": 1 / n, "rate": 1e-3 / n, "tokens": 100 * n, "seconds": 2.0, "memory": 1.5e9 + n}
        for n in range(1, count + 1)
    ]


def test_rate_throughput_and_memory_have_a_curve_each():
    rate, speed, memory = others(log())
    assert (rate.title, rate.summary) == ("Learning rate", "at most 1.0e-03, at step 1; 1.0e-04 at the end")
    assert (speed.title, speed.unit, speed.summary) == (
        "Throughput",
        "tokens a second",
        "275 on the average of the steps",
    )
    assert (memory.title, memory.summary) == ("Memory", "1.50 at most")
    first, last = (tuple(map(float, at.split(","))) for at in (speed.line.split()[0], speed.line.split()[-1]))
    assert first == (10.0, pytest.approx(100 - 100 * 50 / speed.y.high, abs=1e-3))
    assert last == (100.0, pytest.approx(100 - 100 * 500 / speed.y.high, abs=1e-3))


def test_each_part_of_the_objective_that_the_log_has_is_drawn():
    steps = [{**step, "minimised": 3.0 * step["loss"], "kl": 0.125 / step["step"]} for step in log()]
    whole, divergence, *rest = others(steps)
    assert (whole.title, whole.summary) == ("Whole objective", "3 at first, 0.3 at the end")
    assert (divergence.title, divergence.unit) == ("KL divergence from the base", "nats a token")
    assert divergence.summary == "0.125 at first, 0.0125 at the end"
    assert [curve.title for curve in rest] == ["Learning rate", "Throughput", "Memory"]
    titles = {curve.title for curve in others([{"step": 1, "prompt_loss": 2.0, "l2": 0.0}])}
    assert titles == {"Loss of prompts", "Squared distance from the base's weights"}


def test_what_the_log_lacks_is_not_drawn():
    bare = [{"step": n, "loss": 1.0, "seconds": 0.0, "tokens": 5} for n in range(1, 4)]
    assert others(bare) == []
    assert losses(bare) is not None
    assert losses([]) is None
    assert others([]) == []
