"""The stages of a run that people are told of: which there will be, and to which the progress of a listener belongs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tutelage.config.schema import Recipe


@dataclass(frozen=True, slots=True)
class StagePlan:
    """The stages of a job, in their order, and how many scales it may try."""

    stages: tuple[str, ...]
    scales: int = 0

    def index_of(self, name: str) -> int | None:
        """The stage to which a listener's stage belongs; None for a note that begins none."""
        first = name.partition(":")[0]
        stage = "scales" if first.startswith("scale ") else first
        return self.stages.index(stage) if stage in self.stages else None


def plan_of_run(recipe: Recipe) -> StagePlan:
    """The stages of `run`."""
    protect = recipe.protect
    scales = len(protect.scales or ()) if protect is not None else 0
    chosen: Sequence[tuple[str, bool]] = (
        ("self-replay", protect is not None and protect.self_replay is not None),
        ("prepare", True),
        ("base", True),
        ("tune", True),
        ("scales", scales > 0),
        ("tuned", True),
        ("diagnose", recipe.diagnose),
        ("report", True),
    )
    return StagePlan(tuple(name for name, happens in chosen if happens), scales)


def plan_of_training() -> StagePlan:
    """The stages of `train`."""
    return StagePlan(("prepare", "tune"))
