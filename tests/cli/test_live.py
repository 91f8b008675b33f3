from __future__ import annotations

import io

import pytest
from rich.console import Console

from tutelage.cli import job_clock, live
from tutelage.training.events import (
    ReferenceCopied,
    Resumed,
    SelfChecked,
    StartValidated,
    StepDone,
    Stopping,
    ValidationDone,
)


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test turns."""

    class Clock:
        now = 100.0

    monkeypatch.setattr(live.time, "monotonic", lambda: Clock.now)
    return Clock


def told(*, terminal=False):
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=110, color_system=None, legacy_windows=False)
    return live.LiveProgress(console=console), out


def step(n, steps=4):
    return StepDone(n, steps, 1.5, 1e-3, 0.7, 8, 300, 120, 2.0, 1_500_000_000)


def test_piped_it_is_plain_lines_with_share_rate_and_time_left(clock):
    line, out = told()
    with line:
        line.stage("base", "support-bot")
        line.advance(100, 400)  # answered before this process
        for done in (150, 200, 400):
            clock.now += 20
            line.advance(done, 400)
    assert out.getvalue().splitlines() == [
        "base: support-bot",
        "  150/400  37 %  2.5 a second  1:40 left",
        "  200/400  50 %  2.5 a second  1:20 left",
        "  400/400  100 %  5.0 a second  0:00 left",
    ]


def test_piped_it_does_not_say_a_line_for_everything(clock):
    line, out = told()
    with line:
        line.stage("base")
        for done in range(1, 100):
            clock.now += 0.5
            line.advance(done, 100)
    assert len(out.getvalue().splitlines()) == 1 + 49 // 10


def test_training_says_loss_throughput_memory_and_time_left(clock):
    line, out = told()
    with line:
        line.stage("tune")
        line.event(Resumed(2, ("step-3",)))
        line.event(StartValidated(2.5))
        line.event(step(3))
        clock.now += 60
        line.event(step(4))
        line.event(ValidationDone(4, 0.25, best=True))
        line.event(Resumed(4, (), ("threads: then 1, now 2",)))
        line.event(Stopping(4))
    assert out.getvalue().splitlines() == [
        "tune",
        "  skipped damaged checkpoints: step-3",
        "  resumes from step 2",
        "  step 0: validation loss 2.5000, before training",
        "  4/4  100 %  loss 1.5000  150 tokens/s  0:00 left  1.5 GB",
        "  step 4: validation loss 0.2500, the best yet",
        "  resumes from step 4",
        "  the result may differ in its last digits from an uninterrupted one: threads: then 1, now 2",
        "  stopping: writing the checkpoint of step 4; Ctrl-C again stops at once",
    ]


def test_the_self_check_and_what_the_base_takes_are_a_line_each():
    line, out = told()
    with line:
        line.event(ReferenceCopied(538_060_032))
        line.event(SelfChecked(0, 4, 1, packed=False, loss=3.1e-8, gradient=2.4e-6))
        line.event(SelfChecked(7, 1, 1, packed=True, loss=0.0, gradient=1e-6))
        line.event(SelfChecked(0, 4, 3, packed=False, loss=3.1e-8, gradient=2.4e-6))
    assert out.getvalue().splitlines() == [
        "  the base's trained weights are kept too: 0.54 GB",
        "  self-check: 4 rows as one batch and one by one: loss differs by 3e-08, gradient by 2e-06",
        "  self-check: 1 row as one pack and one by one: loss differs by 0e+00, gradient by 1e-06",
        "  self-check: 4 rows as 3 batches and one by one: loss differs by 3e-08, gradient by 2e-06",
    ]


def test_on_a_terminal_the_bar_stands_in_place(clock):
    line, out = told(terminal=True)
    with line:
        line.stage("base")
        line.advance(0, 40)
        clock.now += 10
        line.advance(10, 40)
        line._bar.refresh()
    text = out.getvalue()
    assert "\r" in text or "\x1b[" in text  # drawn over, not below
    assert "10/40" in text
    assert "25%" in text
    assert "1.0 a second  0:30 left" in text


def test_names_that_hold_escape_sequences_reach_no_terminal_raw(clock):
    for terminal in (False, True):
        line, out = told(terminal=terminal)
        with line:
            line.stage("base\x1b]0;title\x07", "\x1b[31m[red]x[/red]")
            line.advance(1, 2)
            line._bar.refresh()
        assert "\x1b]0;" not in out.getvalue()
        assert "\x1b[31m" not in out.getvalue()
        assert "base: [red]x[/red]" in out.getvalue()


def test_a_clock_is_read_by_people():
    assert [job_clock.clock(n) for n in (0, 59.6, 3600, 7325)] == ["0:00", "1:00", "1:00:00", "2:02:05"]
