"""Checkpoints under faults and damage: whole or absent, never the wrong one."""

from __future__ import annotations

import errno
import json
import os
import random
import resource
import shutil
from pathlib import Path

import pytest
import torch

from tutelage.core import files
from tutelage.core.errors import InputError, MachineError
from tutelage.training import checkpoint
from tutelage.training.checkpoint import Position

RUN = "a" * 64


def tensors(step):
    return {
        "weight.a": torch.full((40, 10), float(step)),
        "exp_avg.a": torch.arange(400.0).reshape(40, 10) + step,
        "step.a": torch.tensor(float(step)),
    }


def save(folder, step, **changes):
    name = changes.get("name", checkpoint.name_of(step))
    return checkpoint.save(folder, name, tensors(step), Position(step, 0.5, 1), changes.get("run", RUN))


def same(folder, step):
    state = checkpoint.load(folder)
    return state.keys() == tensors(step).keys() and all(
        torch.equal(state[name], tensor) for name, tensor in tensors(step).items()
    )


def test_what_was_saved_is_what_is_loaded(tmp_path):
    assert checkpoint.newest(tmp_path, RUN) is None
    save(tmp_path, 2)
    save(tmp_path, 4)
    found = checkpoint.newest(tmp_path, RUN)
    assert (found.folder.name, found.position, found.damaged) == (
        "step-00000004",
        Position(4, 0.5, 1),
        (),
    )
    assert same(found.folder, 4)
    assert sorted(p.name for p in found.folder.iterdir()) == ["manifest.json", "state.safetensors"]


def test_a_scalar_and_a_transposed_tensor_are_kept(tmp_path):
    state = {
        "a": torch.tensor(3.0),
        "b": torch.arange(6.0).reshape(2, 3).T,
        "c": torch.ones(2, dtype=torch.bfloat16),
    }
    folder = checkpoint.save(tmp_path, "step-00000001", state, Position(1), RUN)
    got = checkpoint.load(folder)
    assert all(torch.equal(got[name], tensor) for name, tensor in state.items())
    assert got["c"].dtype == torch.bfloat16


class Faulty:
    """Counts what reaches the disk, and lets the n-th such operation fail."""

    def __init__(self, monkeypatch, fail_at, code):
        self.count, self.fail_at, self.code = 0, fail_at, code
        self.fired = ""
        for owner, name in (
            (os, "fsync"),
            (os, "open"),
            (Path, "rename"),
            (Path, "replace"),
            (Path, "mkdir"),
            (Path, "open"),
            (checkpoint, "save_file"),
        ):
            monkeypatch.setattr(owner, name, self._wrap(getattr(owner, name), name))

    def _wrap(self, real, name):
        def operation(*args, **kwargs):
            self.count += 1
            if self.count == self.fail_at:
                self.fired = name
                raise OSError(self.code, os.strerror(self.code))
            return real(*args, **kwargs)

        return operation


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("replaces", [False, True], ids=["new", "over an old one"])
def test_a_fault_at_any_write_leaves_the_newest_whole_checkpoint(tmp_path, code, replaces):
    """Fail the n-th operation for n = 1, 2, 3 … until none fires."""
    fired = []
    for n in range(1, 100):
        folder = tmp_path / str(n)
        save(folder, 2)
        if replaces:
            save(folder, 4)
        problem = None
        with pytest.MonkeyPatch.context() as patch:
            faulty = Faulty(patch, n, code)
            try:
                save(folder, 4)
            except MachineError as error:
                problem = error.problem
        if not faulty.fired:
            assert problem is None
            break
        fired.append(faulty.fired)
        found = checkpoint.newest(folder, RUN)
        assert found.damaged == ()
        assert same(found.folder, found.position.step)
        if replaces or problem is None:  # only a leftover that cannot be removed is nobody's problem
            assert found.position.step == 4
        if problem is not None:
            assert (problem == "the disk is full") == (code == errno.ENOSPC)
        files.sweep_parts(folder)
        assert {p.name for p in folder.iterdir()} <= {"step-00000002", "step-00000004"}
    else:
        pytest.fail("there is no end to the operations")
    assert {"fsync", "rename", "mkdir", "save_file", "replace"} <= set(fired)
    assert len(fired) >= 12


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9])
def test_a_write_that_the_system_refuses_half_way_leaves_the_previous_one(tmp_path, share):
    save(tmp_path, 2)
    size = (tmp_path / "step-00000002" / "state.safetensors").stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(size * share), hard))
    try:
        with pytest.raises(MachineError) as caught:
            save(tmp_path, 4)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.exit_code == 3
    assert [p.name for p in tmp_path.iterdir()] == ["step-00000002"]
    assert same(checkpoint.newest(tmp_path, RUN).folder, 2)


