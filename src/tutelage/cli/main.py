"""The `tutelage` command: imports the module of one command, calls it, and shows every error so that a user can act on it.

Exit codes: 0 done, 1 a budget or check is not met, 2 the input is wrong, 3 the machine is at fault, 130 Ctrl-C, 143 SIGTERM.
A command is a function in its own module; it returns its exit code (None is 0).
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
from types import FrameType
from typing import Annotated, Any

import typer

from tutelage.cli import console
from tutelage.cli.epilog import epilog
from tutelage.cli.errors import SigtermReceived, as_tutelage_error
from tutelage.core import yamltext
from tutelage.core.errors import InputError
from tutelage.core.suggestions import did_you_mean
from tutelage.core.version import __version__

PROGRAM = "tutelage"
DESCRIPTION = "Fine-tune a language model on instructions, and see what it gained and what it forgot."


def commands() -> dict[str, dict[str, str]]:
    """The table of commands: module, function and help of each."""
    return yamltext.table("tutelage.cli", "commands.yaml")


def entry() -> None:
    """Run the installed program `tutelage`."""
    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:  # a parent may have set it to be ignored
        signal.signal(signal.SIGTERM, _on_sigterm)
    sys.exit(main(sys.argv[1:]))


def _on_sigterm(_number: int, _frame: FrameType | None) -> None:
    raise SigtermReceived


def main(arguments: Sequence[str]) -> int:
    """Run one command.

    Args:
        arguments: the words after `tutelage`. With `--debug` anywhere before `--`, errors come with a traceback.

    Returns:
        The exit code.
    """
    split = arguments.index("--") if "--" in arguments else len(arguments)
    options = arguments[:split]  # behind `--`, all arguments are values
    typer_arguments = [*(option for option in options if option != "--debug"), *arguments[split:]]
    with console.standard_output_for_json("--json" in options):
        try:
            return _run(typer_arguments)
        except BaseException as raised:
            error = (raised.__cause__ or raised) if isinstance(raised, _WrappedError) else raised
            if isinstance(error, SystemExit | GeneratorExit):
                raise
            if isinstance(error, BrokenPipeError):
                return _output_closed()
            if "--debug" in options:
                traceback.print_exception(error)
            shown = as_tutelage_error(error, command=shlex.join([PROGRAM, *arguments]), table=commands())
            if "--json" in options:
                console.print_json({"error": {**shown.as_json(), "exit_code": shown.exit_code}})
            else:
                console.say(shown.block())
            return shown.exit_code


def _run(arguments: list[str]) -> int:
    if not arguments:
        _app(None)(["--help"], standalone_mode=False, prog_name=PROGRAM)
        return InputError.exit_code
    name = arguments[0] if not arguments[0].startswith("-") else None
    if name is not None and name not in commands():
        raise InputError(
            "there is no such command",
            where=PROGRAM,
            found=name,
            expected=", ".join(commands()),
            fix=did_you_mean(name, list(commands()), form=f"`{PROGRAM} {{}}`") or f"see `{PROGRAM} --help`",
        )
    code = _app(name)(arguments, standalone_mode=False, prog_name=PROGRAM)
    return code if isinstance(code, int) else 0


def _app(name: str | None) -> typer.Typer:
    """All commands for the help; only the module of the one that is called is imported."""
    app = typer.Typer(name=PROGRAM, help=DESCRIPTION, add_completion=False, pretty_exceptions_enable=False)
    app.callback(epilog=epilog(None))(_options)
    for command, entry_of_table in commands().items():
        called = command == name
        function = _load(entry_of_table) if called else _unloaded
        below = epilog(command) if called else None
        app.command(name=command, help=None if called else entry_of_table["help"], epilog=below)(function)
    return app


def _show_version(show: bool) -> None:
    if show:
        console.show(f"{PROGRAM} {__version__}")
        raise typer.Exit


def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """The options of the program itself; `main` removes `--debug` before they are parsed."""


def _unloaded() -> None:
    """A command in the help whose module is not needed."""


def _load(command: dict[str, str]) -> Callable[..., Any]:
    """A command's function. Its errors are wrapped to pass Typer, which would handle Ctrl-C and closed pipes itself."""
    function: Callable[..., Any] = getattr(importlib.import_module(command["module"]), command["function"])

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except (KeyboardInterrupt, EOFError, OSError) as error:
            raise _WrappedError from error

    return wrapped


class _WrappedError(Exception):
    """Passes an error of a command, its cause, to `main`."""


def _output_closed() -> int:
    """Nobody reads standard output any more. Python flushes it once more at exit: redirect it to where that works."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 3


if __name__ == "__main__":
    entry()
