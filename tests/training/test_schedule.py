"""The learning rate, against values worked out by hand."""

from __future__ import annotations

import pytest

from tutelage.training.settings import LoopSettings


def rates(steps, **settings):
    chosen = LoopSettings(steps=steps, learning_rate=0.8, validate_every=1, **settings)
    return [10 * chosen.learning_rate_at(step) for step in range(steps)]


@pytest.mark.parametrize(
    ("settings", "want"),
    [
        ({"schedule": "linear", "warmup": 0.0}, [8, 6, 4, 2]),
        ({"schedule": "constant", "warmup": 0.0}, [8, 8, 8, 8]),
        ({"schedule": "constant", "warmup": 0.75}, [2, 4, 6, 8]),
        ({"schedule": "linear", "warmup": 0.25}, [4, 8, 16 / 3, 8 / 3]),
        ({"schedule": "cosine", "warmup": 0.0}, [8, 4 * (1 + 2**-0.5), 4, 4 * (1 - 2**-0.5)]),
        ({"schedule": "linear", "warmup": 1.0}, [1.6, 3.2, 4.8, 6.4]),
    ],
)
def test_rates_of_four_steps(settings, want):
    assert rates(4, **settings) == pytest.approx(want)


@pytest.mark.parametrize("schedule_", ["linear", "cosine", "constant"])
@pytest.mark.parametrize("warmup", [0.0, 0.03, 0.5, 1.0])
@pytest.mark.parametrize("steps", [1, 2, 7, 100])
def test_rates_stay_above_zero_and_at_most_the_highest(schedule_, warmup, steps):
    values = rates(steps, schedule=schedule_, warmup=warmup)
    assert all(0 < value <= 8 for value in values)
    peak = values.index(max(values))
    assert values[: peak + 1] == sorted(values[: peak + 1])
    assert values[peak:] == sorted(values[peak:], reverse=True)
