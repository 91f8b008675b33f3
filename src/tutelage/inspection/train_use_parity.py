"""Some rows of every run, replayed before it starts: what is trained must be what is asked in use."""

from __future__ import annotations

from dataclasses import replace

from tutelage.config.schema import Recipe
from tutelage.core.errors import InputError, raise_all
from tutelage.inspection.checks import Checks
from tutelage.models import LoadedTokenizer
from tutelage.prepare.preparation import Prepared, Rows, encoder_of

FIRST = 64  # training rows of each task
WRONG = (
    "no-turn-end",
    "doubled-start",
    "template-differs",
    "prompt-learned",
    "answer-differs",
    "nothing-learned",
)
"""Findings that no run may have; `tutelage inspect` looks at every row, and has softer warnings besides."""


def replay(recipe: Recipe, rows: Rows, prepared: Prepared, words: LoadedTokenizer) -> None:
    """Hold the first rows' tokens against the chat template, against what is asked in use, and against the data.

    Raises:
        InputError: what is trained is not what is asked; InputErrors for several findings.
    """
    checks = Checks(words, encoder_of(recipe, words))
    errors = []
    for task, encoded in zip(rows.tasks, prepared.train, strict=True):
        part = replace(task, train=task.train[:FIRST])
        for found in checks.of_task(part, encoded[:FIRST]):
            if found.kind in WRONG:
                errors.append(
                    InputError(
                        f"{found.what[:1].lower()}{found.what[1:]}: {found.why}",
                        where=found.where,
                        found=found.found,
                        expected=found.expected,
                        fix=found.fix,
                    )
                )
    raise_all("the first training rows", errors)
