"""Budgets in nats: the words, the verdict, the search, and why they need fewer items than points."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy.stats import binom

from tutelage.comparison import PairedScores, compare_models
from tutelage.comparison.budgets import Nats
from tutelage.comparison.fixed_sequence import Candidate, LossTest, SequenceResult, loss_test
from tutelage.comparison.items_needed import Z_NEEDED
from tutelage.comparison.task_comparison import Estimate
from tutelage.core.errors import InputError
from tutelage.metrics import Row, score_rows
from tutelage.metrics.answer_log_probability import AnswerLogProbabilities


def paired(n=400, loss=0.0, *, spread=0.2, seed=1, likelihoods=True):
    """Two models of which the second gives right answers `loss` nats less, with unchanged right-or-wrong answers."""
    rng = np.random.default_rng(seed)
    base = -1.0 - rng.exponential(0.5, n)
    change = spread * rng.standard_normal(n)
    tuned = base - loss - (change - change.mean())
    rows = [Row("yes" if n % 3 else "no", ("yes",)) for n in range(n)]
    scores = score_rows(["accuracy"], rows)
    both = (AnswerLogProbabilities(base), AnswerLogProbabilities(tuned)) if likelihoods else None
    return PairedScores("accuracy", scores, scores, answer_log_probabilities=both)


def judged(pair, budget=0.05):
    return compare_models({}, {"probe": pair}, budgets={"probe": Nats(budget)})


@pytest.mark.parametrize(
    ("loss", "n", "word", "forgot"),
    [
        (0.0, 400, "within", "no"),
        (0.025, 400, "within", "yes"),
        (0.09, 400, "over", "yes"),
        (0.06, 60, "over", "yes"),
        (0.045, 400, "cannot tell", "yes"),
        (0.01, 40, "cannot tell", "unclear"),
        (0.0, 29, "cannot tell", "unclear"),
    ],
)
def test_a_loss_in_nats_is_within_over_or_cannot_be_told(loss, n, word, forgot):
    spread = 0.01 if n == 29 else 0.2
    outcome = judged(paired(n, loss, spread=spread))
    assert outcome.budgets["probe"].word == word
    assert outcome.verdict.forgot == forgot
    assert outcome.over_budget == (word == "over")


def test_the_verdict_and_the_results_say_it_in_nats():
    outcome = judged(paired(400, 0.09))
    assert "more than the budget allows" in outcome.verdict.sentence
    assert (
        "the right answers lost 0.090 nats an item, 95 % interval 0.069 to 0.111" in outcome.verdict.sentence
    )
    assert "budget 0.05 nats" in outcome.verdict.sentence
    budget = outcome.as_json()["watched"]["probe"]["budget"]
    assert (budget["nats"], budget["word"], budget["n"]) == (0.05, "over", 400)
    assert budget["loss"] == pytest.approx(0.09)
    assert budget["base"] - budget["tuned"] == pytest.approx(0.09)
    json.dumps(outcome.as_json(), allow_nan=False)
    unsettled = judged(paired(40, 0.01)).budgets["probe"]
    assert f"about {unsettled.items:,} items would settle it" in judged(paired(40, 0.01)).verdict.sentence
    gained = judged(paired(400, -0.09)).verdict
    assert gained.forgot == "no"
    assert "lost \N{MINUS SIGN}0.090 nats" in gained.sentence


def test_several_losses_in_nats_are_one_family():
    alone = compare_models({}, {"a": paired(100, 0.045)}, budgets={"a": Nats(0.01)})
    pairs = {name: paired(100, 0.045 if name == "a" else 0.0, seed=n) for n, name in enumerate("abcd", 1)}
    family = compare_models({}, pairs, budgets=dict.fromkeys(pairs, Nats(0.01)))
    p = alone.budgets["a"].loss.p
    assert p < 0.05
    assert family.budgets["a"].loss.p_adjusted == pytest.approx(min(1.0, 4 * p))


def test_a_budget_in_nats_needs_likelihoods_and_is_above_0():
    with pytest.raises(InputError, match="without likelihoods") as caught:
        judged(paired(likelihoods=False))
    assert caught.value.where == "retain.probe"
    with pytest.raises(InputError, match="without likelihoods"):
        loss_test("probe", paired(likelihoods=False), Nats(0.05))
    with pytest.raises(InputError, match="not a budget"):
        judged(paired(), 0.0)


def test_the_search_tests_nats_and_says_so():
    test = loss_test("probe", paired(400, 0.02), Nats(0.05))
    assert (test.budget, test.unit, test.n, test.within) == (0.05, "nats", 400, True)
    assert test.loss == pytest.approx(0.02)
    assert test.low < 0.02 < test.high < 0.05
    assert test.as_json()["unit"] == "nats"
    assert "unit" not in LossTest(5.0, 1.0, 0.0, 2.0, 0.01, 80, True).as_json()
    gain = Estimate(10.0, 5.0, 15.0)
    chosen = SequenceResult(
        (0.5, 1.0), (Candidate(0.5, {"probe": test}, gain),), 0.5, Estimate(20.0, 9.0, 31.0)
    )
    assert "a loss above 0.05 nats is excluded on probe" in chosen.sentence()
    failing = loss_test("probe", paired(29, 0.0, spread=0.01), Nats(0.05))
    assert failing.p < 0.05
    assert not failing.within  # fewer than 30 items exclude nothing
    none = SequenceResult((0.5,), (Candidate(0.5, {"probe": failing}),), None, gain)
    assert "probe lost 0.000 nats" in none.sentence()
    assert "which about 30 items would settle" in none.sentence()


def drift(n, rng, *, away=0.1, spread=0.4):
    """Four choices whose log-probabilities drift, and more so away from the right one: log-probabilities and right answers of both."""
    base = rng.standard_normal((n, 4)) * 1.2
    base[:, 0] += 1.0
    tuned = base + spread * rng.standard_normal((n, 4)) / math.sqrt(2)
    tuned[:, 0] -= away

    def of_right(logits):
        return logits[:, 0] - np.logaddexp.reduce(logits, axis=1)

    return (of_right(base), of_right(tuned)), (base.argmax(1) == 0, tuned.argmax(1) == 0)


def test_points_need_at_least_five_times_the_items_of_nats():
    """For a budget of twice the true loss: (Z x spread / loss) squared items each, of the same drift, a tenth of the answers flipping."""
    nats, right = drift(400_000, np.random.default_rng(0))
    assert np.mean(right[0] != right[1]) == pytest.approx(0.1, abs=0.02)
    needed = {}
    for unit, (base, tuned) in {"nats": nats, "points": right}.items():
        losses = base.astype(float) - tuned.astype(float)
        needed[unit] = (Z_NEEDED * losses.std() / losses.mean()) ** 2
    assert needed["points"] / needed["nats"] > 5
    # So many items confirm the one budget mostly, and the other one seldom.
    rng, repetitions, within = np.random.default_rng(1), 60, {"nats": 0, "points": 0}
    true_nats = float((nats[0] - nats[1]).mean())
    true_points = 100 * float(right[0].mean() - right[1].mean())
    for _ in range(repetitions):
        drawn, hits = drift(math.ceil(needed["nats"]), rng)
        scores = [
            score_rows(["accuracy"], [Row("y" if hit else "n", ("y",)) for hit in side]) for side in hits
        ]
        pair = PairedScores(
            "accuracy",
            *scores,
            answer_log_probabilities=(AnswerLogProbabilities(drawn[0]), AnswerLogProbabilities(drawn[1])),
        )
        within["nats"] += loss_test("probe", pair, Nats(2 * true_nats)).within
        within["points"] += loss_test("probe", pair, 2 * true_points).within
    assert within["nats"] >= 0.65 * repetitions > 0.55 * repetitions >= within["points"]


@pytest.mark.parametrize(
    "losses_of", [lambda rng, n: rng.exponential(0.3, n) - 0.3, lambda rng, n: 0.3 - rng.exponential(0.3, n)]
)
@pytest.mark.parametrize("n", [60, 300])
def test_a_search_in_nats_seldom_offers_what_is_over_budget(losses_of, n):
    """Where exactly the budget is lost, at most one in twenty passes, also where a few items lose most of it."""
    rng, repetitions = np.random.default_rng(2), 2000
    passed = 0
    for _ in range(repetitions):
        base = -rng.exponential(1.0, n)
        tuned = base - 0.1 - losses_of(rng, n)
        pair = (AnswerLogProbabilities(base), AnswerLogProbabilities(tuned))
        scores = PairedScores("accuracy", {}, {}, answer_log_probabilities=pair)
        passed += loss_test("probe", scores, Nats(0.1)).within
    assert passed <= binom.ppf(1 - 1e-3, repetitions, 0.05), passed / repetitions
