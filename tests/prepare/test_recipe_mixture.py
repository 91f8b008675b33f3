"""Shares, replay by tokens, and what was seen, on rows that are nothing but their lengths."""

from __future__ import annotations

import random

import pytest

from tutelage.config.load import from_mapping
from tutelage.config.task_block import Task
from tutelage.core.errors import InputError
from tutelage.core.types import Encoded, Origin, Prompted
from tutelage.mixture.epoch_order import EpochOrder
from tutelage.prepare.encoding import EncodedTask
from tutelage.prepare.recipe_mixture import check_replay_pool, mix_tasks, rows_seen
from tutelage.prepare.task_rows import TaskRows


def rows(count, low, high, seed=0):
    rng = random.Random(seed)
    lengths = [rng.randint(low, high) for _ in range(count)]
    return tuple(
        Encoded(str(n), "t", (1,) * size, (False,) * (size - 3) + (True,) * 3)
        for n, size in enumerate(lengths)
    )


def task(name, ids):
    rendered = tuple(Prompted(row.id, name, "", "", "own", Origin("r.jsonl", 1)) for row in ids)
    block = Task.model_validate({"name": name, "data": {"path": "r.jsonl"}})
    return EncodedTask(TaskRows(block, rendered, (), (), {}), ids, (), ())


def recipe(names, **more):
    return from_mapping(
        {"tasks": [{"name": name, "data": {"path": "r.jsonl"}} for name in names], "name": "r", **more}
    )


def test_without_mixture_and_replay_every_row_comes_once_an_epoch():
    mix = mix_tasks(recipe("ab"), "ab", [rows(3, 4, 9), rows(5, 4, 9)])
    assert isinstance(mix.order, EpochOrder)
    assert (mix.shares, mix.epoch, mix.identity) == ((3 / 8, 5 / 8), 8, [])


@pytest.mark.parametrize("share", [0.05, 0.3])
@pytest.mark.parametrize("lengths", [(20, 60), (200, 900)])
def test_a_replay_reaches_its_share_of_tokens_within_a_point(share, lengths):
    names = ("short", "long", "general")
    train = [rows(800, 10, 40, 1), rows(500, 100, 300, 2), rows(4000, *lengths, 3)]
    told = recipe(
        names, replay={"from": "general", "share": share, "repeat": True}, mixture={"temperature": 2.0}
    )
    mix = mix_tasks(told, names, train)
    found = rows_seen(mix, [task(name, ids) for name, ids in zip(names, train, strict=True)], 6000)
    tokens = {name: one["tokens"] for name, one in found.items()}
    assert abs(tokens["general"] / sum(tokens.values()) - share) < 0.01
    assert mix.replay["row_share"] == mix.shares[2]
    assert sum(mix.shares) == pytest.approx(1)
    # examples-proportional at temperature 2 among the others
    assert mix.shares[0] / mix.shares[1] == pytest.approx((800 / 500) ** 0.5)
    for place, one in enumerate(found.values()):
        assert abs(one["rows"] - 6000 * mix.shares[place]) <= 6  # six blocks of 1,000
        assert one["loss_tokens"] == 3 * one["rows"] == 3 * one["templates"]["own"]["rows"]


def test_a_pool_that_is_too_small_is_refused_with_the_share_that_it_reaches():
    names = ("taught", "general")
    train = [rows(1000, 50, 50), rows(20, 50, 50)]
    told = recipe(names, replay={"from": "general", "share": 0.1})
    mix = mix_tasks(told, names, train)
    check_replay_pool(told, mix, 200)
    with pytest.raises(InputError, match="pool is too small") as caught:
        check_replay_pool(told, mix, 400)
    assert "20 rows in general; 40 are needed" in caught.value.found
    assert "lower share to about 0.050" in caught.value.fix
    check_replay_pool(recipe(names, replay={"from": "general", "share": 0.1, "repeat": True}), mix, 400)


def test_a_cap_uses_a_part_of_the_rows_and_an_epoch_is_what_is_used():
    names = ("a", "b")
    train = [rows(1000, 5, 5), rows(50, 5, 5)]
    mix = mix_tasks(recipe(names, mixture={"cap": 100}), names, train)
    assert mix.epoch == 150
    used = {mix.order.at(n)[1] for n in range(3000) if mix.order.at(n)[0] == 0}
    assert len(used) == 100
    assert max(used) > 500  # a sample of all, not the first hundred


def test_tasks_that_are_only_asked_are_in_no_order_and_need_no_weight():
    names = ("a", "unseen", "b")
    train = [rows(10, 5, 5), (), rows(30, 5, 5)]
    told = recipe(
        names,
        mixture={
            "parts": {"x": {"tasks": ["a"]}, "y": {"tasks": ["b"]}, "z": {"tasks": ["unseen"]}},
            "weights": {"x": 1.0, "y": 1.0, "z": 5.0},
        },
    )
    assert mix_tasks(told, names, train).shares == (0.5, 0.0, 0.5)
    assert mix_tasks(recipe(names), names, train).shares == (0.25, 0.0, 0.75)


def test_all_mistakes_of_a_mixture_are_told_at_once():
    told = recipe(("a", "b", "c"), mixture={"tasks": ["a", "bb"], "parts": {"p": {"tasks": ["a"]}}})
    with pytest.raises(InputError) as caught:
        mix_tasks(told, ("a", "b", "c"), [rows(5, 5, 5)] * 3)
    said = str(caught.value)
    assert "did you mean b?" in said
    assert "a, which is in mixture too" in said
    assert "found:    b\n" in said
    assert "found:    c\n" in said
