from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import pytest
import typer

from tutelage import __version__
from tutelage.cli import console
from tutelage.cli.errors import SigtermReceived
from tutelage.cli.main import commands, main
from tutelage.core.errors import InputError, InputErrors, MachineError, Stopped, Terminated

HEAVY = ("torch", "transformers", "peft", "scipy", "pandas", "sklearn", "datasets")
AUDIT = f"""
import sys
from tutelage.cli.main import main
code = main(sys.argv[1:])
print("HEAVY", sorted(set(sys.modules) & set({HEAVY!r})), file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.parametrize(
    "words",
    [["--help"], ["--version"], ["report", "--help"], ["compare", "--help"], ["score", "--help"]],
)
def test_light_commands_import_nothing_heavy(tutelage, words):
    done = tutelage(*words, program=AUDIT)
    assert done.returncode == 0, done.stderr
    assert "HEAVY []" in done.stderr


@pytest.mark.parametrize("words", [["report", "gone"], ["compare", "gone", "away"], ["compare", "gone"]])
def test_light_commands_fail_without_importing_anything_heavy(tutelage, words):
    done = tutelage(*words, program=AUDIT)
    assert done.returncode == 2
    assert "HEAVY []" in done.stderr


def test_the_help_of_all_lists_every_command_with_its_line(tutelage):
    done = tutelage("--help", env={**os.environ, "COLUMNS": "200"})
    assert done.returncode == 0
    for name, told in commands().items():
        assert any(name in line and told["help"] in line for line in done.stdout.splitlines()), name


def test_every_command_of_the_table_is_there_and_takes_json():
    import importlib
    import inspect

    for name, told in commands().items():
        function = getattr(importlib.import_module(told["module"]), told["function"])
        options = [
            one
            for parameter in inspect.signature(function, eval_str=True).parameters.values()
            for one in getattr(parameter.annotation, "__metadata__", ())
        ]
        assert console.Json in options, name
        assert function.__doc__, name


@pytest.mark.parametrize(
    "words", [["-m", "tutelage"], ["-m", "tutelage.cli.main"], [Path(sys.executable).with_name("tutelage")]]
)
def test_the_installed_program_says_its_version(words):
    program = [sys.executable, *words] if words[0] == "-m" else words
    done = subprocess.run([*program, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"tutelage {__version__}\n"


def test_no_words_show_the_help_and_are_a_usage_error(capsys):
    assert main([]) == 2
    assert "Usage" in capsys.readouterr().out


def test_a_mistyped_command_gets_the_nearest(capsys):
    assert main(["reprot", "x"]) == 2
    assert "did you mean `tutelage report`?" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["report"], ["doctor", "a", "b"], ["report", "--nonsense", "a"], ["--nonsense"]]
)
def test_usage_errors_exit_with_2_and_name_the_help(capsys, words):
    assert main(words) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "--help`" in told.err
    assert "Traceback" not in told.err


def test_what_a_command_returns_is_the_exit_code(command):
    def probe(code: int = 0):
        """Return it."""
        return code or None

    run = command(probe)
    assert [run(["probe", "--code", str(code)]) for code in (0, 1, 3)] == [0, 1, 3]

    def leave():
        """Leave."""
        raise typer.Exit(1)

    assert command(leave)(["probe"]) == 1


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (InputError("wrong", where="x.jsonl:3", found="a", expected="b", fix="c"), 2, "x.jsonl:3: wrong"),
        (InputErrors("recipe.yaml", [InputError("one"), InputError("two")]), 2, "2 mistakes"),
        (MachineError("no network"), 3, "no network"),
        (Stopped("stopped at step 3"), 130, "stopped at step 3"),
        (Stopped("stopped at step 3", fix="again"), 130, "to go on, run it again: tutelage probe"),
        (Terminated("stopped at step 3"), 143, "to go on, run it again: tutelage probe"),
        (SigtermReceived(), 143, "what was finished is kept"),
        (KeyboardInterrupt(), 130, "to go on, run it again: tutelage probe"),
        (typer.Abort(), 130, "what was finished is kept"),
        (MemoryError(), 3, "not enough memory"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
            3,
            "not enough memory",
        ),
        (OSError(errno.ENOSPC, "No space left on device", "/x/y"), 3, "the disk is full"),
        (OSError(errno.EIO, "Input/output error"), 3, "--debug"),
        (FileNotFoundError(errno.ENOENT, "No such file", "/x/y"), 2, "/x/y: the file is not there"),
        (
            PermissionError(errno.EACCES, "Permission denied", "/x/y"),
            2,
            "/x/y: the system does not permit access",
        ),
        (OSError(errno.ENAMETOOLONG, "File name too long", b"/x/y"), 2, "/x/y: the file has too long a name"),
        (ValueError("odd"), 3, "ValueError: odd"),
        (EOFError(), 3, "EOFError"),
        (typer.BadParameter("no good"), 2, "no good"),
    ],
)
def test_every_error_becomes_a_block_or_one_json_document(command, capsys, error, code, says):
    def probe(*, json: Annotated[bool, console.Json] = False):
        """Fail."""
        print("a library's noise")  # noqa: T201
        raise error

    run = command(probe)
    assert run(["probe"]) == code
    told = capsys.readouterr()
    assert says in told.err
    assert "Traceback" not in told.err
    assert run(["probe", "--json"]) == code
    told = capsys.readouterr()
    document = json.loads(told.out)
    assert document["error"]["exit_code"] == code
    assert says.split(": ")[-1].split(" mistakes")[0] in told.out
    assert "a library's noise" in told.err


def test_debug_shows_where_and_may_stand_anywhere(command, capsys):
    def probe(name: str):
        """Fail."""
        raise ValueError(name)

    run = command(probe)
    for words in (["probe", "x", "--debug"], ["--debug", "probe", "x"], ["probe", "--debug", "x"]):
        assert run(words) == 3
        assert "Traceback" in capsys.readouterr().err
    assert run(["probe", "--", "--debug"]) == 3
    told = capsys.readouterr().err
    assert "ValueError: --debug" in told
    assert "Traceback" not in told


def test_with_json_standard_output_holds_one_document_and_nothing_else(command, capsys):
    def probe(*, json: Annotated[bool, console.Json] = False):
        """Print."""
        print("noise")  # noqa: T201
        console.show("words")
        console.show_table(["a"], [["b"]])
        console.print_json({"value": "ü\x1b[31m"})

    assert command(probe)(["probe", "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out) == {"value": "ü\x1b[31m"}
    assert "\x1b" not in told.out
    assert "noise" in told.err
    assert "words" in told.err


def test_escape_sequences_in_an_error_do_not_reach_the_terminal(command, capsys):
    def probe():
        """Fail."""
        raise InputError("bad row", where="x.jsonl:1", found="\x1b]0;owned\x07\x1b[2Jtext")

    assert command(probe)(["probe"]) == 2
    assert "found:    text" in capsys.readouterr().err


SIGNALLED = """
import os, signal, sys
from tutelage.cli import main as module
holder = type(sys)("holder")
def probe(recipe: str):
    "Stop."
    os.kill(os.getpid(), int(recipe))
    import time; time.sleep(60)
