"""results.sqlite: every response, score and step of a run, kept as soon as it is known.

One process writes, any number read. Responses are only ever added; scores and steps, which can be computed again, are
replaced when they are.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tutelage.core.errors import InputError
from tutelage.results import columns
from tutelage.results.database import connect, transaction, words
from tutelage.results.evaluation import Evaluation, Item

__all__ = ["Evaluation", "Item", "Store"]


class Store:
    """The results of one run folder or evaluation. Open it with `Store.open`, in a `with` block or closed at the end."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self.path = path

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False) -> Self:
        """Open results; unless `read_only` a file that is not there is made.

        Raises:
            InputError: not a results file, another schema version, or not there (`read_only`).
            MachineError: the disk stood in the way, or another process holds the file.
        """
        return cls(connect(path, read_only=read_only), path)

    def evaluation(
        self, *, model: str, suite: str, name: str, fingerprint: str, provenance: Mapping[str, Any]
    ) -> Evaluation:
        """The evaluation of these four names, begun now or gone on with.

        Provenance is not part of the identity, for a second process that goes on with a killed evaluation has another
        start: each process that adds responses leaves its own beside them.
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
        """What is there, for reading; only those of a model, suite or name when these are given.

        In the order in which they were last scored: the last of several under one name is the one that counts.
        """
        with words(self.path):
            rows = self._connection.execute(
                "SELECT id, model, suite, name, fingerprint FROM evaluations WHERE model = coalesce(?, model) "
                "AND suite = coalesce(?, suite) AND name = coalesce(?, name) ORDER BY scored, id",
                (model, suite, name),
            ).fetchall()
        return [Evaluation(self._connection, self.path, row, None) for row in rows]

    def log_step(self, step: int, values: Mapping[str, float]) -> None:
        """Keep what was measured at a training step; the same step again replaces it.

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
        """Remove what the training log has after step `last`: an earlier, longer tuning of other rows left it."""
        with transaction(self._connection, self.path):
            self._connection.execute("DELETE FROM steps WHERE step > ?", (last,))

    def steps(self) -> list[dict[str, float]]:
        """The training log in the order of steps: each entry has `step` and the values given to `log_step`."""
        with words(self.path):
            rows = self._connection.execute("SELECT step, entries FROM steps ORDER BY step").fetchall()
        return [
            {"step": step, **columns.numbers(entries, path=self.path, where=f"steps: step {step}")}
            for step, entries in rows
        ]

    def close(self) -> None:
        """Close the file; the write-ahead log is folded in by the last one to close it."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
