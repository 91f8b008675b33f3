"""What a watched benchmark may lose: a number of points, or nats of the right answers' log-probability."""

from __future__ import annotations

from typing import Annotated

from pydantic import Discriminator, Field, Tag

from tutelage.comparison.budgets import Budget, Nats
from tutelage.core.validation import Block
from tutelage.training.settings import unit

_TAGS = ("in points", "in nats")


class NatsBudget(Block):
    """A budget in nats, for benchmarks whose answers are choices with likelihoods."""

    nats: Annotated[float, Field(gt=0, le=100)] = Field(
        description="The mean loss of the right answer's log-probability among its choices that is allowed, an item: log-probabilities "
        "are summed over a choice's tokens.",
        examples=[0.05],
        json_schema_extra=unit("nats an item"),
    )


StatedBudget = Annotated[
    Annotated[float, Field(ge=0, le=100), Tag(_TAGS[0])] | Annotated[NatsBudget, Tag(_TAGS[1])],
    Discriminator(lambda value: _TAGS[isinstance(value, dict | NatsBudget)]),
]


def as_budget(stated: float | NatsBudget) -> Budget:
    """A budget of a recipe as comparisons take it."""
    return Nats(stated.nats) if isinstance(stated, NatsBudget) else stated
