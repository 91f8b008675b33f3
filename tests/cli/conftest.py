from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.fixture
def tutelage(tmp_path, warm):
    """Run the program in a child process, in an empty folder; with a `program` of the test's own, in a fresh interpreter."""

    def run(*words, program=None, **options):
        if program is None:
            return warm.run(words, **{"cwd": tmp_path, **options})
        given = {"capture_output": True, "text": True, "timeout": 120, "cwd": tmp_path, **options}
        return subprocess.run([sys.executable, "-c", program, *map(str, words)], check=False, **given)

    return run


@pytest.fixture
def command(monkeypatch):
    """Put a function of the test's own into the table of commands as `probe`, and give `main`."""
    from tutelage.cli import main as module

    def put(function):
        told = {"module": "tests_probe", "function": "probe", "help": "A test's own."}
        holder = type(sys)("tests_probe")
        holder.probe = function
        monkeypatch.setitem(sys.modules, "tests_probe", holder)
        monkeypatch.setattr(module, "commands", lambda: {"probe": told})
        return module.main

    return put
