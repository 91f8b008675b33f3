from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tutelage.core.errors import MachineError
from tutelage.core.locks import holder, locked

HOLD = """
import sys, time
from pathlib import Path
from tutelage.core.locks import locked
with locked(Path(sys.argv[1]), subject="the test"):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds the lock until it is told to end or is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "x" / "run.lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_process_is_refused_and_told_who_holds_the_lock(tmp_path, other):
    with (
        pytest.raises(MachineError, match="the run folder") as caught,
        locked(tmp_path / "x" / "run.lock", subject="the run folder"),
    ):
        pytest.fail("both hold the lock")
    assert f"process {other.pid} since 20" in caught.value.found
    assert "run.lock" in caught.value.found


def test_the_lock_ends_with_a_killed_process(tmp_path, other):
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    with locked(tmp_path / "x" / "run.lock", subject="the run folder"):
        assert holder(tmp_path / "x" / "run.lock").pid == os.getpid()


def test_waiting_goes_on_when_the_other_is_done(tmp_path, other):
    waited = []

    def let_go(who):
        waited.append(who.pid)
        other.communicate("\n")

    with locked(tmp_path / "x" / "run.lock", subject="the cache", wait=30, on_wait=let_go):
        assert waited == [other.pid]


def test_the_lock_is_free_again_after_the_block_even_after_an_error(tmp_path):
    path = tmp_path / "a.lock"
    with pytest.raises(RuntimeError), locked(path, subject="a"):
        raise RuntimeError
    with locked(path, subject="a"), pytest.raises(MachineError), locked(path, subject="a"):
        pytest.fail("held twice by one process")
    with locked(path, subject="a"):
        pass


def test_a_lock_file_with_other_content_names_no_holder(tmp_path):
    path = tmp_path / "a.lock"
    path.write_text("[1, 2]")
    assert holder(path) is None
    assert holder(tmp_path / "none") is None


def test_a_folder_that_cannot_be_made_is_a_machine_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError), locked(tmp_path / "file" / "a.lock", subject="a"):
        pytest.fail("locked under a file")
