"""The answers that a run or an evaluation stored, as rows of a file that `tutelage score` reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tutelage.comparison.runs import latest_scored_evaluations, open_results
from tutelage.core.errors import InputError
from tutelage.prediction.table import Record, Table
from tutelage.results.store import Store

BASE = "base_prediction"


def export_predictions(folder: Path, to: Path) -> int:
    """Write the answers that a run gave to its tasks' test rows, or an evaluation to its benchmarks.

    Args:
        folder: a finished run, or an evaluation.
        to: the file, whose suffix says the format. Columns: `task`, `id`, `prompt`, `references`, `prediction`, `finish`; of a run the
            prediction is the tuned model's, and the base's is `base_prediction`.

    Returns:
        The number of rows.

    Raises:
        InputError: there are no results, they were edited, or the file may not be written.
        MachineError: the disk is full or fails.
    """
    table = Table(to, [folder], option="--to")
    table.check()
    with open_results(folder) as store:
        records = list(_records(store))
    if not records:
        raise InputError(
            "the run answered no test rows",
            where=str(folder),
            found="no scored task",
            expected="a finished run or evaluation",
            fix="run its recipe to the end first",
        )
    table.write(records)
    return len(records)


def _records(store: Store) -> Iterator[Record]:
    """The answers of a run's tasks; of an evaluation, which has none, those of its benchmarks."""
    latest = latest_scored_evaluations(store)
    of_tasks = {key: evaluation for key, evaluation in latest.items() if key[0] == "task"} or latest
    bases = {
        (evaluation.suite, evaluation.name): evaluation
        for (model, _, _), evaluation in store.last_scored().items()
        if model == "base"
    }
    for key, evaluation in of_tasks.items():
        base = bases.get(key)
        base_answers = {} if base is None or base.model == evaluation.model else base.responses()
        answers = evaluation.responses()
        for item in evaluation.items():
            record: Record = {
                "task": evaluation.name,
                "id": item.id,
                "prompt": item.prompt,
                "references": [*item.references],
                "prediction": answers[item.id].text,
                "finish": answers[item.id].finish,
            }
            if item.id in base_answers:
                record[BASE] = base_answers[item.id].text
            yield record
