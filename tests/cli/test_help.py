"""The help of commands: its examples can be called, and it says where a command writes and how it exits."""

from __future__ import annotations

import shlex

import pytest
import typer

from tutelage.cli.epilog import epilog
from tutelage.cli.main import _app, main
from tutelage.core import yamltext

TABLE = yamltext.table("tutelage.cli", "help.yaml")["commands"]


@pytest.mark.parametrize("command", TABLE)
def test_the_examples_of_a_command_have_its_words(command):
    parser = typer.main.get_command(_app(command)).commands[command]
    for example in TABLE[command]["examples"]:
        program, name, *words = shlex.split(example)
        assert (program, name) == ("tutelage", command)
        assert parser.make_context(command, words).params


def test_the_help_shows_examples_where_it_writes_and_exit_codes(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["run", "--help"]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert "tutelage run recipe.yaml  # the whole job" in lines
    assert any(line.startswith("Writes: runs/NAME-HASH, or --out: report.html") for line in lines)
    assert any(line.startswith("Exit codes: 0 done, 1 a budget or check is not met") for line in lines)


def test_the_help_of_all_has_the_exit_codes(capsys):
    assert main(["--help"]) == 0
    assert "Exit codes: 0 done" in capsys.readouterr().out
    assert epilog("a command without an entry").startswith("Exit codes: ")
