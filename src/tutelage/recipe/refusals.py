"""Mistakes that validators of the recipe carry through pydantic to `mistakes`, with all that a person needs."""

from __future__ import annotations

from pydantic_core import PydanticCustomError

from tutelage.core.errors import InputError


def wrong(problem: str, *, found: str = "", expected: str = "", fix: str = "") -> PydanticCustomError:
    """A mistake that pydantic carries to `mistakes` with all that a person needs."""
    told = {"problem": problem, "found": found, "expected": expected, "fix": fix}
    return PydanticCustomError("tutelage", "{problem}", told)


def told(error: InputError) -> PydanticCustomError:
    """An error of a package below as such a mistake."""
    return wrong(error.problem, found=error.found or "", expected=error.expected or "", fix=error.fix or "")
