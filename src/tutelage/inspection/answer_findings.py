"""Findings on test answers: metrics and limits that no right answer can satisfy."""

from __future__ import annotations

from collections.abc import Iterator

from tutelage.core import yamltext
from tutelage.inspection.checks import MANY
from tutelage.prepare.answer_checks import long_answers, metric_shortfalls
from tutelage.prepare.encoding import EncodedTask
from tutelage.report.inspection import Finding
from tutelage.tokens.encoder import Encoder


def of_answers(task: EncodedTask, encoder: Encoder) -> Iterator[Finding]:
    """Findings on a task's test rows, its metrics and its max_new_tokens.

    What concerns few rows is a note, unless the first metric falls short.
    """
    settings, where = task.rows.task, f"tasks.{task.name}"
    for shortfall in metric_shortfalls(settings, task.rows.test):
        minor = settings.metrics[0] not in shortfall.metrics and len(shortfall.rows) <= MANY * shortfall.of
        yield _finding(
            "metric-below-full-marks",
            f"{where}.metrics",
            f"{', '.join(shortfall.metrics)}: {shortfall.found}",
            level="note" if minor else "warning",
            fix=shortfall.fix,
        )
    if (long := long_answers(task, encoder)) is not None:
        few = len(long.rows) <= MANY * long.of
        level = "note" if few else "warning"
        yield _finding("answers-cut", f"{where}.max_new_tokens", long.found, level=level, fix=long.fix)


def _finding(kind: str, where: str, text: str, **changes: str) -> Finding:
    described = yamltext.table("tutelage.inspection", "findings.yaml")[kind]
    return Finding(kind=kind, where=where, found=text, **{**described, **changes})