holder.probe = probe
sys.modules["holder"] = holder
module.commands = lambda: {"probe": {"module": "holder", "function": "probe", "help": "x"}}
sys.argv[0] = "tutelage"
module.entry()
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_a_child_process_stops_with_its_code(tutelage, number, code):
    done = tutelage("probe", str(int(number)), program=SIGNALLED)
    assert done.returncode == code
    assert f"run it again: tutelage probe {int(number)}" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_command_to_run_again_can_be_pasted(command, capsys):
    def probe(recipe: str):
        """Stop."""
        raise KeyboardInterrupt

    assert command(probe)(["probe", "my recipe.yaml"]) == 130
    assert "run it again: tutelage probe 'my recipe.yaml'" in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_traceback(tmp_path):
    program = """
import sys
from tutelage.cli import console, main as module
holder = type(sys)("holder")
def probe():
    "Print."
    for _ in range(100000):
        console.show("a line that nobody reads")
holder.probe = probe
sys.modules["holder"] = holder
module.commands = lambda: {"probe": {"module": "holder", "function": "probe", "help": "x"}}
module.entry()
"""
    child = subprocess.Popen(
        [sys.executable, "-c", program, "probe"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "a line that nobody reads\n"
    child.stdout.close()
    assert child.stderr is not None
    said = child.stderr.read()
    child.stderr.close()
    assert child.wait(60) == 3
    assert said == ""


@pytest.mark.parametrize(
    ("words", "problem", "fix"),
    [
        (
            "chat runs/x-1 runs/x-2 --against base",
            "2 models were named",
            "tutelage chat runs/x-1 --against runs/x-2",
        ),
        ("evaluate runs/x-1 runs/x-2 --benchmark mmlu", "2 models were named", "tutelage compare"),
        ("report a b c", "3 runs were named", "one after the other"),
        ("export a b --to c", "2 models were named", "--add"),
        ("models show a b", "2 models were named", "one after the other"),
        ("run a.yaml b.yaml", "2 recipes were named", "one after the other"),
        ("init a.csv b.csv", "2 files were named", "a recipe for each"),
    ],
)
def test_a_shell_that_names_several_is_told_what_to_do(capsys, words, problem, fix):
    assert main(words.split()) == 2
    error = capsys.readouterr().err
    assert f"{problem}, and one is taken" in error
    assert fix in error.partition("fix:")[2]


@pytest.mark.parametrize("case", ["nothing", "a file", "an empty folder", "an evaluation", "nearly named"])
def test_a_report_of_what_is_no_run_says_what_is_there(tmp_path, monkeypatch, capsys, case):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    problem, fix = {
        "nothing": ("there is no such folder", "`ls runs`"),
        "a file": ("a run is a folder", "`ls runs`"),
        "an empty folder": ("the folder holds no run", "that `tutelage run` printed"),
        "an evaluation": ("the folder holds an evaluation", "tutelage compare"),
        "nearly named": ("there is no such folder", "did you mean runs/x-01234567?"),
    }[case]
    if case == "nearly named":
        (tmp_path / "runs" / "x-01234567").mkdir()
    elif case == "a file":
        (tmp_path / "runs" / "x-0123456").touch()
    elif case != "nothing":
        (tmp_path / "runs" / "x-0123456").mkdir()
    if case == "an evaluation":
        (tmp_path / "runs" / "x-0123456" / "evaluation.json").touch()
    before = sorted(tmp_path.rglob("*"))
    assert main(["report", "runs/x-0123456"]) == 2
    error = capsys.readouterr().err
    assert f"runs/x-0123456: {problem}" in error
    assert "the folder of a finished run" in error
    assert fix in error.partition("fix:")[2]
    assert sorted(tmp_path.rglob("*")) == before
