"""Shares of nested mixes, against numbers worked out by hand from the published formulas."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tutelage.core.errors import InputError, InputErrors
from tutelage.mixture.rates import Mix, TaskSize, task_shares


def shares(tree):
    return {one.name: one.share for one in task_shares(tree)}


# GLUE's training rows, as the T5 paper mixes them.
GLUE = {
    "cola": 8551, "sst2": 67_349, "mrpc": 3668, "stsb": 5749, "qqp": 363_846, "mnli": 392_702, "qnli": 104_743, "rte": 2490,
}  # fmt: skip


def test_examples_proportional_mixing_is_the_t5_papers():
    # r_m = min(e_m, K) / sum min(e_n, K), Raffel et al. 2020, 3.5.2, with K = 2**16
    found = shares(Mix("glue", [TaskSize(*one) for one in GLUE.items()], rate_maximum=2**16))
    total = 8551 + 65_536 + 3668 + 5749 + 65_536 * 3 + 2490
    assert found["qqp"] == found["mnli"] == found["sst2"] == pytest.approx(65_536 / total, rel=1e-14)
    assert found["rte"] == pytest.approx(2490 / total, rel=1e-14)


def test_flans_rate_maximum_makes_all_larger_tasks_equal():
    # mixing_rate_3k: min(rows, 3000); the cap of 30,000 says how many rows are used and leaves the rate alone
    found = task_shares(
        Mix(
            "flan",
            [TaskSize("rte", 2290), TaskSize("mnli", 392_502), TaskSize("boolq", 9227)],
            None,
            30_000,
            3000,
        )
    )
    assert [one.rows for one in found] == [2290, 30_000, 9227]
    assert [one.share for one in found] == pytest.approx([2290 / 8290, 3000 / 8290, 3000 / 8290], rel=1e-14)


def test_the_clip_comes_before_the_temperature():
    # seqio.mixing_rate_num_examples(maximum=400, temperature=2): min(n, 400) ** 0.5 is 10, 20 and 20
    found = shares(
        Mix(
            "m",
            [TaskSize("a", 100), TaskSize("b", 400), TaskSize("c", 90_000)],
            rate_maximum=400,
            temperature=2,
        )
    )
    assert found == pytest.approx({"a": 0.2, "b": 0.4, "c": 0.4}, rel=1e-14)


def test_the_cap_bounds_the_rate_where_there_is_no_rate_maximum():
    # flan/v2/mixtures_utils.py: maximum=mix_ex_cap
    assert shares(Mix("m", [TaskSize("a", 10), TaskSize("b", 1000)], cap=30)) == pytest.approx(
        {"a": 0.25, "b": 0.75}
    )


def test_nested_weights_multiply_down_the_tree():
    # seqio's Mixture.get_rate: rate * inner rate / inner total rate
    cot = Mix("cot", [TaskSize("gsm8k", 7000), TaskSize("esnli", 900_000)], cap=100_000)
    plain = Mix("flan2021", [TaskSize("rte", 2000), TaskSize("mnli", 400_000)], rate_maximum=3000)
    found = task_shares(Mix("all", [plain, cot], weights={"flan2021": 3, "cot": 1}))
    assert [(one.name, one.path) for one in found] == [
        ("rte", ("all", "flan2021", "rte")),
        ("mnli", ("all", "flan2021", "mnli")),
        ("gsm8k", ("all", "cot", "gsm8k")),
        ("esnli", ("all", "cot", "esnli")),
    ]
    wanted = [0.75 * 0.4, 0.75 * 0.6, 0.25 * 7 / 107, 0.25 * 100 / 107]
    assert [one.share for one in found] == pytest.approx(wanted, rel=1e-14)


def test_grouping_without_weights_changes_no_share():
    tasks = [TaskSize("a", 10), TaskSize("b", 200), TaskSize("c", 3000)]
    flat = shares(Mix("m", tasks, cap=1000, rate_maximum=500, temperature=1.5))
    grouped = Mix("m", [Mix("g", tasks[:2]), tasks[2]], cap=1000, rate_maximum=500, temperature=1.5)
    assert shares(grouped) == pytest.approx(flat, rel=1e-14)


def test_a_group_weighed_inside_counts_outside_as_its_rows():
    group = Mix("g", [TaskSize("a", 10), TaskSize("b", 90)], weights={"a": 1, "b": 1})
    assert shares(Mix("m", [group, TaskSize("c", 100)])) == pytest.approx({"a": 0.25, "b": 0.25, "c": 0.5})


def test_the_nearest_mix_decides():
    inner = Mix("g", [TaskSize("a", 900)], cap=500, temperature=1)
    found = task_shares(Mix("m", [inner, TaskSize("b", 900)], cap=100, temperature=2))
    assert {one.name: one.rows for one in found} == {"a": 500, "b": 100}
    assert found[0].share == pytest.approx(500 / 510)


TREES = st.recursive(
    st.integers(1, 10**9), lambda inner: st.lists(inner, min_size=1, max_size=4), max_leaves=12
)


def built(shape, name, weights):
    if isinstance(shape, int):
        return TaskSize(name, shape)
    parts = [built(one, f"{name}.{place}", weights) for place, one in enumerate(shape)]
    chosen = (
        {part.name: weights[place % len(weights)] for place, part in enumerate(parts)} if weights else None
    )
    return Mix(name, parts, chosen)


@given(
    st.lists(TREES, min_size=1, max_size=6),
    st.lists(st.floats(1e-12, 1e12), max_size=4),
    st.none() | st.integers(1, 10**6),
    st.sampled_from([0.5, 1.0, 2.0, 100.0]),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_shares_add_up_to_one_and_are_above_zero(shape, weights, maximum, temperature):
    root = built(shape, "m", weights)
    found = task_shares(Mix("m", root.parts, root.weights, None, maximum, temperature))
    assert math.fsum(one.share for one in found) == pytest.approx(1, abs=1e-12)
    assert all(one.share > 0 for one in found)
    assert len({one.path for one in found}) == len(found)


def test_huge_weights_do_not_overflow():
    found = shares(Mix("m", [TaskSize("a", 1), TaskSize("b", 1)], weights={"a": 1.5e308, "b": 1.5e308}))
    assert found == {"a": 0.5, "b": 0.5}


TWO = [TaskSize("dialogsum", 5), TaskSize("samsum", 5)]


@pytest.mark.parametrize(
    ("tree", "where", "said"),
    [
        (Mix("m", []), "mixture.parts", "has no parts"),
        (Mix("m", [TaskSize("a", 0)]), "mixture.parts.a", "no rows"),
        (Mix("m", TWO, {"dialogsum": 1, "samsun": 1, "samsum": 1}), "mixture.weights.samsun", "no part of this name"),
        (Mix("m", TWO, {"dialogsum": 1}), "mixture.weights", "some have none"),
        (Mix("m", TWO, {"dialogsum": 0, "samsum": 1}), "mixture.weights.dialogsum", "not a number above 0"),
        (Mix("m", TWO, {"dialogsum": -1, "samsum": 1}), "mixture.weights.dialogsum", "not a number above 0"),
        (Mix("m", TWO, {"dialogsum": math.nan, "samsum": 1}), "mixture.weights.dialogsum", "not a number above 0"),
        (Mix("m", TWO, {"dialogsum": 1, "samsum": math.inf}), "mixture.weights.samsum", "not a number above 0"),
        (Mix("m", TWO, {"dialogsum": 1, "samsum": True}), "mixture.weights.samsum", "not a number above 0"),
        (Mix("m", TWO, cap=0), "mixture.cap", "not a whole number"),
        (Mix("m", TWO, cap=2.5), "mixture.cap", "not a whole number"),
        (Mix("m", TWO, rate_maximum=-3), "mixture.rate_maximum", "not a number above 0"),
        (Mix("m", TWO, temperature=0), "mixture.temperature", "not a number of 0.05 or more"),
        (Mix("m", [Mix("g", TWO, temperature=math.nan)]), "mixture.parts.g.temperature", "0.05 or more"),
        (Mix("m", [TaskSize("a", 1), TaskSize("a", 2)]), "mixture.parts.1", "stands twice"),
        (Mix("m", [TaskSize("a", 1), Mix("a", [TaskSize("b", 1)])]), "mixture.parts.1", "stands twice"),
        (Mix("m", [Mix("g", [TaskSize("a", 1)]), Mix("h", [TaskSize("a", 1)])]), "mixture.parts.h.parts.0", "stands twice"),
    ],
)  # fmt: skip
def test_a_mistake_names_its_field(tree, where, said):
    with pytest.raises(InputError, match=said) as told:
        task_shares(tree)
    assert told.value.where == where
    assert told.value.fix


def test_the_nearest_name_is_offered_and_all_mistakes_come_at_once():
    with pytest.raises(InputErrors) as told:
        task_shares(
            Mix("m", [*TWO, TaskSize("c", 0)], {"dialogsum": 1, "samsun": 1, "c": -2}), where="tune.mixture"
        )
    wheres = [one.where for one in told.value.errors]
    assert wheres == [
        "tune.mixture.weights.samsun",
        "tune.mixture.weights.c",
        "tune.mixture.weights",
        "tune.mixture.parts.c",
    ]
    assert told.value.errors[0].fix == "did you mean samsum?"
