from __future__ import annotations

import random
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tutelage.core.errors import InputError, InputErrors
from tutelage.core.types import Example, Origin
from tutelage.data import SplitSettings, split


def rows(fields_list):
    return [Example(f"r:{n}", fields, Origin("r.jsonl", n)) for n, fields in enumerate(fields_list, 1)]


def plain(count):
    return rows([{"q": f"question {n}", "a": f"answer {n % 3}"} for n in range(count)])


def vectorized_tables(examples, **kwargs):
    return split(examples, SplitSettings(**kwargs), prompt_fields=["q"], completion_fields=["a"])


def test_fractions_and_counts_are_met_exactly():
    assert vectorized_tables(plain(100)).sizes() == {"train": 80, "validation": 10, "test": 10}
    assert vectorized_tables(plain(100), train=0.5, validation=0.25, test=0.25).sizes() == {
        "train": 50,
        "validation": 25,
        "test": 25,
    }
    parts = vectorized_tables(plain(100), train=60, validation=7, test=20)
    assert parts.sizes() == {"train": 60, "validation": 7, "test": 20}
    assert parts.unused == 13
    assert vectorized_tables(plain(7), train=0.8).sizes() == {"train": 5, "validation": 1, "test": 1}
    assert vectorized_tables(plain(10), validation=0).sizes() == {"train": 9, "validation": 0, "test": 1}


def test_every_row_is_in_one_split_and_in_the_files_order():
    parts = vectorized_tables(plain(50))
    lines = [row.origin.line for part in (parts.train, parts.validation, parts.test) for row in part]
    assert sorted(lines) == list(range(1, 51))
    assert [row.origin.line for row in parts.train] == sorted(row.origin.line for row in parts.train)


def test_the_split_depends_on_seed_and_content_not_on_the_order_of_rows():
    examples = plain(60)
    one, other, reseeded = (
        vectorized_tables(examples),
        vectorized_tables(examples[::-1]),
        vectorized_tables(examples, seed=1),
    )
    names = [{row.fields["q"] for row in parts.test} for parts in (one, other, reseeded)]
    assert names[0] == names[1]
    assert names[0] != names[2]


@given(st.lists(st.integers(0, 12), min_size=8, max_size=80), st.integers(0, 5))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_groups_stay_whole_and_nothing_is_lost(groups, seed):
    examples = rows([{"q": f"q{n}", "a": "x", "g": group} for n, group in enumerate(groups)])
    parts, problem = None, ""
    try:
        parts = vectorized_tables(examples, group_by="g", seed=seed)
    except InputError as error:
        problem = error.problem
    if parts is None:
        assert "would be empty" in problem
        return
    sets = [{row.fields["g"] for row in part} for part in (parts.train, parts.validation, parts.test)]
    assert not sets[0] & sets[1]
    assert not sets[0] & sets[2]
    assert not sets[1] & sets[2]
    assert sum(parts.sizes().values()) == len(examples)


