"""Checks on some rows of every run, before it starts, that training sees what the model reads in use."""

from __future__ import annotations

from dataclasses import replace

from tutelage.config.schema import Recipe
from tutelage.core.errors import InputError, raise_all
from tutelage.inspection.checks import Checks
from tutelage.models import LoadedTokenizer
from tutelage.prepare.preparation import Prepared, encoder_of

CHECKED_ROWS = 64  # the first training rows of each task
ERRORS = (
    "no-turn-end",
    "doubled-start",
    "template-differs",
    "prompt-learned",
    "answer-differs",
    "nothing-learned",
)
"""Findings that no run may have; `tutelage inspect` checks every row, and has warnings besides."""


def check_parity(recipe: Recipe, prepared: Prepared, tokenizer: LoadedTokenizer) -> None:
    """Compare the tokens of the first rows with the chat template, with what the model reads in use, and with the data.

    Raises:
        InputError: what is trained is not what is asked in use; InputErrors for several findings.
    """
    checks = Checks(tokenizer, encoder_of(recipe, tokenizer))
    findings = [
        finding
        for task in prepared.tasks
        for finding in checks.of_task(
            replace(task.rows, train=task.rows.train[:CHECKED_ROWS]), task.train[:CHECKED_ROWS]
        )
    ]
    raise_all(
        "the first training rows",
        [
            InputError(
                f"{finding.problem[:1].lower()}{finding.problem[1:]}: {finding.why}",
                where=finding.where,
                found=finding.found,
                expected=finding.expected,
                fix=finding.fix,
            )
            for finding in findings
            if finding.kind in ERRORS
        ],
    )
