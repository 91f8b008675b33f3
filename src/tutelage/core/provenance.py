"""Provenance of results: versions, machine, command, times. No heavy package is imported for it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from tutelage.core.types import Json

PACKAGES = ("tutelage", "torch", "transformers", "tokenizers", "peft", "safetensors", "numpy", "scipy", "rapidfuzz", "sacrebleu")  # fmt: skip
SOURCES = Path(__file__).parent
# They decide how fast a number format is: bf16 is fast with avx512_bf16 or amx_bf16 only.
FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "asimd", "bf16", "sve")


def timestamp() -> str:
    """The time in UTC, to the second, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def provenance(
    *, started: str, ended: str | None = None, command: Sequence[str] | None = None
) -> dict[str, Json]:
    """What somebody needs to know to repeat a result.

    Args:
        started: when the work began, from `timestamp()`.
        ended: when it ended; left out while it goes on.
        command: the words of the command; this process's own when left out.
    """
    arguments = list(command) if command is not None else [Path(sys.argv[0]).name, *sys.argv[1:]]
    commit = git_commit(SOURCES)
    return {
        "started": started,
        "ended": ended,
        "command": [str(argument) for argument in arguments],
        "versions": {"python": platform.python_version(), **versions()},
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpu_count": os.cpu_count(),
        "processor": processor().name,
        "processor_features": list(processor().features),
        **({} if commit is None else {"git_commit": commit}),
    }


def versions(packages: Sequence[str] = PACKAGES) -> dict[str, Json]:
    """The versions of packages, by default those that a result depends on; a package that is not installed is left out."""
    installed: dict[str, Json] = {}
    for name in packages:
        with suppress(metadata.PackageNotFoundError):
            installed[name] = metadata.version(name)
    return installed


@dataclass(frozen=True, slots=True)
class Processor:
    """The processor: its name, its cores, and which of `FEATURES` it has."""

    name: str
    cores: int
    features: tuple[str, ...]


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> Processor:
    """This machine's processor; without features where the system does not list them."""
    try:
        text = cpuinfo.read_text("utf-8", errors="replace")
    except OSError:
        text = ""
    fields = {name.strip(): value for name, _, value in (line.partition(":") for line in text.splitlines())}
    flags = fields.get("flags", fields.get("Features", "")).split()
    name = fields.get("model name", "").strip() or platform.processor() or platform.machine()
    return Processor(name, os.cpu_count() or 1, tuple(flag for flag in FEATURES if flag in flags))


def git_commit(folder: Path) -> str | None:
    """The commit that the program's source is at, with `-changed` when files differ from it; None outside a checkout."""
    try:
        top = _git(folder, "rev-parse", "--show-toplevel").strip()
        # A program installed below somebody else's checkout has nothing to do with that checkout's commit.
        if Path(top) / "src" / "tutelage" / "core" != folder:
            return None
        commit = _git(folder, "rev-parse", "HEAD").strip()
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no").strip()
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{commit}-changed" if changed else commit


def _git(folder: Path, *arguments: str) -> str:
    process = subprocess.run(  # noqa: S603 - fixed arguments, no shell
        ["git", "-C", str(folder), *arguments],  # noqa: S607 - the user's git
        check=True, capture_output=True, text=True, timeout=10,
    )  # fmt: skip
    return process.stdout
