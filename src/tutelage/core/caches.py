"""The user's cache folder, and the variables that say whether and how much is kept there.

CACHE is TUTELAGE_CACHE, else XDG_CACHE_HOME/tutelage, else ~/.cache/tutelage. TUTELAGE_NO_CACHE=1 switches off what is
kept to save work (prepared rows, answers); fetched and converted models stay where they are.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def root() -> Path:
    """The cache folder; it may not be there yet."""
    if named := os.environ.get("TUTELAGE_CACHE"):
        return Path(named).expanduser()
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared) / "tutelage"
    return Path.home() / ".cache" / "tutelage"


def enabled() -> bool:
    """Whether work is kept and looked up."""
    return os.environ.get("TUTELAGE_NO_CACHE", "") in ("", "0")


def most(variable: str, megabytes: float) -> int:
    """The bytes that a cache may have: what the environment variable says in MB, or so many where it says no number."""
    with suppress(ValueError, OverflowError):
        return max(0, int(float(os.environ.get(variable, megabytes)) * 1e6))
    return int(megabytes * 1e6)
