"""The user's cache folder, and the variables that say whether and how much is kept there.

CACHE is TUTELAGE_CACHE, else XDG_CACHE_HOME/tutelage, else ~/.cache/tutelage. TUTELAGE_NO_CACHE=1 switches off what is
kept to save work (prepared rows, answers); fetched and converted models stay where they are.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

from tutelage.core.errors import InputError


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
    """The bytes that a cache may have.

    Args:
        variable: the environment variable that says so in MB.
        megabytes: where it is not set, or empty.

    Raises:
        InputError: it says something else than a number that is not negative.
    """
    said = os.environ.get(variable) or str(megabytes)
    try:
        size = float(said)
    except ValueError:
        size = math.nan
    if not 0 <= size < math.inf:
        raise InputError(
            "the size of a cache is not a number",
            where=variable,
            found=repr(said),
            expected="megabytes, such as 500; 0 keeps nothing",
            fix=f"unset {variable}, or give it a number",
        )
    return int(size * 1e6)
