"""Where every file of a run or of an evaluation stands: the names are written here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tutelage.core import hashing

STORE_FILE = "results.sqlite"
RESULTS_FILE = "results.json"
EVALUATION_FILE = "evaluation.json"


class RunFolder:
    """The paths of a run's files.

    The folder of an evaluation (`tutelage evaluate`) has `store` and `evaluation` only.

    Attributes:
        path: the folder.
        recipe: the resolved recipe, with every default filled in.
        card: the data card: what the model was trained and tested on.
        results: the scores of both models, their differences and the verdict.
        evaluation: the scores of one model: what an evaluation leaves instead of `results`.
        store: every response, every score and the training log.
        model: the folder of the tuned model.
        merged: a copy of the tuned model with its adapter merged into the base, where the recipe keeps one.
        merged_record: the fingerprint of the tuned model, and the manifest of `merged`.
        tuned: the record of the tuned model, written when its last file is on the disk.
        unscaled: the model as it was trained, where a scaled one was delivered in its place.
        start: the tuned model of the run that the recipe continues, its adapter merged, where it is one: what is tuned.
        start_record: the fingerprint of that model, and the manifest of `start`.
        candidate: a scaled model while it is asked; removed afterwards.
        curve: gain and loss at the measured steps of the training, where the recipe tracks them.
        self_replay: the base's own answers that were mixed into training.
        checkpoints: the state from which a stopped tuning resumes; removed when the run is done.
        report: the page for people.
        diagnosis: whether knowledge or form was lost, where that was asked for.
        diagnosis_store: the responses that it is computed from.
        realigned: the checkpoints of the re-alignment probe; removed when the diagnosis is done.
        instant: the moment of the first start, where the chat template read it.
        log: a line of JSON for each training step, for other programs to follow.
        lock: locked while a process works on the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path: Final = path
        self.recipe: Final = path / "recipe.yaml"
        self.card: Final = path / "data" / "card.json"
        self.results: Final = path / RESULTS_FILE
        self.evaluation: Final = path / EVALUATION_FILE
        self.store: Final = path / STORE_FILE
        self.model: Final = path / "model"
        self.merged: Final = path / "merged"
        self.merged_record: Final = path / "merged.json"
        self.tuned: Final = path / "tuned.json"
        self.unscaled: Final = path / "unscaled"
        self.start: Final = path / "start"
        self.start_record: Final = path / "start.json"
        self.candidate: Final = path / "candidate"
        self.curve: Final = path / "curve.json"
        self.self_replay: Final = path / "data" / "self_replay.jsonl"
        self.checkpoints: Final = path / "checkpoints"
        self.report: Final = path / "report.html"
        self.diagnosis: Final = path / "diagnosis.json"
        self.diagnosis_store: Final = path / "diagnosis.sqlite"
        self.realigned: Final = path / "realigned"
        self.instant: Final = path / "instant"
        self.log: Final = path / "log.jsonl"
        self.lock: Final = path / ".lock"


def default_folder(name: str, resolved: Mapping[str, Any]) -> Path:
    """`runs/NAME-HASH`, with the first 8 digits of the resolved recipe's hash: different settings get different folders.

    Args:
        name: the recipe's name.
        resolved: the resolved recipe.
    """
    return Path("runs") / f"{name}-{hashing.of_json(resolved)[:8]}"
