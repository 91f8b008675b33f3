"""What can be confirmed before a tuning: numbers of items, smallest budgets, and benchmarks at chance."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.stats import norm

from tutelage.benchmarks import Benchmark, load
from tutelage.comparison.budgets import Nats
from tutelage.core.types import Response
from tutelage.evaluation.measure import Measurement
from tutelage.metrics.answer_log_probability import AnswerLogProbabilities
from tutelage.protection import confirmable


def test_items_and_budgets_follow_the_usual_formula():
    z = norm.ppf(0.95) + norm.ppf(0.8)
    assert confirmable.items_for(2) == pytest.approx(0.1 * (z / 0.02) ** 2, abs=1)  # 1,546
    assert confirmable.items_for(2) == 1546
    assert confirmable.smallest_budget(400) == pytest.approx(100 * z * (0.1 / 400) ** 0.5)
    assert confirmable.items_for(confirmable.smallest_budget(400)) in (400, 401)
    assert confirmable.items_for(50) == 6  # the rule of three: 300 / 50


def measured(benchmark: Benchmark, right: float) -> Measurement:
    """The scores of answers of which a share is right."""
    responses = {}
    for number, item in enumerate(benchmark.items):
        good = number % 100 < 100 * right
        wrong = next((choice for choice in item.choices if choice not in item.references), "?")
        text = item.references[0] if good else wrong
        choice = item.choices.index(text) if item.choices else None
        logprobs = tuple(0.0 if n == choice else -1.0 for n in range(len(item.choices)))
        finish = "choice" if item.choices else "stop"
        lengths = (1,) * len(item.choices)
        responses[item.id] = Response(item.id, text, finish, 1, choice, logprobs, lengths)
    scored = benchmark.score(responses)
    return Measurement(scored.primary, scored.scores, {})


def test_a_budget_that_the_items_cannot_confirm_is_said_with_the_limit_that_would_do():
    benchmark = load("general-probe", limit=20)
    (note,) = confirmable.notes(benchmark, measured(benchmark, 0.9), 3.0)
    assert f"a budget of 3 points needs about {confirmable.items_for(3):,} items" in note
    assert "120 are watched" in note
    assert "limit: 115 would do" in note
    assert not list(confirmable.notes(benchmark, measured(benchmark, 0.9), None))
    whole = load("general-probe")
    assert not list(confirmable.notes(whole, measured(whole, 0.9), 5.0))
    (note,) = confirmable.notes(whole, measured(whole, 0.9), 1.0)
    assert "watch a benchmark with more items beside it" in note


def test_a_base_at_chance_cannot_show_forgetting():
    probe = load("general-probe")
    items = tuple(item for item in probe.items if len(item.choices) == 4)
    benchmark = dataclasses.replace(probe, items=items)
    (note,) = confirmable.notes(benchmark, measured(benchmark, 0.26), None)
    assert "not clearly above chance (28.0" in note
    assert "guessing gives 25.0" in note
    assert not list(confirmable.notes(benchmark, measured(benchmark, 0.5), None))


def test_a_budget_in_nats_is_confirmed_by_the_spread_of_the_base():
    rng = np.random.default_rng(0)
    benchmark = load("general-probe", limit=20)
    base = AnswerLogProbabilities(-rng.exponential(1.3, 120))
    spread = base.items.std(ddof=1)
    z = norm.ppf(0.95) + norm.ppf(0.8)
    needed = confirmable.items_for_nats(0.1, base)
    assert needed == pytest.approx((z * 0.5 * spread / 0.1) ** 2, abs=1)
    measurement = dataclasses.replace(measured(benchmark, 0.9), answer_log_probabilities=base)
    (note,) = confirmable.notes(benchmark, measurement, Nats(0.1))
    assert f"a budget of 0.1 nats needs about {needed:,} items" in note
    assert f"({spread:.2f} nats), and 120 are watched" in note
    smallest = z * 0.5 * spread / 120**0.5
    assert f"the smallest that they can confirm is about {smallest:.3f}; limit: " in note
    assert confirmable.items_for_nats(smallest, base) in (120, 121)
    assert not list(confirmable.notes(benchmark, measurement, Nats(smallest * 1.1)))
    few = dataclasses.replace(measurement, answer_log_probabilities=AnswerLogProbabilities(base.items[:20]))
    (note,) = confirmable.notes(benchmark, few, Nats(50.0))
    assert "needs about 30 items" in note
    assert "fewer than 30 confirm none" in note
