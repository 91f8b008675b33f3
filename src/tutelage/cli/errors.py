"""Any error as one that a person can act on."""

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

# What Typer raises for words that it cannot parse, in the releases that bring their own Click and in those that do not.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]
FULL = {errno.ENOSPC, errno.EDQUOT}
_EXTRA = re.compile(r"Got unexpected extra argument(?:s|\(s\))? \((.*)\)", re.DOTALL)
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_NAMES = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG}
"""What the system says of a name that a person gave, where no command has said it better."""
NO_MEMORY = ("DefaultCPUAllocator", "can't allocate memory", "out of memory")


class Ended(BaseException):
    """SIGTERM, on its way to the end of the program; like Ctrl-C's KeyboardInterrupt it passes every `except Exception`."""


def in_words(
    error: BaseException, *, command: str, table: Mapping[str, Mapping[str, str]] | None = None
) -> TutelageError:
    """The error as ours: itself, or what a person can do about it.

    Args:
        error: what was raised.
        command: what was typed.
        table: commands.yaml; `takes` and `several` say what to do about arguments that are too many.
    """
    if isinstance(error, Stopped | KeyboardInterrupt | typer.Abort | Ended):
        return _stopped(error, fix=f"to go on, run it again: {command}")
    if isinstance(error, TutelageError):
        return error
    if isinstance(error, UsageError):
        return _usage(error, table or {})
    if isinstance(error, OSError) and (words := _of_system(error, command)) is not None:
        return words
    if isinstance(error, MemoryError) or _is_out_of_memory(error):
        return MachineError(
            "there is not enough memory",
            found=str(error).strip().split("\n")[0][:200] or None,
            fix="end other programs, or make the work smaller: a smaller model, shorter rows, a smaller batch",
        )
    return MachineError(
        "something went wrong that Tutelage does not know",
        found=f"{type(error).__name__}: {error}".strip()[:2000],
        fix="run it again with --debug: it shows where in the program, which helps whoever mends it",
    )


def _of_system(error: OSError, command: str) -> TutelageError | None:
    """What the system says of a disk or of a name that a person gave; None for the rest."""
    if error.errno in FULL:
        return MachineError(
            "the disk is full",
            where=str(error.filename) if error.filename else None,
            fix=f"free some space and run it again; what was finished is kept: {command}",
        )
    if not isinstance(error.filename, str | bytes):
        return None
    if error.errno in _FORBIDDEN:
        return InputError(
            "the system does not permit it",
            where=os.fsdecode(error.filename),
            found=error.strerror,
            fix="check the rights of the file and of its folder, or name another",
        )
    if error.errno in _NAMES:
        return regular.unreadable(Path(os.fsdecode(error.filename)), error)
    return None


def _stopped(error: BaseException, *, fix: str) -> Stopped:
    if isinstance(error, Stopped):
        return type(error)(error.problem, fix=fix)
    kind = Terminated if isinstance(error, Ended) else Stopped
    return kind("stopped: what was finished is kept", fix=fix)


def _usage(error: Exception, table: Mapping[str, Mapping[str, str]]) -> InputError:
    message = getattr(error, "format_message", lambda: str(error))()
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "tutelage"
    told = table.get(getattr(context, "info_name", None) or "", {})
    if "several" in told and (extra := _EXTRA.match(message)):
        names = [*_last_argument(context), *extra[1].split()]
        return InputError(
            f"{len(names)} {told['takes']}s were named, and one is taken",
            where=path,
            found=", ".join(names),
            fix=told["several"].format(*map(shlex.quote, names)),
        )
    return InputError(message.rstrip(".").replace("\n", " "), where=path, fix=f"see `{path} --help`")


def _last_argument(context: Any) -> list[str]:
    """The last argument that a command took, as a word; none when it took none."""
    names = [one.name for one in context.command.params if one.param_type_name == "argument"]
    values = [context.params[name] for name in names if context.params.get(name) is not None]
    return [str(value) for value in values[-1:]]


def _is_out_of_memory(error: BaseException) -> bool:
    """Torch's, which comes as a RuntimeError; torch itself is not imported to know it."""
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in NO_MEMORY)
