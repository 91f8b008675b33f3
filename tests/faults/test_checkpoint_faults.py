"""A checkpoint's system calls fail, one after the other, and disks really fill up: the older checkpoint is what is used."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch

from tutelage.core import files
from tutelage.core.errors import MachineError
from tutelage.training import checkpoint
from tutelage.training.checkpoint import Position, TuningIdentity

HERE = Path(__file__).parent
RUN = TuningIdentity({"identity": "x"})


@pytest.fixture(scope="module")
def shim(tmp_path_factory, missing):
    """failing.c as a library."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if not sys.platform.startswith("linux"):
        pytest.skip("single system calls are made to fail on Linux only")
    if compiler is None:
        missing("a C compiler", install="`apt-get install gcc libc6-dev`")
    library = tmp_path_factory.mktemp("shim") / "failing.so"
    words = [compiler, "-shared", "-fPIC", "-O1", "-o", library, HERE / "failing.c", "-ldl"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return library


def test_every_write_sync_rename_and_mkdir_fails_once_with_each_error(tmp_path, shim):
    """The calls of the program and of safetensors below it; a write that fails leaves half of its bytes."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", HERE / "failing.py", tmp_path],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LD_PRELOAD": str(shim), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    trials = [json.loads(line) for line in done.stdout.splitlines()]
    fired = {}
    for one in trials:
        fired.setdefault((one["code"], one["replaces"]), Counter())[one["fired"]] += 1
        assert one["whole"], one
        assert one["damaged"] == [], one
        assert set(one["left"]) <= {"step-00000002", "step-00000004"}, one
        assert one["used"] in (2, 4), one
        if one["problem"] is None:  # nothing but what tidies up afterwards may fail without a word
            assert one["used"] == 4, one
            continue
        assert one["used"] == 4 or not one["replaces"], one
        full = one["problem"]["problem"] == "the disk is full"
        assert full == (one["code"] == "ENOSPC"), one
        assert one["problem"]["where"].startswith(str(tmp_path)), one
        assert one["problem"]["found"], one
        assert "again" in one["problem"]["fix"], one
    assert set(fired) == {(code, over) for code in ("EIO", "ENOSPC") for over in (False, True)}
    for (_, over), count in fired.items():
        assert count["mkdir"] >= 1  # the scratch folder; its parents are there
        assert count["write"] >= 3  # the header and the numbers of the state, the manifest
        assert count["fsync"] >= 5  # both files, the folder, and the folder above it
        # Manifest and folder; over an old folder the two are swapped, or renamed one after the other where that fails.
        assert count["rename"] in ((1, 3) if over else (2,))
        assert count["exchange"] == int(over)
    assert any(one["problem"] is not None and one["used"] == 2 for one in trials)


def tensors(step):
    return {"weight.a": torch.full((200, 100), float(step)), "exp_avg.a": torch.arange(20_000.0) + step}


def save(folder, step):
    checkpoint.save(folder, checkpoint.step_name(step), tensors(step), Position(step), RUN)


@pytest.fixture
def small_disk(tmp_path, missing):
    """A file system of one megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    if shutil.which("mount") is None:
        missing("the program mount", install="`apt-get install mount`")
    words = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"this user has no right to mount a file system: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_a_disk_that_really_fills_up_leaves_the_older_checkpoint(small_disk, monkeypatch, share):
    folder = small_disk / "checkpoints"
    monkeypatch.setattr(files, "require_space", lambda *_, **__: None)  # else nothing would be written
    save(folder, 2)
    size = sum(p.stat().st_size for p in (folder / "step-00000002").iterdir())
    free = shutil.disk_usage(small_disk).free
    (small_disk / "ballast").write_bytes(bytes(free - int(size * share)))
    with pytest.raises(MachineError) as caught:
        save(folder, 4)
    assert caught.value.problem == "the disk is full"
    assert caught.value.exit_code == 3
    assert "bytes free" in caught.value.found
    found = checkpoint.newest(folder, RUN)
    assert (found.position.step, found.damaged) == (2, ())
    assert torch.equal(checkpoint.load(found.folder)["weight.a"], tensors(2)["weight.a"])
    assert [p.name for p in folder.iterdir()] == ["step-00000002"]
    (small_disk / "ballast").unlink()
    save(folder, 4)
    assert checkpoint.newest(folder, RUN).position.step == 4


def test_a_small_disk_is_refused_before_anything_is_written(small_disk):
    with pytest.raises(MachineError, match="not enough room on the disk for a checkpoint"):
        save(small_disk / "checkpoints", 2)
    assert list(small_disk.iterdir()) == []
