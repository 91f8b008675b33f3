"""Many tests at once: p values adjusted for the family they belong to."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment: rejecting at 0.05 keeps the chance of any false alarm in the family below 0.05.

    S. Holm, "A simple sequentially rejective multiple test procedure", 1979. Order is kept; NaN counts as 1.
    """
    p_values = [p if p == p else 1.0 for p in p_values]  # noqa: PLR0124 - NaN is the one number unequal to itself
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted
