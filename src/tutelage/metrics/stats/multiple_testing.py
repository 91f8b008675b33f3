"""Many tests at once: p values adjusted for the family they belong to."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment: rejecting at 0.05 keeps the chance of any false alarm in the family below 0.05.

    S. Holm, "A simple sequentially rejective multiple test procedure", 1979. Order is kept; NaN counts as 1.
    """
    count = len(p)
    adjusted = [0.0] * count
    largest = 0.0
    for rank, index in enumerate(_ascending(p)):
        largest = max(largest, min(1.0, (count - rank) * _known(p[index])))
        adjusted[index] = largest
    return adjusted


def benjamini_hochberg(p: Sequence[float]) -> list[float]:
    """Benjamini and Hochberg's adjustment: rejecting at 0.05 keeps the expected share of false alarms below 0.05.

    Y. Benjamini, Y. Hochberg, "Controlling the false discovery rate", 1995. Order is kept; NaN counts as 1.
    """
    count = len(p)
    adjusted = [0.0] * count
    smallest = 1.0
    for rank, index in reversed(list(enumerate(_ascending(p)))):
        smallest = min(smallest, count / (rank + 1) * _known(p[index]))
        adjusted[index] = smallest
    return adjusted


def _ascending(p: Sequence[float]) -> list[int]:
    return sorted(range(len(p)), key=lambda index: _known(p[index]))


def _known(value: float) -> float:
    return value if value == value else 1.0  # noqa: PLR0124 - NaN is the one number that differs from itself
