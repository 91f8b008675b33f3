"""The folder that is written: whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tutelage.core import outputs
from tutelage.results.lm_eval.aggregated import aggregated
from tutelage.results.lm_eval.evaluated_models import Side, moment, sides
from tutelage.results.lm_eval.samples import digest, samples
from tutelage.results.lm_eval.tasks import Task, measured
from tutelage.results.store import Store

KIND = "scores for lm-evaluation-harness"


def write(to: Path, store: Store, *, inputs: Sequence[Path] = ()) -> list[str]:
    """Write what was scored into a new folder; where it was of base and tuned, into a folder for each below it.

    Args:
        to: the folder; what this function wrote there and nobody changed is replaced, anything else is refused.
        store: the results of a run or evaluation; the document beside it says what the store does not.
        inputs: what the folder may not be, lie in or lie above; the store's file is added.

    Returns:
        The files' paths below `to`.

    Raises:
        InputError: the folder may not be replaced, or nothing was scored.
        MachineError: the disk does not take it.
    """
    place = outputs.Folder(to, KIND, [*inputs, store.path])
    place.check()
    found = sides(store)
    with place.new() as made:
        for side in found:
            _side(made / side.label, side)
        return sorted(path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file())


def _side(folder: Path, side: Side) -> None:
    folder.mkdir(exist_ok=True)
    time = _stamp(side)
    found = measured(side.evaluations, side.told)
    hashes = {task.name: _samples(folder / f"samples_{task.name}_{time}.jsonl", task) for task in found.tasks}
    document = aggregated(side, found, hashes)
    (folder / f"results_{time}.json").write_text(_text(document, indent=2) + "\n", "utf-8")


def _samples(path: Path, task: Task) -> str:
    """Write a task's items, one a line; gives their hash, as theirs is made (evaluation_tracker.py, save_results_aggregated)."""
    hashes = []
    with path.open("w", encoding="utf-8") as file:
        for sample in samples(task):
            file.write(_text(sample) + "\n")
            hashes += [sample["doc_hash"], sample["prompt_hash"], sample["target_hash"]]
    return digest("".join(hashes))


def _text(value: object, *, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)


def _stamp(side: Side) -> str:
    """When it ended, as they write times into names: ISO 8601 with microseconds, without zone, colons as dashes (UTC here)."""
    told = [moment(side.provenance.get(key)) for key in ("ended", "started")]
    known = [seconds for seconds in told if seconds is not None]
    when = datetime.fromtimestamp(known[0], UTC) if known else datetime.now(UTC)
    return when.replace(tzinfo=None).isoformat(timespec="microseconds").replace(":", "-")
