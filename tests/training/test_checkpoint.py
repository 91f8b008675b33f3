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

from tutelage.core import files, hashing
from tutelage.core.errors import InputError, MachineError
from tutelage.training import checkpoint
from tutelage.training.checkpoint import DamagedError, Position, TuningIdentity

RUN = TuningIdentity({"identity": "a" * 64})


def tensors(step):
    return {
        "weight.a": torch.full((40, 10), float(step)),
        "exp_avg.a": torch.arange(400.0).reshape(40, 10) + step,
        "step.a": torch.tensor(float(step)),
    }


def save(folder, step, **changes):
    name = changes.get("name", checkpoint.step_name(step))
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
    # An old checkpoint is swapped with the new one by the system, in one step that is no rename of Python's.
    assert {"fsync", "mkdir", "save_file", "replace"} | (set() if replaces else {"rename"}) <= set(fired)
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
            assert found.position.step == 2
            assert found.damaged[0].startswith("step-00000004 (")
        file.write_bytes(whole)
    assert same(checkpoint.newest(tmp_path, RUN).folder, 4)


NO_FIT = "manifest.json does not fit its checksum"


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda f: (f / "manifest.json").unlink(), "it has no manifest.json"),
        (lambda f: (f / "state.safetensors").unlink(), "it has no state.safetensors"),
        (lambda f: (f / "state.safetensors").write_bytes(b""), "state.safetensors has 0 bytes"),
        (lambda f: (f / "manifest.json").write_bytes(b""), NO_FIT),
        (lambda f: (f / "manifest.json").write_bytes(b"[]"), NO_FIT),
        (lambda f: (f / "manifest.json").write_bytes(b"null"), NO_FIT),
        (lambda f: (f / "manifest.json").write_bytes(b"[" * 100_000), NO_FIT),
        (lambda f: (f / "manifest.json").write_bytes(b"\xff\xfe"), NO_FIT),
        (lambda f: (f / "manifest.json").write_bytes(b'{"checksum": "x"}'), NO_FIT),
        (lambda f: os.truncate(f / "manifest.json", 100), NO_FIT),
        (lambda f: os.truncate(f / "state.safetensors", 1000), "state.safetensors has 1,000 bytes"),
        (lambda f: os.truncate(f / "state.safetensors", 100_000), "state.safetensors has 100,000 bytes"),
        (lambda f: flip(f / "state.safetensors"), "state.safetensors does not fit its sha256"),
        (lambda f: flip(f / "manifest.json"), NO_FIT),
        (lambda f: [p.unlink() for p in f.iterdir()], "it has no manifest.json"),
    ],
)
def test_a_damaged_newest_checkpoint_is_passed_over_and_what_is_wrong_is_told(tmp_path, damage, told):
    save(tmp_path, 2)
    damage(save(tmp_path, 4))
    found = checkpoint.newest(tmp_path, RUN)
    assert found.position.step == 2
    assert same(found.folder, 2)
    assert len(found.damaged) == 1
    assert found.damaged[0].startswith(f"step-00000004 ({told}")


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_disk_that_cannot_read_the_newest_checkpoint_gives_the_older_one(tmp_path, monkeypatch):
    save(tmp_path, 2)
    save(tmp_path, 4)
    real = hashing.of_file

    def of_file(path):
        if path.parent.name == "step-00000004":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(path)

    monkeypatch.setattr(hashing, "of_file", of_file)
    found = checkpoint.newest(tmp_path, RUN)
    assert found.position.step == 2
    assert found.damaged == ("step-00000004 (could not be read: Input/output error)",)


def test_an_edited_manifest_is_damage_even_where_it_stays_valid(tmp_path):
    folder = save(tmp_path, 2)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["position"]["step"] = 3
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DamagedError, match="checksum"):
        checkpoint.check(folder, RUN)


def test_nothing_but_damage_is_an_error_and_never_the_base_model(tmp_path):
    for step in (2, 4):
        (save(tmp_path, step) / "manifest.json").unlink()
    with pytest.raises(MachineError, match="every checkpoint of this run is damaged") as caught:
        checkpoint.newest(tmp_path, RUN)
    why = "it has no manifest.json"
    assert caught.value.found == f"step-00000004 ({why}), step-00000002 ({why})"


