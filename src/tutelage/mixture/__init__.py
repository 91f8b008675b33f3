"""Which row comes next: a pure function of seed and position."""

from __future__ import annotations

from tutelage.mixture.mixed import MixedOrder, Pick, Picks
from tutelage.mixture.order import Order, Place, row_at
from tutelage.mixture.presets import Preset, preset
from tutelage.mixture.rates import Mix, Part, Rate, rates
from tutelage.mixture.stream import MixedRows, Source

__all__ = [
    "Mix", "MixedOrder", "MixedRows", "Order", "Part", "Pick", "Picks", "Place", "Preset", "Rate", "Source", "preset",
    "rates", "row_at",
]  # fmt: skip
