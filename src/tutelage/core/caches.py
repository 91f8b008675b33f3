"""The user's cache folder, and the variables that say whether and how much is kept there.

CACHE is TUTELAGE_CACHE, else XDG_CACHE_HOME/tutelage, else ~/.cache/tutelage. TUTELAGE_NO_CACHE=1 switches off what is
kept to save work (prepared rows, answers); fetched and converted models stay where they are.
"""

from __future__ import annotations

import math
import os
from functools import cache
from importlib import metadata
from pathlib import Path

from tutelage.core import hashing
from tutelage.core.errors import InputError
from tutelage.core.version import __version__


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


@cache
def program(parts: tuple[str, ...], libraries: tuple[str, ...]) -> list[str]:
    """What kept work depends on beside its input, to go into its key: version, sources and libraries.

    A version under way changes, so its sources count.

    Args:
        parts: the packages whose sources count.
        libraries: the names of packages; one that is not installed has no version.
    """
    here = Path(__file__).parents[1]
    sources = [
        path for part in parts for path in sorted((here / part).rglob("*")) if path.suffix in (".py", ".yaml")
    ]
    said = [[path.relative_to(here).as_posix(), hashing.of_file(path)] for path in sources]
    return [__version__, hashing.of_json(said), *(f"{name} {_version(name)}" for name in libraries)]


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


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