NEEDS = {
    "tutelage": "0.1.0",
    "tune": {"seed": 0, "betas": (0.9, 0.999), "packing": None},
    "base_model": "b" * 64,
    "data": {"tasks": {"colours": {"training_rows": 12, "sha256": "c" * 64}}},
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tutelage": "0.2.0"}, 'tutelage: in the checkpoint "0.1.0", now "0.2.0"'),
        (
            {"base_model": "d" * 64},
            "base_model: in the checkpoint bbbbbbbbbbbb, now dddddddddddd",
        ),
        (
            {"tune": {"seed": 1, "betas": (0.9, 0.99), "packing": {"room": 30}}},
            (
                "tune.betas.1: in the checkpoint 0.999, now 0.99; "
                'tune.packing: in the checkpoint null, now {"room": 30}; '
                "tune.seed: in the checkpoint 0, now 1"
            ),
        ),
        (
            {"data": {"tasks": {"colours": {"training_rows": 13, "sha256": "e" * 64}, "shapes": {}}}},
            (
                "data.tasks.colours.sha256: in the checkpoint cccccccccccc, now eeeeeeeeeeee; "
                "data.tasks.colours.training_rows: in the checkpoint 12, now 13; "
                "data.tasks.shapes: in the checkpoint nothing, now {}"
            ),
        ),
    ],
)
def test_another_runs_checkpoint_is_refused_and_every_difference_named(tmp_path, change, said):
    save(tmp_path, 2, run=TuningIdentity(NEEDS))
    save(tmp_path, 4, run=TuningIdentity(NEEDS))
    assert checkpoint.newest(tmp_path, TuningIdentity(NEEDS)).position.step == 4
    with pytest.raises(InputError, match="belongs to another tuning") as caught:
        checkpoint.newest(tmp_path, TuningIdentity({**NEEDS, **change}))
    assert caught.value.where == str(tmp_path / "step-00000004")
    assert caught.value.found == said
    assert f"remove {tmp_path} to start the tuning again" in caught.value.fix


def test_another_tuning_is_refused_even_when_its_newest_is_damaged(tmp_path):
    save(tmp_path, 2)
    (save(tmp_path, 4) / "manifest.json").unlink()
    with pytest.raises(InputError, match="belongs to another tuning") as caught:
        checkpoint.newest(tmp_path, TuningIdentity({"identity": "b" * 64}))
    assert caught.value.where == str(tmp_path / "step-00000002")


def signed(folder, **changes):
    """The manifest with changes, and the checksum that fits them."""
    path = folder / "manifest.json"
    manifest = {**json.loads(path.read_text()), **changes}
    manifest = {k: v for k, v in manifest.items() if k != "checksum" and v is not None}
    path.write_text(json.dumps({**manifest, "checksum": hashing.of_json(manifest)}))


def test_a_checkpoint_in_another_format_is_refused_not_taken_for_damage(tmp_path):
    save(tmp_path, 2)
    signed(save(tmp_path, 4), format=1, needs=None, machine=None, run="a" * 64)
    with pytest.raises(InputError, match="belongs to another tuning") as caught:
        checkpoint.newest(tmp_path, RUN)
    assert caught.value.found == "format: in the checkpoint 1, now 2"


def test_a_manifest_that_lacks_something_is_damage_whatever_its_checksum_says(tmp_path):
    save(tmp_path, 2)
    signed(save(tmp_path, 4), position=None)
    assert checkpoint.newest(tmp_path, RUN).position.step == 2


def test_another_machine_is_told_and_goes_on(tmp_path):
    then = {"torch": "2.6.0", "threads": 1, "device": "cpu"}
    save(tmp_path, 2, run=TuningIdentity(RUN.needs, then))
    assert checkpoint.newest(tmp_path, TuningIdentity(RUN.needs, then)).machine == ()
    found = checkpoint.newest(tmp_path, TuningIdentity(RUN.needs, {**then, "torch": "2.13.0", "threads": 2}))
    assert found.position.step == 2
    assert found.machine == ("threads: then 1, now 2", 'torch: then "2.6.0", now "2.13.0"')


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
    names = [checkpoint.step_name(step) for step in (1, 9, 10, 99_999, 12_345_678)]
    assert names == sorted(names)