def test_counts_are_met_as_nearly_as_whole_groups_allow():
    examples = rows([{"q": f"q{n}", "a": "x", "g": n // 4} for n in range(40)])
    assert vectorized_tables(examples, group_by="g", validation=4, test=10).sizes()["test"] in (8, 12)


def test_equal_prompts_stay_together_without_being_told():
    examples = rows(
        [
            {"q": f"Same  QUESTION {n // 2}" if n % 2 else f"same question {n // 2}", "a": str(n)}
            for n in range(40)
        ]
    )
    parts = vectorized_tables(examples)
    assert parts.leaks == ()
    assert parts.sizes() == {"train": 32, "validation": 4, "test": 4}


def test_a_leak_is_found_whatever_case_and_spaces_and_refused():
    examples = rows(
        [
            {"q": "What is it?", "a": "1", "s": "train"},
            {"q": "other", "a": "1", "s": "train"},
            {"q": "what  is IT?", "a": "2", "s": "test"},
            {"q": "new", "a": "1", "s": "test"},
        ]
    )
    with pytest.raises(InputError) as caught:
        vectorized_tables(examples, column="s")
    assert "1 of 2 test rows also stand in training" in caught.value.problem
    assert caught.value.found == "r.jsonl:3 as r.jsonl:1"
    assert "leaks: allow" in caught.value.fix
    parts = vectorized_tables(examples, column="s", leaks="allow")
    assert parts.leaks == ({"test": "r.jsonl:3", "train": "r.jsonl:1"},)


def test_a_group_field_that_splits_equal_prompts_is_found_out():
    examples = rows([{"q": "the same", "a": "x", "id": n} for n in range(20)])
    with pytest.raises(InputError, match="also stand in training") as caught:
        vectorized_tables(examples, group_by="id")
    assert "leave split.group_by out" in caught.value.fix


def test_repeated_rows_inside_a_split_are_counted():
    examples = rows(
        [{"q": "a", "a": "x", "s": "train"}] * 3
        + [{"q": "A", "a": "y", "s": "train"}, {"q": "b", "a": "x", "s": "test"}]
    )
    assert vectorized_tables(examples, column="s").repeated == {"train": 2, "validation": 0, "test": 0}


def test_a_column_says_it_and_other_values_are_refused_together():
    examples = rows(
        [{"q": str(n), "a": "x", "s": s} for n, s in enumerate(["train", "tran", "later", 1, "test"])]
    )
    with pytest.raises(InputErrors) as caught:
        vectorized_tables(examples, column="s")
    errors = caught.value.errors
    assert [error.where for error in errors] == ["r.jsonl:2", "r.jsonl:3", "r.jsonl:4"]
    assert [error.found for error in errors] == ['"tran"', '"later"', "a number"]
    assert errors[0].fix == "did you mean train?"
    with pytest.raises(InputErrors) as caught:
        vectorized_tables(examples, column="ss")
    assert caught.value.errors[0].problem == "the row has no field ss"


def test_a_column_may_use_the_names_of_other_programs():
    splits = ["Train", "dev", "testing", "val", "training"]
    examples = rows([{"q": f"{n} {n}", "a": "x", "s": s} for n, s in enumerate(splits)])
    assert vectorized_tables(examples, column="s").sizes() == {"train": 2, "validation": 2, "test": 1}


def test_a_column_must_name_test_rows():
    examples = rows([{"q": str(n), "a": "x", "s": "train"} for n in range(3)])
    with pytest.raises(InputError, match="no row is for test"):
        vectorized_tables(examples, column="s")


@pytest.mark.parametrize(
    ("kwargs", "problem", "where"),
    [
        ({"train": 9, "test": 2, "validation": 0}, "more rows than there are", "split"),
        ({"train": 0.9, "test": 0.2}, "more rows than there are", "split"),
        ({"test": -1}, "not a share", "split.test"),
        ({"test": 1.5}, "not a share", "split.test"),
        ({"validation": 5, "test": 5}, "train would be empty", "split.train"),
    ],
)
def test_shares_that_cannot_be_met(kwargs, problem, where):
    with pytest.raises(InputError) as caught:
        vectorized_tables(plain(10), **kwargs)
    assert problem in caught.value.problem
    assert caught.value.where == where
    assert caught.value.found
    assert caught.value.fix


def test_an_asked_for_split_that_whole_groups_leave_empty_is_refused():
    examples = rows([{"q": str(n), "a": "x", "g": "one"} for n in range(10)])
    with pytest.raises(InputError) as caught:
        vectorized_tables(examples, group_by="g")
    assert "would be empty" in caught.value.problem
    assert "same g" in caught.value.found


def test_a_group_field_that_is_missing_gets_the_nearest_name():
    examples = rows([{"q": str(n), "a": "x", "dialogue": "d"} for n in range(10)])
    with pytest.raises(InputErrors) as caught:
        vectorized_tables(examples, group_by="dialoge")
    assert caught.value.errors[0].where == "r.jsonl:1"
    assert "dialogue" in caught.value.errors[0].fix


def alike(count):
    """Pairs of rows that say nearly the same."""
    chance = random.Random(0)
    texts = [
        " ".join("".join(chance.choices(string.ascii_lowercase, k=6)) for _ in range(20))
        for _ in range(count)
    ]
    return rows([{"q": f"{text} {end}", "a": "x"} for text in texts for end in ("now", "then")])


def test_rows_that_say_nearly_the_same_stay_together():
    parts = vectorized_tables(alike(40))
    assert parts.near_leaks == ()
    assert sum(parts.near.values()) == 40
    assert {name: len(getattr(parts, name)) % 2 for name in ("train", "validation", "test")} == {
        "train": 0,
        "validation": 0,
        "test": 0,
    }


def test_a_test_row_that_stands_nearly_in_training_stops_the_run_and_names_both():
    examples = alike(2)
    for place, name in enumerate(("train", "test", "train", "train")):
        examples[place].fields["s"] = name
    with pytest.raises(InputError, match="1 of 1 test rows also stand nearly in training") as caught:
        vectorized_tables(examples, column="s")
    assert caught.value.found.startswith("r.jsonl:2 nearly as r.jsonl:1 (0.9")
    assert "raise split.near_duplicate_threshold" in caught.value.fix
    allowed = vectorized_tables(examples, column="s", leaks="allow")
    assert [(one["test"], one["train"]) for one in allowed.near_leaks] == [("r.jsonl:2", "r.jsonl:1")]
    assert vectorized_tables(examples, column="s", near_duplicate_threshold=1.0).near_leaks == ()


def test_equal_and_near_ones_are_counted_apart():
    examples = alike(3)
    examples += rows([{"q": examples[0].fields["q"].upper(), "a": "x"}])
    parts = vectorized_tables(examples, validation=0, test=1, leaks="allow")
    assert sum(parts.repeated.values()) + len(parts.leaks) == 1
    assert len(parts.train) == 6


@given(st.lists(st.sampled_from("aaaaaabbbc"), min_size=30, max_size=120), st.integers(0, 3))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_stratified_splits_have_every_value_in_its_share(values, seed):
    examples = rows([{"q": f"q{n}", "a": "x", "v": value} for n, value in enumerate(values)])
    parts = vectorized_tables(examples, stratify="v", validation=0.2, test=0.2, seed=seed)
    for name, share in (("validation", 0.2), ("test", 0.2)):
        part = getattr(parts, name)
        assert len(part) == max(1, round(share * len(values)))
        for value in set(values):
            own = sum(row.fields["v"] == value for row in part)
            assert abs(own - values.count(value) * len(part) / len(values)) < 1


def test_a_stable_split_moves_no_row_when_others_come():
    few, many = vectorized_tables(plain(400), stable=True), vectorized_tables(plain(1000), stable=True)
    for name in ("train", "validation", "test"):
        known = {row.fields["q"] for row in getattr(many, name)}
        assert {row.fields["q"] for row in getattr(few, name)} <= known
    assert 60 < len(many.test) < 140
    assert vectorized_tables(plain(400), stable=True, seed=1).test != few.test


def test_a_stable_split_takes_fractions_only():
    with pytest.raises(InputError, match="takes fractions"):
        vectorized_tables(plain(40), stable=True, test=10)
    with pytest.raises(InputError, match="takes fractions"):
        vectorized_tables(plain(40), stable=True, test=0.8, validation=0.5)


def test_the_newest_rows_test():
    days = [f"2026-01-{1 + (9 * n) % 28:02d}" for n in range(28)]
    examples = rows([{"q": f"q{n}", "a": "x", "day": day} for n, day in enumerate(days)])
    parts = vectorized_tables(examples, date="day", validation=4, test=6)
    latest = {
        name: max(row.fields["day"] for row in getattr(parts, name)) for name in ("train", "validation")
    }
    earliest = {
        name: min(row.fields["day"] for row in getattr(parts, name)) for name in ("validation", "test")
    }
    assert latest["train"] < earliest["validation"] <= latest["validation"] < earliest["test"]
    assert parts.sizes() == {"train": 18, "validation": 4, "test": 6}


def test_rows_of_one_day_stay_together_and_dates_may_be_numbers_or_have_zones():
    examples = rows([{"q": f"q{n}", "a": "x", "t": [1, 2, 3, 3, 3][n % 5]} for n in range(20)])
    assert {row.fields["t"] for row in vectorized_tables(examples, date="t", validation=4, test=10).test} == {
        3
    }
    zoned = rows(
        [
            {"q": "q1", "a": "x", "t": "2026-03-01T00:30:00+02:00"},
            {"q": "q2", "a": "x", "t": "2026-02-28T23:00:00Z"},
            {"q": "q3", "a": "x", "t": "2026-02-27"},
        ]
    )
    assert [row.fields["q"] for row in vectorized_tables(zoned, date="t", validation=0, test=1).test] == [
        "q2"
    ]


def test_what_is_no_date_is_said_with_its_row():
    with pytest.raises(InputErrors) as caught:
        vectorized_tables(
            rows([{"q": "a", "a": "x", "t": "soon"}, {"q": "b", "a": "x", "t": True}]), date="t"
        )
    assert [(one.where, one.found) for one in caught.value.errors] == [
        ("r.jsonl:1", '"soon"'),
        ("r.jsonl:2", "true or false"),
    ]
    with pytest.raises(InputError, match="has no field"):
        vectorized_tables(plain(5), stratify="nothing")
