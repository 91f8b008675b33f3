"""A tuning that was stopped gives bit for bit what an uninterrupted one gives."""

from __future__ import annotations

import errno
import hashlib
import os
from dataclasses import replace

import pytest
import torch
from peft import LoraConfig, get_peft_model

from tutelage.core.errors import InputError, MachineError
from tutelage.models.library_calls import quiet
from tutelage.tokens.packing import Packing
from tutelage.training import checkpoint
from tutelage.training.events import ReferenceCopied, Resumed, SelfChecked, StepDone, ValidationDone
from tutelage.training.loop import Loop
from tutelage.training.settings import LoopSettings, Objective

from .plain import changed

SETTINGS = LoopSettings(
    steps=7,
    batch_size=3,
    micro_batch_tokens=30,
    learning_rate=0.02,
    weight_decay=0.01,
    validate_every=2,
    checkpoint_every=2,
)


HELD = Objective.model_validate(
    {
        "label_smoothing": 0.1,
        "kl_to_base": 0.5,
        "l2_to_base": 0.05,
        "token_weights": "stm",
        "stm_perplexity": 40.0,
    }
)


class Pulled(BaseException):
    """The plug."""


@pytest.fixture
def tuning(request, tmp_path, make_model, make_rows):
    """Makes loops of one tuning, each with a fresh model: dropout on, the best weights in the middle."""
    kind = getattr(request, "param", "lora")
    held = kind.endswith("-held")
    pairs = kind.startswith(("t5", "bart"))
    rows, other = make_rows(6, pairs=pairs), make_rows(6, pairs=pairs, seed=4)
    packing = Packing(30, 24 if pairs else 0, 6) if kind.endswith("packed") else None
    settings = changed(SETTINGS, keep="last" if kind == "last" else "best", packing=packing)
    if held:
        settings = changed(settings, objective=HELD if pairs else changed(HELD, prompt_loss_weight=0.2))
    family = kind.partition("-")[0] if pairs else "llama"

    def make(folder, *, stop_after=None, settings=settings, identity="x"):
        model = make_model(family, dtype=torch.float32, dropout=0.1)
        if kind.startswith("lora"):
            with torch.random.fork_rng(), quiet():
                torch.manual_seed(5)
                lora = LoraConfig(r=4, lora_dropout=0.2, target_modules=["q_proj", "v_proj"])
                model = get_peft_model(model, lora)
        events = []

        def listen(event):
            events.append(event)
            if isinstance(event, StepDone) and event.step == stop_after:
                raise Pulled

        loop = Loop(
            model,
            pad_id=0,
            row_at=lambda i: (rows if i < 12 else other)[(5 * i + 1) % 6],
            validation=rows[:3],
            settings=settings,
            folder=tmp_path / folder,
            needs={"identity": identity},
            on_event=listen,
        )
        loop.events = events
        return loop

    return make


def fingerprint(loop):
    digest = hashlib.sha256()
    for name, parameter in sorted(loop.model.named_parameters()):
        digest.update(name.encode() + parameter.detach().numpy().tobytes())
    return digest.hexdigest()


def told(loop):
    """What happened by step, without the times and the memory."""
    return {
        (type(e).__name__, e.step): replace(e, seconds=0.0, memory=0) if isinstance(e, StepDone) else e
        for e in loop.events
        if not isinstance(e, Resumed | SelfChecked | ReferenceCopied)  # of a process, not of the tuning
    }


KINDS = ["lora", "full", "last", "t5", "lora-packed", "t5-packed", "full-held", "lora-held"]
KINDS += [pytest.param(kind, marks=pytest.mark.long) for kind in ("full-packed", "bart-packed", "t5-held")]


