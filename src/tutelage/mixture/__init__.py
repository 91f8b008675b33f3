"""Which row comes next: a pure function of seed and position."""

from __future__ import annotations

from tutelage.mixture.order import Order, Place, row_at

__all__ = ["Order", "Place", "row_at"]
