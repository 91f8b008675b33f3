"""Intervals by hand and against scipy's values; what unchanged and uniform items do not exclude."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from tutelage.metrics import Row, paired, score_rows
from tutelage.metrics.names import catalogue
from tutelage.metrics.stats import intervals
from tutelage.metrics.stats import paired as tests

TEXTS = [
    "rougeL",
    "token_f1",
    "chrf",
    "bleu",
    "ter",
    "sentence_bleu",
    "accuracy",
    "f1",
    "mcc",
    "balanced_accuracy",
]
ALL = [*TEXTS, "entity_f1", "pearson", "spearman", "ece", "brier", "selective_accuracy", "selective_area"]


def rows(n, *, right=None, seed=0):
    """Rows that every metric of `ALL` can read, right where `right` says so (half of them when left out)."""
    dice = np.random.default_rng(seed)
    right = dice.random(n) < 0.5 if right is None else right
    found = []
    for ok in right:
        true = str(dice.integers(1, 5))
        found.append(
            Row(
                true if ok else str(int(true) % 4 + 1),
                (true,),
                {"confidence": round(float(dice.random()), 2)},
            )
        )
    return found


def tags(n, *, right):
    return [Row("B-x O" if ok else "O B-x", ("B-x O",)) for ok in right[:n]]


def scored(metric, n, *, right=None, seed=0):
    if metric.startswith("entity"):
        flags = np.random.default_rng(seed).random(n) < 0.5 if right is None else right
        return score_rows([metric], tags(n, right=list(flags)))[metric]
    return score_rows([metric], rows(n, right=right, seed=seed))[metric]


@pytest.mark.parametrize("right", range(0, 31, 5))
def test_wilsons_interval_is_scipys(right):
    expected = stats.binomtest(right, 30).proportion_ci(method="wilson")
    assert intervals.wilson(right, 30) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_a_mean_of_uniform_items_is_as_open_as_a_share_of_right_ones():
    low, high = intervals.mean(np.ones(40), low=0, high=1)
    expected = intervals.on_range(1.0, 1 / 40, stats.t.ppf(0.975, 39), low=0, high=1)
    assert (low, high) == pytest.approx(
        expected, rel=0.03
    )  # two items of weight 1/2 that nobody saw are added


def test_a_mean_of_many_items_gets_students_interval():
    values = np.random.default_rng(0).beta(4, 4, 4000)
    low, high = intervals.mean(values, low=0, high=1)
    half = stats.t.ppf(0.975, 3999) * values.std(ddof=1) / math.sqrt(4000)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.02 * half)


@pytest.mark.parametrize("n", [2, 5, 20, 59])
@pytest.mark.parametrize("metric", [name for name in ALL if name != "ter"])
def test_unchanged_items_leave_at_least_the_rule_of_three_open(metric, n):
    """Of n items without a change, up to 3 / n may change, each by as much as the metric can."""
    side = scored(metric, n)
    if not math.isfinite(side.score.value):
        return  # a correlation of a side that does not vary has no value
    found = paired(side, side)
    entry = catalogue()[metric]
    width = entry.high  # of a correlation too: one item of n moves it by about 1 / n
    assert found.low <= -min(1.0, 3 / (n + intervals.Z**2)) * width < 0, found
    assert found.high >= min(1.0, 3 / (n + intervals.Z**2)) * width
    assert found.p == 1.0
    assert found.detectable >= found.high


@pytest.mark.parametrize("n", [2, 7, 40])
@pytest.mark.parametrize("metric", ["rougeL", "token_f1", "chrf", "bleu"])
def test_unchanged_items_of_a_mean_leave_as_much_open_as_right_answers(metric, n):
    side = scored(metric, n, right=[True] * n)
    found = paired(side, side)
    low, high = intervals.paired_proportions(0, 0, n)
    width = catalogue()[metric].high
    assert (found.low / width, found.high / width) == pytest.approx((low, high), abs=1e-9)


def test_pooled_freedom_is_that_of_the_part_that_is_estimated():
    assert intervals.pooled_freedom(2.0, 9.0, 0.0) == 9.0
    assert intervals.pooled_freedom(2.0, 9.0, 2.0) == pytest.approx(36.0)  # Welch: (2 + 2)**2 / (2**2 / 9)
    assert intervals.pooled_freedom(0.0, 9.0, 1.0) == math.inf
    assert intervals.t_quantile(math.inf) == pytest.approx(intervals.Z, abs=1e-12)


def test_a_combined_difference_of_independent_and_of_equal_estimates():
    values, ends = (2.0, 5.0), ((1.0, 4.0), (4.0, 8.0))
    low, high = intervals.combined_difference(values, ends, 0.0, 0.0)
    assert (low, high) == pytest.approx(
        (3 - math.hypot(1, 2), 3 + math.hypot(3, 1))
    )  # Zou and Donner by hand
    low, high = intervals.combined_difference((2.0, 2.0), ((1.0, 3.0), (1.0, 3.0)), 1.0, 0.0)
    assert (low, high) == pytest.approx((0.0, 0.0))


@pytest.mark.parametrize("metric", ["perplexity", "bits_per_byte"])
def test_a_change_of_likelihood_is_skewed_and_is_never_certain(metric):
    def likelihoods(level, n=8):
        dice = np.random.default_rng(3)
        nats = level * dice.gamma(2, 1, n) * dice.uniform(0.8, 1.2, n)
        made = [Row("", ("some text",), {"logprob": -float(own), "tokens": 3}) for own in nats]
        return score_rows([metric], made)[metric]

    base, tuned = likelihoods(1.0), likelihoods(3.0)
    found = paired(base, tuned)
    assert found.low < found.value < found.high
    assert found.high - found.value > found.value - found.low
    same = paired(base, base)
    assert same.low < 0 < same.high


@pytest.mark.parametrize("metric", ["perplexity", "bits_per_byte"])
def test_an_interval_of_likelihood_is_symmetric_in_log_nats_and_counts_a_long_text_as_a_text(metric):
    def interval_in_log_nats(sizes):
        rows = [
            Row("", ("x" * size,), {"logprob": -size * nats, "tokens": size})
            for size, nats in zip(sizes, (0.5, 0.7, 0.9, 1.1, 1.3, 1.5), strict=True)
        ]
        scored = score_rows([metric], rows)[metric].score
        ends = np.log([scored.low, scored.value, scored.high])
        return np.log(ends) if metric == "perplexity" else ends

    low, value, high = interval_in_log_nats([20] * 6)
    assert high - value == pytest.approx(value - low, abs=1e-9)
    # By hand: six equal texts have 5 degrees of freedom and the variance of a mean; the exponential's curvature over
    # one text of six adds 0.2 % to perplexity's jackknife.
    error = np.std((0.5, 0.7, 0.9, 1.1, 1.3, 1.5), ddof=1) / math.sqrt(6)
    assert high - value == pytest.approx(2.570582 * error, rel=3e-3)
    low, value, high = interval_in_log_nats([20, 20, 20, 2000, 20, 20])
    assert high - low > 4 * error  # one long text leaves one degree of freedom: quantile 12.7


@pytest.mark.parametrize("metric", ALL)
@pytest.mark.parametrize("right", ["all", "none", "half"])
def test_a_value_lies_inside_its_interval_and_the_interval_is_never_certain(metric, right):
    for n in (2, 3, 7, 12, 31):
        flags = {"all": [True] * n, "none": [False] * n, "half": None}[right]
        score = scored(metric, n, right=flags, seed=n).score
        if math.isfinite(score.value):
            assert score.low <= score.value <= score.high
            assert score.low < score.high
            assert score.low >= catalogue()[metric].low


def test_perfect_scores_of_rare_classes_are_less_certain_than_of_common_ones():
    def low(shares):
        made = [Row(label, (label,)) for label, count in shares.items() for _ in range(count)]
        return score_rows(["balanced_accuracy"], made)["balanced_accuracy"].score.low

    assert (
        low({"a": 97, "b": 3}) < 0.75
    )  # three of three found: Wilson's interval of that share alone goes down to 0.44
    assert low({"a": 50, "b": 50}) > 0.94


def test_a_plain_ece_of_a_calibrated_model_lies_in_an_interval_that_holds_zero():
    dice = np.random.default_rng(1)
    confidence = dice.uniform(0.5, 1, 200)
    made = [
        Row("x", ("x",), {"confidence": float(one), "correct": bool(dice.random() < one)})
        for one in confidence
    ]
    score = score_rows(["ece"], made)["ece"].score
    assert score.low == 0.0 < score.value <= score.high < 0.2
    wrong = [Row("x", ("x",), {"confidence": 0.9, "correct": bool(n % 2)}) for n in range(200)]
    score = score_rows(["ece"], wrong)["ece"].score
    assert score.value == pytest.approx(0.4)
    assert 0.3 < score.low < score.value < score.high < 0.5


def test_ece_by_equal_mass_has_no_interval_below_three_items_a_bin():
    few, enough = (scored("ece:binning=mass", n).score for n in (29, 30))
    assert (few.low, few.high) == (0.0, 1.0)
    assert few.signature.endswith("ci:none")
    assert enough.high - enough.low < 1


@pytest.mark.parametrize("seed", range(3))
def test_interval_and_p_of_shares_agree_in_thousands_of_cases(seed):
    dice = np.random.default_rng(seed)
    for _ in range(1000):
        n = int(dice.integers(2, 300))
        gained, lost, _ = dice.multinomial(n, dice.dirichlet((0.3, 0.3, 1)))
        value = (gained - lost) / n
        ends = intervals.paired_proportions(int(gained), int(lost), n)
        raw = tests.mcnemar(int(gained), int(lost))
        inverted = intervals.t_test(float(gained - lost), math.sqrt(gained + lost), math.inf)
        low, high, p = intervals.agreeing(value, ends, raw, inverted)
        assert (low > 0 or high < 0) == (p < 0.05), (gained, lost, n)
        assert low <= ends[0]
        assert high >= ends[1]
        assert p == raw, "Tango's test rejects whenever McNemar's exact one does"


@pytest.mark.parametrize(
    "metric", ["rougeL", "token_f1", "bleu", "chrf", "f1", "mcc", "ece", "pearson", "brier"]
)
def test_interval_and_p_of_every_metric_agree(metric):
    dice = np.random.default_rng(5)
    for case in range(20):
        n = int(dice.integers(3, 40))
        gain = dice.uniform(0, 1)
        base, tuned = (
            score_rows([metric], rows(n, right=dice.random(n) < level, seed=case))[metric]
            for level in (0.4, gain)
        )
        found = paired(base, tuned)
        if not math.isfinite(found.value):
            continue
        assert (found.low > 0 or found.high < 0) == (found.p < 0.05), found
        assert found.low <= found.value <= found.high


@pytest.mark.parametrize(
    ("ends", "p", "inverted", "expected"),
    [
        ((0.1, 0.3), 0.01, 0.02, (0.1, 0.3, 0.01)),
        ((0.1, 0.3), 0.06, 0.04, (0.0, 0.3, 0.06)),
        ((-0.3, -0.1), 0.06, 0.04, (-0.3, 0.0, 0.06)),
        ((-0.1, 0.3), 0.03, 0.2, (-0.1, 0.3, 0.2)),
        ((-0.1, 0.3), 0.4, 0.2, (-0.1, 0.3, 0.4)),
    ],
)
def test_where_two_tests_disagree_the_difference_is_not_beyond_chance(ends, p, inverted, expected):
    value = sum(ends) / 2
    assert intervals.agreeing(value, ends, p, inverted) == pytest.approx(expected)
