"""Turns any exception into an error that says what to do."""

from __future__ import annotations

import errno
import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from tutelage.core import regular
from tutelage.core.errors import InputError, MachineError, Stopped, Terminated, TutelageError

# What Typer raises for arguments that it cannot parse, in the releases that bring their own Click and in those that do not.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]
DISK_FULL = {errno.ENOSPC, errno.EDQUOT}
_EXTRA_ARGUMENTS = re.compile(r"Got unexpected extra argument(?:s|\(s\))? \((.*)\)", re.DOTALL)
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_WRONG_PATH = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG}
"""What the system says of a path that the user gave, unless a command has found a better explanation."""
OUT_OF_MEMORY = ("DefaultCPUAllocator", "can't allocate memory", "out of memory")


class SigtermReceived(BaseException):
    """SIGTERM ends the program; like Ctrl-C's KeyboardInterrupt it passes every `except Exception`."""


def as_tutelage_error(
    error: BaseException, *, command: str, table: Mapping[str, Mapping[str, str]] | None = None
) -> TutelageError:
    """The error itself if it is one of Tutelage's, else one that says what the user can do.

    Args:
        error: what was raised.
        command: what the user typed.
        table: commands.yaml; `takes` and `several` say what to do about too many arguments.
    """
    if isinstance(error, Stopped | KeyboardInterrupt | typer.Abort | SigtermReceived):
        return _stopped(error, fix=f"to go on, run it again: {command}")
    if isinstance(error, TutelageError):
        return error
    if isinstance(error, UsageError):
        return _usage(error, table or {})
    if isinstance(error, OSError) and (explained := _system_error(error, command)) is not None:
        return explained
    # Torch's own error is a RuntimeError; torch is not imported to tell.
    out_of_memory = isinstance(error, RuntimeError) and any(sign in str(error) for sign in OUT_OF_MEMORY)
    if isinstance(error, MemoryError) or out_of_memory:
        return MachineError(
            "there is not enough memory",
            found=str(error).strip().split("\n")[0][:200] or None,
            fix="end other programs, or make the work smaller: a smaller model, shorter rows, a smaller batch",
        )
    return MachineError(
        "an unexpected error occurred",
        found=f"{type(error).__name__}: {error}".strip()[:2000],
        fix="run it again with --debug, and report the traceback",
    )


def _system_error(error: OSError, command: str) -> TutelageError | None:
    """An error about a full disk or a path that the user gave; None for others."""
    if error.errno in DISK_FULL:
        return MachineError(
            "the disk is full",
            where=str(error.filename) if error.filename else None,
            fix=f"free some space and run it again; what was finished is kept: {command}",
        )
    if not isinstance(error.filename, str | bytes):
        return None
    if error.errno in _FORBIDDEN:
        return InputError(
            "the system does not permit access",
            where=os.fsdecode(error.filename),
            found=error.strerror,
            fix="check the permissions of the file and of its folder, or name another",
        )
    if error.errno in _WRONG_PATH:
        return regular.unreadable(Path(os.fsdecode(error.filename)), error)
    return None


def _stopped(error: BaseException, *, fix: str) -> Stopped:
    if isinstance(error, Stopped):
        return type(error)(error.problem, fix=fix)
    kind = Terminated if isinstance(error, SigtermReceived) else Stopped
    return kind("stopped: what was finished is kept", fix=fix)


def _usage(error: Exception, table: Mapping[str, Mapping[str, str]]) -> InputError:
    message = getattr(error, "format_message", lambda: str(error))().replace("Value error, ", "")
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "tutelage"
    entry = table.get(getattr(context, "info_name", None) or "", {})
    if "several" in entry and (extra_arguments := _EXTRA_ARGUMENTS.match(message)):
        names = [*_last_argument(context), *extra_arguments[1].split()]
        return InputError(
            f"{len(names)} {entry['takes']}s were named, and one is taken",
            where=path,
            found=", ".join(names),
            fix=entry["several"].format(*map(shlex.quote, names)),
        )
    return InputError(message.rstrip(".").replace("\n", " "), where=path, fix=f"see `{path} --help`")


def _last_argument(context: Any) -> list[str]:
    """The last argument that a command took, as typed; none if it took none."""
    names = [param.name for param in context.command.params if param.param_type_name == "argument"]
    values = [context.params[name] for name in names if context.params.get(name) is not None]
    return [str(value) for value in values[-1:]]