@pytest.mark.parametrize("tuning", KINDS, indirect=True)
def test_stopped_after_any_step_it_goes_on_bit_for_bit(tuning):
    whole = tuning("whole")
    done = whole.tune()
    want = fingerprint(whole)
    assert want != fingerprint(tuning("fresh"))
    for stop in range(1, SETTINGS.steps + 1):
        torch.manual_seed(stop)  # whatever else the process drew
        first = tuning(f"stop-{stop}", stop_after=stop)
        with pytest.raises(Pulled):
            first.tune()
        torch.manual_seed(99 - stop)
        second = tuning(f"stop-{stop}")
        assert second.tune() == done
        assert fingerprint(second) == want
        assert [e.step for e in second.events if isinstance(e, Resumed)] == (
            [(stop - 1) // 2 * 2] if stop > 2 else []
        )
        assert told(first) | told(second) == told(whole)


@pytest.mark.parametrize("tuning", ["lora", "full"], indirect=True)
def test_stopped_at_every_step_in_turn_it_still_arrives(tuning):
    whole = tuning("whole")
    done = whole.tune()
    every = changed(whole.settings, checkpoint_every=1)
    for stop in range(1, SETTINGS.steps + 1):
        with pytest.raises(Pulled):
            tuning("many", settings=every, stop_after=stop).tune()
    last = tuning("many", settings=every)
    assert last.tune() == done
    assert fingerprint(last) == fingerprint(whole)


def test_a_damaged_newest_checkpoint_costs_steps_and_is_told(tuning):
    whole = tuning("whole")
    done = whole.tune()
    state = whole.folder / "step-00000007" / "state.safetensors"
    content = bytearray(state.read_bytes())
    content[len(content) // 2] ^= 4
    state.write_bytes(content)
    again = tuning("whole")
    assert again.tune() == done
    assert again.events[0] == Resumed(6, ("step-00000007 (state.safetensors does not fit its sha256)",))
    assert [e.step for e in again.events if isinstance(e, SelfChecked)] == [6]
    assert fingerprint(again) == fingerprint(whole)
    assert sorted(p.name for p in whole.folder.glob("step-*")) == ["step-00000006", "step-00000007"]
    third = tuning("whole")
    third.tune()
    assert third.events == [Resumed(7, ())]


@pytest.mark.parametrize("name", ["step-00000004", "best"])
def test_a_checkpoint_that_the_disk_refuses_costs_steps_and_nothing_else(tuning, monkeypatch, name):
    whole = tuning("whole")
    done = whole.tune()
    loop = tuning("x")
    real = checkpoint.save_file

    def refused(state, path):
        real(state, path)
        if name in str(path) and loop.events[-1].step >= 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_file", refused)
        with pytest.raises(MachineError, match="the disk is full"):
            loop.tune()
    assert [p.name for p in loop.folder.glob("step-*")] == ["step-00000002"]
    assert not list(loop.folder.glob(".*"))
    again = tuning("x")
    assert again.tune() == done
    assert again.events[0] == Resumed(2, ())
    assert fingerprint(again) == fingerprint(whole)
    assert told(loop) | told(again) == told(whole)


def test_what_of_the_machine_is_another_is_told(tuning, monkeypatch):
    with pytest.raises(Pulled):
        tuning("x", stop_after=3).tune()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    loop = tuning("x")
    loop.tune()
    assert loop.events[0].machine == ("threads: then 1, now 64",)


def test_all_damaged_is_an_error_and_another_tuning_is_refused(tuning):
    tuning("x").tune()
    with pytest.raises(InputError, match="another tuning"):
        tuning("x", identity="y").tune()
    with pytest.raises(InputError, match="another tuning"):
        tuning("x", settings=changed(SETTINGS, seed=1)).tune()
    loop = tuning("x")
    for folder in loop.folder.glob("step-*"):
        (folder / "manifest.json").unlink()
    with pytest.raises(MachineError, match="damaged"):
        loop.tune()
    assert loop.events == []


def test_how_often_checkpoints_are_written_may_change(tuning):
    whole = tuning("whole")
    whole.tune()
    with pytest.raises(Pulled):
        tuning("x", stop_after=5).tune()
    other = tuning("x", settings=changed(whole.settings, checkpoint_every=3))
    other.tune()
    assert fingerprint(other) == fingerprint(whole)


def test_leftovers_of_a_killed_save_are_swept(tuning):
    with pytest.raises(Pulled):
        tuning("x", stop_after=3).tune()
    loop = tuning("x")
    part = loop.folder / ".step-00000004.1a2b3c4d.part"
    part.mkdir()
    (part / "state.safetensors").write_bytes(b"half")
    loop.tune()
    names = sorted(p.name for p in loop.folder.iterdir() if p.name != "best")
    assert names == ["step-00000006", "step-00000007"]
    assert any(isinstance(e, ValidationDone) for e in loop.events)
