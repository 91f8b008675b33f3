"""Which exemplars lm-evaluation-harness puts before each question of a task whose exemplars are drawn."""

from __future__ import annotations

import random
from collections.abc import Collection

HARNESS_SEED = 1234
"""The harness's default `fewshot_random_seed`."""


def harness_draws(
    pool: int, count: int, questions: Collection[int], *, spare: int = 0
) -> dict[int, tuple[int, ...]]:
    """Draw exemplars as lm-evaluation-harness 0.4.13 does: one generator draws for each question of the file in turn.

    So a question's exemplars depend on its place in the file and on nothing else: neither on a limit nor on a sample.

    Args:
        pool: how many rows there are to draw from.
        count: how many to draw for a question, at most `pool`.
        questions: the numbers of the questions in their file, from 0.
        spare: how many more are drawn and not used: 1 in tasks without a test split, where the harness expects that the question
            itself may be among the exemplars.

    Returns:
        For each question the numbers of its exemplars, in their order before the question.
    """
    generator = random.Random(HARNESS_SEED)  # noqa: S311 - the harness's generator, not a secret
    draws = {}
    for number in range(max(questions, default=-1) + 1):
        draw = generator.sample(range(pool), count + spare)
        if number in questions:
            draws[number] = tuple(draw[:count])
    return draws
