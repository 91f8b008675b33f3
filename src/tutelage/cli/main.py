"""The `tutelage` command: finds the one file that the command needs, calls it, and turns every error into words.

Exit codes: 0 done, 1 a stated budget or check is not met, 2 the input is wrong, 3 the machine stood in the way, 130 Ctrl-C,
143 SIGTERM.
A command is a function in its own file; what it returns is its exit code (None is 0).
"""

from __future__ import annotations

import functools
import importlib
import os
import shlex
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from types import FrameType
from typing import Annotated, Any

import typer

from tutelage.cli import console
from tutelage.cli.errors import Ended, in_words
from tutelage.core import yamltext
from tutelage.core.errors import InputError, TutelageError
from tutelage.core.suggestions import did_you_mean
from tutelage.core.version import __version__

PROGRAM = "tutelage"
ABOUT = "Teach a language model by instruction, and see what it learned and what it forgot."


@cache
def commands() -> dict[str, dict[str, str]]:
    """The table of commands: module, function and help of each."""
    table: dict[str, dict[str, str]] = yamltext.table("tutelage.cli", "commands.yaml")
    return table


def entry() -> None:
    """What the installed program `tutelage` runs."""
    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:  # one that is to be ignored stays so
        signal.signal(signal.SIGTERM, _end)
    sys.exit(main(sys.argv[1:]))


def _end(_number: int, _frame: FrameType | None) -> None:
    raise Ended


def main(arguments: Sequence[str]) -> int:
    """Run one command.

    Args:
        arguments: the words after `tutelage`. `--debug` may stand anywhere: errors then come with a traceback.

    Returns:
        The exit code.
    """
    options, rest = _before_dashes(arguments)
    words = [*(word for word in options if word != "--debug"), *rest]
    with console.standard_output_for_json("--json" in options):
        try:
            return _run(words)
        except BaseException as raised:
            error = raised.error if isinstance(raised, _CarriedError) else raised
            if isinstance(error, SystemExit | GeneratorExit):
                raise
            if isinstance(error, BrokenPipeError):
                return _reader_gone()
            if "--debug" in options:
                traceback.print_exception(error)
            told = in_words(error, command=shlex.join(["tutelage", *arguments]), table=commands())
            _tell(told, as_json="--json" in options)
            return told.exit_code


def _run(words: list[str]) -> int:
    if not words:
        _app(None)(["--help"], standalone_mode=False, prog_name=PROGRAM)
        return InputError.exit_code
    name = words[0] if not words[0].startswith("-") else None
    if name is not None and name not in commands():
        raise InputError(
            "there is no such command",
            where=PROGRAM,
            found=name,
            expected=", ".join(commands()),
            fix=did_you_mean(name, list(commands()), form=f"`{PROGRAM} {{}}`") or f"see `{PROGRAM} --help`",
        )
    code = _app(name)(words, standalone_mode=False, prog_name=PROGRAM)
    return code if isinstance(code, int) else 0


def _app(name: str | None) -> typer.Typer:
    """All commands for the help, and the one that is called for real: only its module is imported."""
    app = typer.Typer(name=PROGRAM, help=ABOUT, add_completion=False, pretty_exceptions_enable=False)
    app.callback()(_options)
    for own, told in commands().items():
        function = _loaded(told) if own == name else _nothing
        app.command(name=own, help=None if own == name else told["help"])(function)
    return app


def _version(asked: bool) -> None:
    if asked:
        console.show(f"{PROGRAM} {__version__}")
        raise typer.Exit


def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show where in the program an error arose.")] = False,
) -> None:
    """The options of the program itself; `main` takes `--debug` away before they are parsed."""


def _nothing() -> None:
    """Stands in the help for a command whose module is not needed."""


def _loaded(told: dict[str, str]) -> Callable[..., Any]:
    """A command's function. What it raises is carried past Typer, which has its own ways with Ctrl-C and closed pipes."""
    function: Callable[..., Any] = getattr(importlib.import_module(told["module"]), told["function"])

    @functools.wraps(function)
    def carried(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except (KeyboardInterrupt, EOFError, OSError) as error:
            raise _CarriedError(error) from error

    return carried


class _CarriedError(Exception):
    """An error on its way from a command to `main`."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


def _tell(error: TutelageError, *, as_json: bool) -> None:
    if as_json:
        console.print_json({"error": {**error.as_json(), "exit_code": error.exit_code}})
    else:
        console.say(error.block())


def _reader_gone() -> int:
    """Whoever read our output has gone. Python flushes once more at exit: give it somewhere to flush to."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 3


def _before_dashes(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words before `--`, which are options and values, and the rest, which are only values."""
    words = list(arguments)
    end = words.index("--") if "--" in words else len(words)
    return words[:end], words[end:]
