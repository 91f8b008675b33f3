"""Where a whole job stands: stage k of n, the time so far, and about how long the rest will take.

The rest is known from the first training step on: the steps that are left, at the pace of those before with what is measured between
them, and the questions to the tuned model, at the pace at which the base answered them. A search of scales counts as if the first
one passed, which ends it; until then the time left is a lower bound. The time of a diagnosis is not known before it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from tutelage.job.stage_plan import StagePlan
from tutelage.training.events import StepDone


def _now() -> float:
    return time.monotonic()


@dataclass(slots=True)
class AnswerPace:
    """Questions of one task or benchmark to one model: how many there are, how many have an answer, and the time that new ones took."""

    total: int = 0
    done: int = 0
    timed: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class JobClock:
    """Follows a job's progress.

    Attributes:
        plan: the stages of the job.
        start: when it began, by `time.monotonic`.
        index: of the present stage in the plan; -1 before the first.
    """

    plan: StagePlan
    start: float = field(default_factory=_now)
    index: int = -1
    _paces: dict[tuple[str, str], AnswerPace] = field(default_factory=dict)
    _present: tuple[str, str] = ("", "")
    _last: tuple[int, float] | None = None
    _steps_left: int = 0
    _steps_start: float = 0.0
    _steps_done: int = 0

    @property
    def stage(self) -> str:
        """The name of the present stage; "" before the first."""
        return self.plan.stages[self.index] if self.index >= 0 else ""

    def enter(self, name: str) -> bool:
        """Note a listener's stage. Returns whether a stage of the plan begins with it; none begins twice."""
        model, _, dataset = name.partition(": ")
        self._present, self._last = (model, dataset), None
        index = self.plan.index_of(name)
        if index is None or index <= self.index:
            return False
        self.index = index
        return True

    def advance(self, done: int, total: int) -> None:
        """Note that `done` of `total` questions of the present listener's stage have answers."""
        now = _now()
        pace = self._paces.setdefault(self._present, AnswerPace())
        if self._last is None:
            pace.total += total
            pace.done += done
        else:
            before, at = self._last
            pace.done += done - before
            pace.timed += done - before
            pace.seconds += now - at
        self._last = (done, now)

    def step(self, event: StepDone) -> None:
        """Note a training step."""
        if not self._steps_done:
            self._steps_start = _now() - event.seconds
        self._steps_done += 1
        self._steps_left = event.steps - event.step

    @property
    def seconds(self) -> float:
        """The time of the job so far."""
        return _now() - self.start

    @property
    def left(self) -> float | None:
        """About how many seconds are left, without a diagnosis; None while that is not known."""
        if not self._steps_done and self.stage not in ("scales", "tuned"):
            return None
        parts: list[float | None] = []
        if self.stage == "tune":
            parts.append((_now() - self._steps_start) / self._steps_done * self._steps_left)
        if self.stage in ("tune", "scales", "tuned") and "tuned" in self.plan.stages:
            parts.append(self._questions_left())
        return None if None in parts else sum(part for part in parts if part is not None)

    def _questions_left(self) -> float | None:
        """Seconds for what the tuned model has still to be asked of all that the base was asked; None where no pace is known.

        The answers of the last scale count as the tuned model's: if it passed, they are.
        """
        models_so_far = [model for model, _ in (*self._paces, self._present)]
        scales = [model for model in models_so_far if model.startswith("scale ")]
        models = ("tuned", *scales[-1:]) if self.stage in ("scales", "tuned") else ()
        seconds = 0.0
        for (name, dataset), base in self._paces.items():
            if name != "base" or not dataset:
                continue
            answered = [self._paces.get((model, dataset), AnswerPace()) for model in models]
            paces = (each.seconds / each.timed for each in (*answered, base) if each.timed)
            pace = next(paces, self._mean_pace)
            if pace is None:
                return None
            seconds += max(0, base.total - max((each.done for each in answered), default=0)) * pace
        return seconds

    @property
    def _may_try_more(self) -> bool:
        """Whether scales may still be tried: how many is not known."""
        return self.plan.scales > 0 and self.stage in ("tune", "scales")

    @property
    def _mean_pace(self) -> float | None:
        timed = sum(pace.timed for pace in self._paces.values())
        return sum(pace.seconds for pace in self._paces.values()) / timed if timed else None

    def heading(self) -> str:
        """The stage, the time so far and what is left, in a line."""
        return f"{self.index + 1} of {len(self.plan.stages)}: {self.stage} ({self.times()})"

    def times(self) -> str:
        """The time so far and what is left."""
        left = self.left
        ahead = (
            "" if left is None else f", {'at least' if self._may_try_more else 'about'} {clock(left)} left"
        )
        if ahead and "diagnose" in self.plan.stages:
            ahead += " before the diagnosis"
        return f"job {clock(self.seconds)}{ahead}"


def clock(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
