"""Keys of the base's own answers: those of earlier runs stay, and what is asked decides."""

from __future__ import annotations

from tutelage.config.protect_block import SelfReplay
from tutelage.core import hashing
from tutelage.protection.sampled_prompts import PromptCounts
from tutelage.protection.self_replay import ReplayCounts, key_of


def test_written_prompts_have_the_key_that_they_had_before_prompts_could_be_sampled():
    sampling = {"temperature": 1.0, "top_p": 0.95, "max_new_tokens": 96, "draws": 1, "seed": 0}
    before = hashing.of_json([sampling, ["a", "b"], "base", None])
    assert key_of(SelfReplay(), ("a", "b"), "base", None) == before
    assert key_of(SelfReplay(share=0.5, prompts="mine.jsonl"), ("a", "b"), "base", None) == before


def test_all_that_decides_sampled_prompts_is_in_the_key():
    settings = SelfReplay(prompts="sampled")
    keys = {
        key_of(changed, watched, "base", None)
        for changed in (
            settings,
            SelfReplay(prompts="sampled", prompt_samples=321),
            SelfReplay(prompts="sampled", prompt_max_tokens=61),
            SelfReplay(prompts="sampled", seed=1),
            SelfReplay(),
        )
        for watched in (("one",), ("one", "other"))
    }
    assert len(keys) == 10
    spelled_out = SelfReplay(prompts="sampled", prompt_samples=320, prompt_max_tokens=60)
    assert key_of(spelled_out, ("one",), "base", None) == key_of(settings, ("one",), "base", None)


def test_counts_are_read_as_they_were_written():
    counts = ReplayCounts(asked=9, kept=5, cut_off=2, empty=1, degenerate=1)
    assert set(counts.as_json()) == {"asked", "kept", "cut_off", "empty", "degenerate"}
    prompts = PromptCounts(sampled=20, kept=9, cut_off=4, empty=3, degenerate=2, duplicates=1, watched=1)
    sampled = ReplayCounts(9, 5, 2, 1, 1, prompts)
    for each in (counts, sampled):
        assert ReplayCounts.from_json(each.as_json()) == each
    assert sampled.sentence() == (
        "9 of 20 sampled prompts are asked; dropped: 4 cut off, 3 empty, 2 repeating themselves, 1 near another, 1 near a watched item. "
        "5 of the base's own answers are replayed; dropped: 2 cut off, 1 empty, 1 repeating themselves"
    )
