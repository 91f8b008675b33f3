"""Ctrl-C and SIGTERM stop a tuning with a checkpoint of where it was, and it goes on bit for bit."""

from __future__ import annotations

import signal
import threading

import pytest
import torch

from tutelage.core.errors import Stopped, Terminated
from tutelage.training import checkpoint
from tutelage.training.events import Resumed, StepDone, Stopping, ValidationDone
from tutelage.training.loop import Loop
from tutelage.training.settings import LoopSettings
from tutelage.training.stopping import Stopper

from .plain import changed

SETTINGS = LoopSettings(
    steps=6, batch_size=3, micro_batch_tokens=1, learning_rate=0.02, validate_every=3, checkpoint_every=100
)
SIGNALS = [(signal.SIGINT, Stopped, 130), (signal.SIGTERM, Terminated, 143)]


@pytest.fixture(autouse=True)
def _ended():
    """SIGTERM as the program has it; a test must not end its own process."""

    def end(*_):
        raise SystemExit("ended at once")

    before = signal.signal(signal.SIGTERM, end)
    yield
    assert signal.getsignal(signal.SIGTERM) is end, "the handler was not put back"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def make_loop(tmp_path, make_model, make_rows):
    def make(folder, *, when=lambda _: None, settings=SETTINGS):
        rows, events = make_rows(6), []

        def listen(event):
            events.append(event)
            when(event)

        loop = Loop(
            make_model(dropout=0.1),
            pad_id=0,
            row_at=lambda i: rows[(5 * i + 1) % 6],
            validation=rows[:3],
            settings=settings,
            folder=tmp_path / folder,
            needs={"identity": "x"},
            on_event=listen,
        )
        loop.events = events
        return loop

    return make


def at_step(number, step):
    def when(event):
        if isinstance(event, StepDone) and event.step == step:
            signal.raise_signal(number)

    return when


def weights(loop):
    return {n: p.detach().clone() for n, p in loop.trained.items()}


def goes_on(make_loop, folder, step):
    """The stopped tuning, taken up: it starts at `step`, and ends as one that was never stopped."""
    whole, again = make_loop("whole"), make_loop(folder)
    assert again.tune() == whole.tune()
    assert again.events[0] == Resumed(step, ())
    want = weights(whole)
    assert all(torch.equal(tensor, want[name]) for name, tensor in weights(again).items())


@pytest.mark.parametrize(("number", "kind", "code"), SIGNALS)
@pytest.mark.parametrize("step", [1, 2, 3, 5])
def test_a_stop_between_two_steps_keeps_the_step(make_loop, number, kind, code, step):
    loop = make_loop("x", when=at_step(number, step))
    with pytest.raises(Stopped, match=f"stopped after step {step} of 6") as caught:
        loop.tune()
    assert (type(caught.value), caught.value.exit_code) == (kind, code)
    assert loop.events[-1] == Stopping(step)
    assert [p.name for p in loop.folder.glob("step-*")] == [checkpoint.step_name(step)]
    assert any(isinstance(e, ValidationDone) for e in loop.events) == (step >= 3)
    goes_on(make_loop, "x", step)


def steps(loop, number):
    """The event of a step, None before it."""
    return next((e for e in loop.events if isinstance(e, StepDone) and e.step == number), None)


@pytest.mark.parametrize(("number", "kind", "code"), SIGNALS)
def test_a_stop_in_the_midst_of_a_step_keeps_the_state_before_it(make_loop, number, kind, code):
    passes = []
    loop = make_loop("x", when=lambda event: passes.clear() if isinstance(event, StepDone) else None)

    def forward(*_):
        passes.append(1)
        if loop.events and loop.events[-1] == steps(loop, 2) and len(passes) == 2:  # of three micro-batches
            signal.raise_signal(number)

    loop.model.register_forward_hook(forward)
    with pytest.raises(kind, match="stopped after step 2 of 6"):
        loop.tune()
    assert len(passes) == 2, "the step's third micro-batch is not waited for"
    assert [e.step for e in loop.events if isinstance(e, StepDone)] == [1, 2]
    assert all(p.grad is None for p in loop.trained.values())
    goes_on(make_loop, "x", 2)


def test_a_stop_before_the_first_step_writes_nothing_and_says_so(make_loop):
    loop = make_loop("x")
    passes = []

    def forward(*_):
        passes.append(1)
        if len(passes) == 1:
            signal.raise_signal(signal.SIGINT)

    loop.model.register_forward_hook(forward)
    with pytest.raises(Stopped, match="stopped before the first step was done"):
        loop.tune()
    assert list(loop.folder.iterdir()) == []


def test_a_stop_at_the_last_step_does_not_begin_what_comes_next(make_loop):
    with pytest.raises(Stopped, match="stopped after step 6 of 6"):
        make_loop("x", when=at_step(signal.SIGINT, 6)).tune()
    goes_on(make_loop, "x", 6)


def test_a_stop_while_the_best_weights_are_loaded_is_not_lost(make_loop, monkeypatch):
    loop = make_loop("x")
    finish = loop._finish

    def finished(position):
        signal.raise_signal(signal.SIGTERM)
        return finish(position)

    monkeypatch.setattr(loop, "_finish", finished)
    with pytest.raises(Terminated, match="what was finished is kept"):
        loop.tune()
    goes_on(make_loop, "x", 6)


@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]
)
def test_the_second_signal_stops_at_once_and_leaves_no_half_checkpoint(make_loop, monkeypatch, number, error):
    loop = make_loop("x", when=at_step(signal.SIGINT, 4), settings=changed(SETTINGS, checkpoint_every=3))
    real = checkpoint.save_file

    def interrupted(state, path):
        real(state, path)
        if loop.events[-1] == Stopping(4):
            signal.raise_signal(number)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_file", interrupted)
        with pytest.raises(error):
            loop.tune()
    assert loop.events[-1] == Stopping(4)
    assert sorted(p.name for p in loop.folder.iterdir() if p.name != "best") == ["step-00000003"]
    goes_on(make_loop, "x", 3)


def test_an_error_on_the_way_to_a_stop_is_what_is_told():
    def spoiled():
        with Stopper() as stopper:
            signal.raise_signal(signal.SIGINT)
            assert stopper.requested
            raise ValueError("spoiled")

    with pytest.raises(ValueError, match="spoiled"):
        spoiled()


def test_signals_that_are_ignored_stay_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Stopper() as stopper:
            signal.raise_signal(signal.SIGINT)
            assert not stopper.requested
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_in_another_thread_nothing_is_noted_and_nothing_breaks(make_loop):
    found = []
    thread = threading.Thread(target=lambda: found.append(make_loop("x").tune()))
    thread.start()
    thread.join()
    assert found == [make_loop("whole").tune()]