def test_the_disk_is_asked_for_room_before_anything_is_written(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(MachineError, match="not enough room on the disk for a checkpoint") as caught:
        save(tmp_path, 2)
    assert "1,000 bytes" in caught.value.found
    assert list(tmp_path.iterdir()) == []


def test_a_flipped_byte_anywhere_is_noticed(tmp_path):
    save(tmp_path, 2)
    newest = save(tmp_path, 4)
    random_ = random.Random(0)
    for _ in range(500):
        file = newest / random_.choice(["state.safetensors", "manifest.json"])
        whole = file.read_bytes()
        content = bytearray(whole)
        at = random_.randrange(len(content))
        content[at] ^= 1 << random_.randrange(8)
        file.write_bytes(content)
        found = checkpoint.newest(tmp_path, RUN)
        if found.position.step == 4:
            # Only white space between the manifest's values may differ without harm.
            assert file.name == "manifest.json"
            assert bytes([content[at]]).isspace()
            assert found.position == Position(4, 0.5, 1)
        else:
            assert (found.position.step, found.damaged) == (2, ("step-00000004",))
        file.write_bytes(whole)
    assert same(checkpoint.newest(tmp_path, RUN).folder, 4)


@pytest.mark.parametrize(
    "damage",
    [
        lambda f: (f / "manifest.json").unlink(),
        lambda f: (f / "state.safetensors").unlink(),
        lambda f: (f / "state.safetensors").write_bytes(b""),
        lambda f: (f / "manifest.json").write_bytes(b""),
        lambda f: (f / "manifest.json").write_bytes(b"[]"),
        lambda f: (f / "manifest.json").write_bytes(b"null"),
        lambda f: (f / "manifest.json").write_bytes(b"\xff\xfe"),
        lambda f: (f / "manifest.json").write_bytes(b'{"checksum": "x"}'),
        lambda f: os.truncate(f / "state.safetensors", 1000),
        lambda f: os.truncate(f / "state.safetensors", 100_000),
        lambda f: [p.unlink() for p in f.iterdir()],
    ],
)
def test_a_damaged_newest_checkpoint_is_passed_over(tmp_path, damage):
    save(tmp_path, 2)
    damage(save(tmp_path, 4))
    found = checkpoint.newest(tmp_path, RUN)
    assert (found.position.step, found.damaged) == (2, ("step-00000004",))


def test_an_edited_manifest_is_damage_even_where_it_stays_valid(tmp_path):
    folder = save(tmp_path, 2)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["position"]["step"] = 3
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert checkpoint.check(folder, RUN) is None


def test_nothing_but_damage_is_an_error_and_never_the_base_model(tmp_path):
    for step in (2, 4):
        (save(tmp_path, step) / "manifest.json").unlink()
    with pytest.raises(MachineError, match="every checkpoint of this run is damaged") as caught:
        checkpoint.newest(tmp_path, RUN)
    assert caught.value.found == "step-00000004, step-00000002"


def test_another_runs_checkpoint_is_refused(tmp_path):
    save(tmp_path, 2, run="b" * 64)
    with pytest.raises(InputError, match="belong to another tuning") as caught:
        checkpoint.newest(tmp_path, RUN)
    assert "bbbbbbbb" in caught.value.found
    assert "aaaaaaaa" in caught.value.expected


def test_pruning_keeps_the_two_newest_and_the_best(tmp_path):
    save(tmp_path, 1, name="best")
    for step in (2, 4, 10, 100):
        save(tmp_path, step)
    checkpoint.prune(tmp_path, upto=100)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["best", "step-00000010", "step-00000100"]


def test_pruning_never_lets_a_damaged_newer_one_take_a_good_ones_place(tmp_path):
    for step in (2, 4, 6):
        save(tmp_path, step)
    for name in ("step-00000004", "step-00000006"):
        (tmp_path / name / "manifest.json").unlink()
    save(tmp_path, 3)
    checkpoint.prune(tmp_path, upto=3)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000002", "step-00000003"]


def test_names_sort_as_steps_do():
    names = [checkpoint.name_of(step) for step in (1, 9, 10, 99_999, 12_345_678)]
    assert names == sorted(names)
