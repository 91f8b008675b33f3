"""Write the folder of an export, whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tutelage.core import outputs
from tutelage.results.lm_eval.aggregated import aggregated
from tutelage.results.lm_eval.evaluated_models import EvaluatedModel, evaluated_models, timestamp
from tutelage.results.lm_eval.harness_tree import HarnessTask, harness_tree
from tutelage.results.lm_eval.samples import digest, samples
from tutelage.results.store import Store

KIND = "scores for lm-evaluation-harness"


def write(to: Path, store: Store, *, inputs: Sequence[Path] = ()) -> list[str]:
    """Export the scores of a store into a new folder; with several models, into one folder below it for each.

    Args:
        to: the folder; an unchanged earlier export is replaced, anything else is refused.
        store: the results of a run or evaluation; the document beside it is read too.
        inputs: files and folders that `to` may not be, lie in or contain, besides the store.

    Returns:
        The files' paths below `to`.

    Raises:
        InputError: the folder may not be replaced, or nothing was scored.
        MachineError: the disk does not take it.
    """
    target = outputs.Folder(to, KIND, [*inputs, store.path])
    target.check()
    models = evaluated_models(store)
    with target.new() as folder:
        for model in models:
            _write_model(folder / model.label, model)
        return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _write_model(folder: Path, model: EvaluatedModel) -> None:
    folder.mkdir(exist_ok=True)
    time = _file_time(model)
    tasks, groups = harness_tree(model.evaluations, model.caveats)
    hashes = {task.name: _write_samples(folder / f"samples_{task.name}_{time}.jsonl", task) for task in tasks}
    document = aggregated(model, tasks, groups, hashes)
    (folder / f"results_{time}.json").write_text(_to_json(document, indent=2) + "\n", "utf-8")


def _write_samples(path: Path, task: HarnessTask) -> str:
    """Write a task's items, one per line. Returns their hash (evaluation_tracker.py, save_results_aggregated)."""
    hashes = []
    with path.open("w", encoding="utf-8") as file:
        for sample in samples(task):
            file.write(_to_json(sample) + "\n")
            hashes += [sample["doc_hash"], sample["prompt_hash"], sample["target_hash"]]
    return digest("".join(hashes))


def _to_json(value: object, *, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)


def _file_time(model: EvaluatedModel) -> str:
    """The end in the form of the harness's file names: ISO 8601 with microseconds, no zone (UTC), colons as dashes."""
    times = (timestamp(model.provenance.get(key)) for key in ("ended", "started"))
    seconds = next((time for time in times if time is not None), None)
    moment = datetime.now(UTC) if seconds is None else datetime.fromtimestamp(seconds, UTC)
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds").replace(":", "-")
