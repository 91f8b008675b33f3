"""What every block of the recipe is made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(min_length=1)]


class Block(BaseModel):
    """A part of the recipe: unknown fields are mistakes, a text is no number, and nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
