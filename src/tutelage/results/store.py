"""results.sqlite: every response, score and training step, written as soon as there is one.

One process writes, any number read. Responses are only added. Scores and steps can be computed again, which replaces them.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Self

from tutelage.core.errors import InputError
from tutelage.results import columns
from tutelage.results.database import connect, select, transaction
from tutelage.results.evaluation import Evaluation, Item

__all__ = ["Evaluation", "Item", "Store"]


class Store(AbstractContextManager["Store"]):
    """The results of one run or evaluation. Open it with `Store.open`; use it in a `with` block or close it."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self.path = path

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False) -> Self:
        """Open a results file; unless `read_only`, a missing file is created.

        Raises:
            InputError: the file is damaged, is no results file, has another schema version, or does not exist (`read_only`).
            MachineError: the disk fails, or another process has locked the file.
        """
        return cls(connect(path, read_only=read_only), path)

    def evaluation(
        self, *, model: str, suite: str, name: str, fingerprint: str, provenance: Mapping[str, Any]
    ) -> Evaluation:
        """Begin the evaluation with this identity, or resume it if it was begun before.

        Args:
            model: "base", "tuned" or another label.
            suite: "task" or "benchmark".
            name: of the task or benchmark.
            fingerprint: a hash of what decides the responses: weights, items, decoding.
            provenance: where this process runs. It is recorded with the responses that the process adds, and is not part of
                the identity: another process may resume.
        """
        values = (model, suite, name, fingerprint)
        with transaction(self._connection, self.path):
            self._connection.execute(
                "INSERT OR IGNORE INTO evaluations (model, suite, name, fingerprint) VALUES (?, ?, ?, ?)",
                values,
            )
            row = self._connection.execute(
                "SELECT id, model, suite, name, fingerprint FROM evaluations "
                "WHERE (model, suite, name, fingerprint) = (?, ?, ?, ?)",
                values,
            ).fetchone()
        return Evaluation(self._connection, self.path, row, provenance)

    def evaluations(
        self, *, model: str | None = None, suite: str | None = None, name: str | None = None
    ) -> list[Evaluation]:
        """List the evaluations for reading, optionally only those of a model, suite or name.

        They are ordered by when they were scored last: if several have the same name, the last one counts.
        """
        rows = select(
            self._connection,
            self.path,
            "SELECT id, model, suite, name, fingerprint FROM evaluations WHERE model = coalesce(?, model) "
            "AND suite = coalesce(?, suite) AND name = coalesce(?, name) ORDER BY scored, id",
            (model, suite, name),
        )
        return [Evaluation(self._connection, self.path, row, None) for row in rows]

    def last_scored(self) -> dict[tuple[str, ...], Evaluation]:
        """List the evaluations that count, by model, suite and name: of each the one that was scored last."""
        return {
            (evaluation.model, evaluation.suite, evaluation.name): evaluation
            for evaluation in self.evaluations()
            if evaluation.parts()
        }

    def newest_answered(self) -> Evaluation | None:
        """Find, of all evaluations that have a response, the one that was begun last; None where there is no response."""
        rows = select(
            self._connection,
            self.path,
            "SELECT id, model, suite, name, fingerprint FROM evaluations "
            "WHERE id = (SELECT max(evaluation) FROM responses)",
        )
        return Evaluation(self._connection, self.path, rows[0], None) if rows else None

    def log_step(self, step: int, values: Mapping[str, float]) -> None:
        """Write what was measured at a training step; logging a step again replaces it.

        Raises:
            InputError: a value is not a finite number.
        """
        for key, value in values.items():
            if not math.isfinite(value):
                raise InputError(
                    "a training value is not a finite number",
                    where=f"step {step}: {key}",
                    found=str(value),
                    fix="lower tune.learning_rate, and look at the rows of this step",
                )
        with transaction(self._connection, self.path):
            self._connection.execute(
                "INSERT OR REPLACE INTO steps VALUES (?, ?)",
                (step, json.dumps(dict(values), allow_nan=False)),
            )

    def trim_steps(self, last: int) -> None:
        """Delete the training log after step `last`, which an earlier, longer tuning wrote."""
        with transaction(self._connection, self.path):
            self._connection.execute("DELETE FROM steps WHERE step > ?", (last,))

    def steps(self) -> list[dict[str, float]]:
        """Read the training log in the order of steps: each entry has `step` and the values of `log_step`."""
        rows = select(self._connection, self.path, "SELECT step, entries FROM steps ORDER BY step")
        return [
            {"step": step, **columns.numbers(entries, path=self.path, where=f"steps: step {step}")}
            for step, entries in rows
        ]

    def close(self) -> None:
        """Close the file; the last process to close it also folds in the write-ahead log."""
        self._connection.close()

    def __exit__(self, *_: object) -> None:
        self.close()
