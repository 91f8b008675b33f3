"""How many items would show that a loss is within its budget."""

from __future__ import annotations

import math
from typing import Literal

from tutelage.metrics.stats.intervals import Z
from tutelage.metrics.stats.paired_tests import POWER_80

Z_NEEDED = 1.6448536269514722 + POWER_80
"""How many standard errors show something one-sided at 5 % with 80 % power."""
MIN_ITEMS = 300
"""So many items over the budget in points exclude a loss above it when nothing at all is lost: the rule of three."""

Word = Literal["within", "over", "cannot tell"]


def items_needed(
    n: int, loss: float, reach: float, budget: float, *, least: float | None = None
) -> int | None:
    """How many items would show with 80 % power that a loss is within budget, if it is as observed.

    The usual normal approximation: (1.645 + 0.842) standard errors have to fit between loss and budget.

    Args:
        n: items that were asked.
        loss: the observed loss, in the unit of the budget.
        reach: from the loss to the worse end of its 95 % interval.
        budget: the loss that is allowed.
        least: so many items are needed whatever they show; by default the rule of three for a budget in points.

    Returns:
        The number; None when the observed loss is not below the budget.
    """
    margin = budget - loss
    if margin <= 0 or budget <= 0:
        return None
    needed = n * (Z_NEEDED * reach / Z / margin) ** 2
    return math.ceil(max(needed, MIN_ITEMS / budget if least is None else least))
