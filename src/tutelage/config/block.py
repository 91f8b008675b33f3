"""What every block of the recipe is made of, and how its mistakes are carried through pydantic to `mistakes`."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from tutelage.core.errors import InputError

Text = Annotated[str, Field(min_length=1)]


class Block(BaseModel):
    """A part of the recipe: unknown fields are mistakes, a text is no number, and nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def wrong(problem: str, *, found: str = "", expected: str = "", fix: str = "") -> PydanticCustomError:
    """A mistake that pydantic carries to `mistakes` with all that a person needs."""
    told = {"problem": problem, "found": found, "expected": expected, "fix": fix}
    return PydanticCustomError("tutelage", "{problem}", told)


def told(error: InputError) -> PydanticCustomError:
    """An error of a package below as such a mistake."""
    return wrong(error.problem, found=error.found or "", expected=error.expected or "", fix=error.fix or "")
