"""Corrections of mistyped names: the nearest name that exists, and errors that suggest it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from tutelage.core.errors import InputError

_LONGEST_NAME = 200
"""Characters of a name up to which a near one is looked for: the search takes the square of it."""
_MOST_NAMES = 20_000
"""Names among which a near one is looked for."""


def nearest(name: str, names: Sequence[str]) -> str | None:
    """The name closest to a mistyped one, or None when nothing is close."""
    if len(name) > _LONGEST_NAME or len(names) > _MOST_NAMES:
        return None
    return _nearest(name, tuple(candidate for candidate in names if len(candidate) <= _LONGEST_NAME))


@lru_cache(maxsize=2048)
def _nearest(name: str, names: tuple[str, ...]) -> str | None:
    import difflib

    matches = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return matches[0] if matches else None


def did_you_mean(name: str, names: Iterable[str], *, form: str = "{}") -> str | None:
    """The fix of an error about a mistyped name; None when no name is close.

    Args:
        name: the mistyped name.
        names: the names that exist.
        form: how the user writes the name, such as `split: {}`.
    """
    close = nearest(name, list(names))
    return f"did you mean {form.format(close)}?" if close else None


def unknown_name(
    problem: str,
    name: str,
    names: Iterable[str],
    *,
    where: str | None = None,
    also: str = "",
    fix: str = "take one of these",
    form: str = "{}",
) -> InputError:
    """The error for a name that does not exist; it lists the names that do.

    Args:
        problem: what there is none of, such as "there is no such method".
        name: the unknown name.
        names: the names that exist.
        where: the place of the mistake.
        also: what else may be written, after the names.
        fix: the advice when no name is close.
        form: as in `did_you_mean`.
    """
    listed = list(names)
    return InputError(
        problem,
        where=where,
        found=name,
        expected=", ".join(listed) + also,
        fix=did_you_mean(name, listed, form=form) or fix,
    )
