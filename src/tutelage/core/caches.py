"""The user's cache folder, and the environment variables that switch caches off and limit their size.

The folder is TUTELAGE_CACHE, else XDG_CACHE_HOME/tutelage, else ~/.cache/tutelage. TUTELAGE_NO_CACHE=1 switches off the caches
that only save work (prepared rows, answers); fetched and converted models stay where they are.
"""

from __future__ import annotations

import math
import os
from functools import cache
from pathlib import Path

from tutelage.core import hashing
from tutelage.core.errors import InputError
from tutelage.core.provenance import versions
from tutelage.core.version import __version__


def root() -> Path:
    """The cache folder; it may not exist yet."""
    if folder := os.environ.get("TUTELAGE_CACHE"):
        return Path(folder).expanduser()
    if parent := os.environ.get("XDG_CACHE_HOME"):
        return Path(parent) / "tutelage"
    return Path.home() / ".cache" / "tutelage"


def enabled() -> bool:
    """Whether caches that save work are used."""
    return os.environ.get("TUTELAGE_NO_CACHE", "") in ("", "0")


@cache
def code_version(packages: tuple[str, ...], libraries: tuple[str, ...]) -> list[str]:
    """What cached work depends on beside its input, for its key: the version, a hash of sources, the versions of libraries.

    Sources are hashed because they change between two releases.

    Args:
        packages: the packages of Tutelage whose sources count.
        libraries: names of installed packages; one that is not installed has no version.
    """
    root_package = Path(__file__).parents[1]
    sources = [
        [path.relative_to(root_package).as_posix(), hashing.of_file(path)]
        for package in packages
        for path in sorted((root_package / package).rglob("*"))
        if path.suffix in (".py", ".yaml")
    ]
    installed = versions(libraries)
    return [
        __version__,
        hashing.of_json(sources),
        *(f"{name} {installed.get(name, '')}" for name in libraries),
    ]


def size_limit(variable: str, megabytes: float) -> int:
    """The most bytes that a cache may take.

    Args:
        variable: the environment variable with the limit in MB.
        megabytes: the limit where it is not set, or empty.

    Raises:
        InputError: it is not a number, or negative.
    """
    text = os.environ.get(variable) or str(megabytes)
    try:
        size = float(text)
    except ValueError:
        size = math.nan
    if not 0 <= size < math.inf:
        raise InputError(
            "the size of a cache is not a number",
            where=variable,
            found=repr(text),
            expected="megabytes, such as 500; 0 keeps nothing",
            fix=f"unset {variable}, or give it a number",
        )
    return int(size * 1e6)
