from __future__ import annotations

from collections import Counter

from tutelage.core.types import Origin, Prompted
from tutelage.templates import exemplars


def row(n, prompt=None):
    text = f"question {n}" if prompt is None else prompt
    return Prompted(f"r:{n}", "t", text, f"answer {n}", "own", Origin("r.jsonl", n))


TRAIN = [row(n) for n in range(40)]


def names(exemplars):
    return [one.completion for one in exemplars]


def test_fixed_ones_are_the_same_for_every_row_but_the_row_itself():
    asked = row(99)
    fixed = exemplars.choose_exemplars(TRAIN, asked, 4, fixed=True, seed=0)
    assert len(set(names(fixed))) == 4
    assert exemplars.choose_exemplars(TRAIN, row(98), 4, fixed=True, seed=0) == fixed
    own = next(one for one in TRAIN if one.completion == fixed[1].completion)
    others = exemplars.choose_exemplars(TRAIN, own, 4, fixed=True, seed=0)
    assert others[:3] == (fixed[0], fixed[2], fixed[3])
    assert fixed[1] not in others
    assert exemplars.choose_exemplars(TRAIN, asked, 4, fixed=True, seed=1) != fixed


def test_fresh_ones_differ_from_row_to_row_and_are_drawn_evenly():
    counts = Counter(
        name
        for n in range(2000)
        for name in names(exemplars.choose_exemplars(TRAIN, row(1000 + n), 2, fixed=False, seed=0))
    )
    assert len(counts) == 40
    assert all(60 < count < 145 for count in counts.values())  # 100 each; six standard errors are 60
    once, again = (exemplars.choose_exemplars(TRAIN, row(7), 5, fixed=False, seed=3) for _ in range(2))
    assert once == again


def test_neither_the_row_nor_one_that_asks_the_same_is_an_exemplar():
    twins = [row(1, "the same"), row(2, "the same"), row(3), row(4, "the same"), row(5)]
    for one in twins:
        found = exemplars.choose_exemplars(twins, one, 9, fixed=False, seed=0)
        assert one.prompt not in [exemplar.prompt for exemplar in found]
        assert len({exemplar.prompt for exemplar in found}) == len(found)
    assert len(exemplars.choose_exemplars(twins, row(9), 9, fixed=True, seed=0)) == 3
    assert exemplars.choose_exemplars([], row(9), 3, fixed=True, seed=0) == ()
    assert exemplars.choose_exemplars([row(9)], row(9), 3, fixed=False, seed=0) == ()


def test_exemplars_are_turns_that_went_before():
    shown = (row(1, "2 + 2?"), row(2, "3 + 3?"))
    assert exemplars.exemplar_turns(shown) == (
        ("user", "2 + 2?"),
        ("assistant", "answer 1"),
        ("user", "3 + 3?"),
        ("assistant", "answer 2"),
    )
    assert exemplars.exemplar_turns(()) == ()
