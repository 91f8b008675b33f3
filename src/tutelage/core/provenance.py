"""Where a result came from: versions, machine, command, times. Nothing heavy is imported to know it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from tutelage.core.types import Json
from tutelage.core.version import __version__

PACKAGES = ("tutelage", "torch", "transformers", "tokenizers", "peft", "safetensors", "numpy", "scipy", "rapidfuzz", "sacrebleu")  # fmt: skip
PROGRAM = Path(__file__).parent
# What decides how fast a number format is: bf16 is quick with avx512_bf16 or amx_bf16 only.
FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "asimd", "bf16", "sve")


def now() -> str:
    """The time in UTC, to the second, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def provenance(
    *, started: str, ended: str | None = None, command: Sequence[str] | None = None
) -> dict[str, Json]:
    """What a result needs beside it to be believed and repeated.

    Args:
        started: when the work began, from `now()`.
        ended: when it ended; left out while it goes on.
        command: the words of the command; this process's own when left out.
    """
    words = list(command) if command is not None else [Path(sys.argv[0]).name, *sys.argv[1:]]
    found: dict[str, Json] = {
        "started": started,
        "ended": ended,
        "command": [str(word) for word in words],
        "versions": {"python": platform.python_version(), **versions()},
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpu_count": os.cpu_count(),
        "processor": processor().name,
        "processor_features": list(processor().features),
    }
    commit = git_commit(PROGRAM)
    return found if commit is None else {**found, "git_commit": commit}


def versions() -> dict[str, Json]:
    """The versions of the packages that a result depends on; a package that is not installed is left out."""
    found: dict[str, Json] = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True, slots=True)
class Processor:
    """What decides how fast this machine computes: the processor's name, cores, and which of `FEATURES` it has."""

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


def measured_on() -> str:
    """Date, commit and processor as one line, for a table of measurements."""
    commit, mark, _ = (git_commit(PROGRAM) or f"version {__version__}").partition("-changed")
    short = commit if commit.startswith("version") else commit[:7]
    cpu = processor()
    return (
        f"Measured {now()[:10]} at {short}{mark}, {cpu.name}, {cpu.cores} cores ({' '.join(cpu.features)})."
    )


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


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(  # noqa: S603 - fixed words, no shell
        ["git", "-C", str(folder), *words],  # noqa: S607 - the person's own git
        check=True, capture_output=True, text=True, timeout=10,
    )  # fmt: skip
    return done.stdout
