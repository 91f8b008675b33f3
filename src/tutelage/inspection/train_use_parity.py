"""Checks on some rows of every run, before it starts, that training sees what the model reads in use, and all that the rows say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from tutelage.config.schema import Recipe
from tutelage.core.errors import InputError, raise_all
from tutelage.core.types import Encoded, Prompted
from tutelage.inspection.checks import Checks
from tutelage.models import LoadedTokenizer
from tutelage.prepare.encoding import EncodedTask
from tutelage.prepare.preparation import Prepared, encoder_of
from tutelage.prepare.task_rows import TaskRows
from tutelage.report.inspection import Finding

CHECKED_ROWS = (
    64  # the first training rows of each task; of the others, the first with each sequence of roles
)
SHOWN = ("answer-opening", "turn-end-added", "message-cut", "missing-start")
"""Findings that stop no run and of which it says a line."""


def check_parity(
    recipe: Recipe, prepared: Prepared, tokenizer: LoadedTokenizer, *, say: Callable[[str], None]
) -> None:
    """Compare the tokens of some rows with the chat template, with what the model reads in use, and with the data.

    Args:
        recipe: the recipe.
        prepared: its rows in tokens.
        tokenizer: the model's.
        say: takes a line about each finding of `SHOWN`.

    Raises:
        InputError: what is trained is not what is asked in use, or a message is read by nobody; InputErrors for several findings.
    """
    checks = Checks(tokenizer, encoder_of(recipe, tokenizer))
    findings = [
        *checks.of_model(),
        *(finding for task in prepared.tasks for finding in checks.of_task(*_checked_part(task))),
    ]
    refuse((finding for finding in findings if finding.level == "error"), title="the first training rows")
    for finding in findings:
        if finding.kind in SHOWN:
            fix = f"; {finding.fix}" if finding.level == "warning" else ""
            say(f"{finding.problem}: {finding.found}; {finding.why}{fix}")


def _checked_part(task: EncodedTask) -> tuple[TaskRows, list[Encoded]]:
    """The task with the training rows that a run checks, and their tokens."""
    places = _checked_places(task.rows.train)
    rows = replace(task.rows, train=[task.rows.train[place] for place in places])
    return rows, [task.train[place] for place in places]


def _checked_places(rows: Sequence[Prompted]) -> list[int]:
    """The places of the first rows, and of the first row with each further sequence of roles."""
    firsts: dict[tuple[str, ...], int] = {}
    for place, row in enumerate(rows):
        firsts.setdefault(tuple(role for role, _ in row.history), place)
    return sorted({*range(min(CHECKED_ROWS, len(rows))), *firsts.values()})


def refuse(findings: Iterable[Finding], *, title: str) -> None:
    """Raise what is wrong as an error that names all findings.

    Raises:
        InputError: there is a finding; InputErrors for several.
    """
    raise_all(
        title,
        [
            InputError(
                f"{finding.problem[:1].lower()}{finding.problem[1:]}: {finding.why}",
                where=finding.where,
                found=finding.found,
                expected=finding.expected,
                fix=finding.fix,
            )
            for finding in findings
        ],
    )
