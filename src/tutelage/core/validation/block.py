"""The base class of all blocks of fields, and errors that a field's own check raises."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from tutelage.core.errors import InputError
from tutelage.core.strictjson import shorten
from tutelage.core.suggestions import did_you_mean

OWN_MISTAKE = "tutelage"
"""The type of the errors that `mistake` makes."""

Text = Annotated[str, Field(min_length=1)]


def _non_blank(text: str) -> str:
    if text.strip():
        return text
    raise mistake("nothing is there", found=shorten(text), expected="some text", fix="write a text")


NonBlank = Annotated[str, AfterValidator(_non_blank)]
"""A text that is more than spaces."""


class Block(BaseModel):
    """A block of fields: unknown fields are mistakes, nothing is converted, and nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def is_block(annotation: Any) -> bool:
    """Whether a field's annotation is a block of fields."""
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def mistake(problem: str, *, found: str = "", expected: str = "", fix: str = "") -> PydanticCustomError:
    """An error for a pydantic validator to raise; it becomes an InputError with these texts and its place in the file."""
    parts = {"problem": problem, "found": found, "expected": expected, "fix": fix}
    return PydanticCustomError(OWN_MISTAKE, "{problem}", parts)


def checked_by(check: Callable[[Any], object]) -> AfterValidator:
    """A validator that changes nothing: an InputError that `check` raises becomes the field's mistake."""

    def validate(value: Any) -> Any:
        try:
            check(value)
        except InputError as error:
            parts = {"found": error.found or "", "expected": error.expected or "", "fix": error.fix or ""}
            raise mistake(error.problem, **parts) from None
        return value

    return AfterValidator(validate)


def not_a_choice(value: Any, choices: Iterable[str]) -> PydanticCustomError:
    """The error for a value that is none of a field's choices."""
    names = list(choices)
    suggestion = did_you_mean(value, names) if isinstance(value, str) else None
    return mistake("not one of the choices", expected=", ".join(names), fix=suggestion or "take one of these")
