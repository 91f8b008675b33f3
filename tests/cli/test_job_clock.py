"""Stage k of n, the time so far and the time that is left, by a clock that the test turns."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tutelage.cli import job_clock
from tutelage.cli.job_clock import JobClock
from tutelage.cli.live import LiveProgress
from tutelage.config import from_mapping
from tutelage.job.stage_plan import StagePlan, plan_of_run
from tutelage.training.events import StepDone


class Turned:
    now = 100.0


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> type[Turned]:
    Turned.now = 100.0
    monkeypatch.setattr(job_clock.time, "monotonic", lambda: Turned.now)
    return Turned


def ask(job: JobClock, name: str, total: int, seconds: float, *, cached: int = 0) -> None:
    """Answer all questions of a listener's stage."""
    job.enter(name)
    job.advance(cached, total)
    Turned.now += seconds
    job.advance(total, total)


def step(number: int, of: int) -> StepDone:
    return StepDone(number, of, 1.5, 1e-3, 0.7, 8, 300, 120, 2.0, 1_500_000_000)


def test_what_is_left_is_steps_at_their_pace_and_questions_at_the_bases() -> None:
    job = JobClock(StagePlan(("prepare", "base", "tune", "tuned", "report")))
    assert job.enter("prepare")
    assert not job.enter("prepare")
    ask(job, "base: colours", 40, 20)
    ask(job, "base: general-probe", 10, 30)
    assert (job.stage, job.left) == ("base", None)
    job.enter("tune")
    assert job.left is None
    Turned.now += 2
    job.step(step(1, 11))
    assert job.left == pytest.approx(10 * 2 + 20 + 30)
    Turned.now += 4  # a step of 2 seconds, and a validation
    job.step(step(2, 11))
    assert job.left == pytest.approx(9 * 3 + 50)
    assert job.heading() == "3 of 5: tune (job 0:56, about 1:17 left)"
    ask(job, "tuned: colours", 40, 20)
    assert (job.stage, job.left) == ("tuned", pytest.approx(30))
    job.enter("tuned: general-probe")
    job.advance(0, 10)
    Turned.now += 5
    job.advance(5, 10)
    assert job.left == pytest.approx(5)  # at the tuned model's pace
    job.enter("report")
    assert job.left == 0


def test_questions_from_the_cache_take_the_mean_pace_or_none() -> None:
    job = JobClock(StagePlan(("base", "tune", "tuned")))
    ask(job, "base: colours", 40, 1, cached=40)
    job.enter("tune")
    Turned.now += 2
    job.step(step(1, 1))
    assert job.left is None
    job.enter("tuned: colours")
    job.advance(0, 40)
    Turned.now += 10
    job.advance(20, 40)
    assert job.left == pytest.approx(10)


def test_a_search_counts_as_if_its_first_scale_passed() -> None:
    job = JobClock(StagePlan(("base", "tune", "scales", "tuned", "diagnose"), scales=3))
    ask(job, "base: colours", 10, 10)
    ask(job, "base: probe", 10, 20)
    job.enter("tune")
    job.step(step(1, 1))
    assert job.left == pytest.approx(10 + 20)  # what a scale is asked is the tuned model's
    assert "at least 0:30 left" in job.times()
    ask(job, "scale 1: probe", 10, 20)
    assert job.stage == "scales"
    assert job.left == pytest.approx(10)
    job.enter("scale 0.5: probe")
    assert job.left == pytest.approx(10 + 20)
    ask(job, "scale 0.5: probe", 10, 20)
    assert job.times().endswith("at least 0:10 left before the diagnosis")
    ask(job, "tuned: colours", 10, 10)
    assert job.times().endswith("about 0:00 left before the diagnosis")
    job.enter("diagnose")
    assert not job.enter("base: colours")  # asked again by the diagnosis
    assert job.stage == "diagnose"


@pytest.mark.parametrize(
    ("fields", "stages", "scales"),
    [
        ({}, ("prepare", "base", "tune", "tuned", "report"), 0),
        ({"diagnose": True}, ("prepare", "base", "tune", "tuned", "diagnose", "report"), 0),
        (
            {"protect": {"scales": [0.5, 1.0], "self_replay": {}}},
            ("self-replay", "prepare", "base", "tune", "scales", "tuned", "report"),
            2,
        ),
    ],
)
def test_the_stages_are_those_of_the_recipe(
    fields: dict[str, Any], stages: tuple[str, ...], scales: int
) -> None:
    recipe = {
        "tasks": [{"data": {"path": "rows.jsonl"}}],
        "watch": [{"benchmark": "general-probe"}],
        **fields,
    }
    assert plan_of_run(from_mapping(recipe, root=Path())) == StagePlan(stages, scales)


def test_the_folder_comes_first_and_every_stage_is_numbered_once() -> None:
    out = io.StringIO()
    shown = LiveProgress(console=Console(file=out, width=110, color_system=None, legacy_windows=False))
    with shown:
        shown.begin(StagePlan(("prepare", "base")), Path("runs/letters-1234"))
        for name in ("model", "prepare", "base: colours", "base: general-probe"):
            shown.stage(name)
        shown.advance(0, 10)
        Turned.now += 20
        shown.advance(10, 10)
    assert out.getvalue().splitlines() == [
        "run folder: runs/letters-1234",
        "model",
        "1 of 2: prepare (job 0:00)",
        "prepare",
        "2 of 2: base (job 0:00)",
        "base: colours",
        "base: general-probe",
        "  10/10  100 %  0.5 a second  0:00 left  (job 0:20)",
    ]
