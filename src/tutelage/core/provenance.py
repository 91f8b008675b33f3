"""Where a result came from: versions, machine, command, times. Nothing heavy is imported to know it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from tutelage.core.nouns import Json

PACKAGES = ("tutelage", "torch", "transformers", "tokenizers", "peft", "safetensors", "numpy", "scipy", "rapidfuzz", "sacrebleu")  # fmt: skip
PROGRAM = Path(__file__).parent


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
