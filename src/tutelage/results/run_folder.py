"""Where every file of a run or of an evaluation stands: the names are written here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tutelage.core import hashing

STORE_FILE = "results.sqlite"
RESULTS_FILE = "results.json"
EVALUATION_FILE = "evaluation.json"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The paths of a run's files.

    The folder of an evaluation (`tutelage evaluate`) has `store` and `evaluation` only.

    Attributes:
        path: the folder.
    """

    path: Path

    @property
    def recipe(self) -> Path:
        """The resolved recipe, with every default filled in."""
        return self.path / "recipe.yaml"

    @property
    def card(self) -> Path:
        """The data card: what the model was trained and tested on."""
        return self.path / "data" / "card.json"

    @property
    def results(self) -> Path:
        """The scores of both models, their differences and the verdict."""
        return self.path / RESULTS_FILE

    @property
    def evaluation(self) -> Path:
        """The scores of one model: what an evaluation leaves instead of `results`."""
        return self.path / EVALUATION_FILE

    @property
    def store(self) -> Path:
        """Every response, every score and the training log."""
        return self.path / STORE_FILE

    @property
    def model(self) -> Path:
        """The folder of the tuned model."""
        return self.path / "model"

    @property
    def tuned(self) -> Path:
        """The record of the tuned model, written when its last file is on the disk."""
        return self.path / "tuned.json"

    @property
    def checkpoints(self) -> Path:
        """The state from which a stopped tuning resumes; removed when the run is done."""
        return self.path / "checkpoints"

    @property
    def report(self) -> Path:
        """The page for people."""
        return self.path / "report.html"

    @property
    def lock(self) -> Path:
        """Locked while a process works on the folder."""
        return self.path / ".lock"


def default_folder(name: str, resolved: Mapping[str, Any]) -> Path:
    """`runs/NAME-HASH`, with the first 8 digits of the resolved recipe's hash: different settings get different folders.

    Args:
        name: the recipe's name.
        resolved: the resolved recipe.
    """
    return Path("runs") / f"{name}-{hashing.of_json(resolved)[:8]}"
