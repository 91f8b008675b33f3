"""Prompts that the base writes: which are dropped and counted, and what is too few."""

from __future__ import annotations

import random
import string

import pytest

from tutelage.benchmarks import load
from tutelage.config.protect_block import MIN_PROMPTS, SelfReplay
from tutelage.core.errors import InputError
from tutelage.core.types import Response
from tutelage.protection.sampled_prompts import sample_prompts

SETTINGS = SelfReplay(prompts="sampled", prompt_samples=60, prompt_max_tokens=9, temperature=0.8, seed=7)


def asking(texts, *, cut_off=()):
    """A base that writes these turns, and then lets each of the others be a prompt of its own."""
    seen = []

    def ask(requests):
        seen.extend(requests)
        letters = random.Random(1)
        others = ("".join(letters.choices(string.ascii_lowercase, k=40)) for _ in requests)
        drawn = [*texts, *others][: len(requests)]
        return [
            Response(request.id, text, "length" if text in cut_off else "stop", 5)
            for request, text in zip(requests, drawn, strict=True)
        ]

    return ask, seen


def test_what_is_unfit_or_watched_is_dropped_and_counted():
    probe = load("general-probe", limit=3)
    watched = probe.items[0].prompt
    texts = [
        *("", " \n"),
        "ha ha ha ha ha ha ha ha ha",
        "a NUL \0 in it",
        "How do I bake bread at home without an oven",
        "How do I bake bread at home without an oven?",
        "it was cut",
        # Two that are near one item but not near each other, or they would count as near another.
        watched,
        f"Please {watched} Say it in one short sentence and explain with many words of your own why it is so.",
    ]
    ask, seen = asking(texts, cut_off=("it was cut",))
    prompts, counts = sample_prompts(SETTINGS, [probe], ask)
    assert (counts.sampled, counts.empty, counts.degenerate, counts.cut_off) == (60, 2, 2, 1)
    assert counts.duplicates >= 1
    assert counts.watched >= 1
    assert watched not in prompts
    assert prompts[0] == texts[4]
    assert texts[5] not in prompts
    assert counts.kept == len(prompts) == 60 - 5 - counts.duplicates - counts.watched
    assert f"{counts.kept} of 60 sampled prompts are asked; dropped: 1 cut off, 2 empty" in counts.sentence()
    assert len({request.id for request in seen}) == 60
    assert {(r.form, r.prompt, r.max_new_tokens, r.sampling.temperature, r.sampling.seed) for r in seen} == {
        ("user", "", 9, 0.8, 7)
    }


def test_every_prompt_near_an_item_is_dropped_also_where_several_are_near_the_same_one():
    probe = load("general-probe", limit=1)
    item = max(probe.items, key=lambda item: len(item.prompt.split()))
    words = item.prompt.split()
    assert len(words) >= 13
    near = [" ".join([*words[:13], *(f"{letter}{n}" for n in range(40))]) for letter in "abc"]
    ask, _ = asking(near)
    prompts, counts = sample_prompts(SETTINGS, [probe], ask)
    assert counts.watched == 3
    assert not set(near) & set(prompts)
    assert sample_prompts(SETTINGS, [], ask)[1].watched == 0


def test_too_few_prompts_are_an_error_with_the_counts():
    ask, _ = asking(["What now?"] * 40)
    with pytest.raises(InputError, match="too few of the sampled prompts") as caught:
        sample_prompts(SETTINGS, [], ask)
    assert "39 near another" in caught.value.found
    assert caught.value.expected == f"at least {MIN_PROMPTS}"
    assert "prompt_samples" in caught.value.fix
