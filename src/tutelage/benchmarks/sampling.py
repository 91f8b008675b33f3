"""Limits on the items of each part: the first ones, or a sample that every larger sample contains."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tutelage.benchmarks.items import BenchmarkItem
from tutelage.core.errors import InputError

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Limit:
    """How many items of each part are used.

    Attributes:
        count: the most of each part; None for all.
        first: whether they are the first ones of the file instead of a sample.
    """

    count: int | None = None
    first: bool = False

    def __post_init__(self) -> None:
        if self.first and self.count is None:
            raise InputError(
                "`first` needs a limit",
                where="first",
                expected="first together with limit",
                fix="add limit, or remove first",
            )
        if self.count is not None and self.count < 1:
            raise InputError(
                "at least one item a part is needed",
                where="limit",
                found=str(self.count),
                expected="1 or more",
            )


def sample(
    items: Sequence[_Item],
    limit: Limit,
    *,
    key: Callable[[_Item], str],
    unit: Callable[[_Item], str] | None = None,
) -> Sequence[_Item]:
    """Limit one part's items, keeping their order.

    The sample is drawn by hashes of the items' texts. So it is the same for every model, machine and way of asking, and the sample
    of a larger limit contains it.

    Args:
        items: the part's items.
        limit: how many.
        key: an item's text.
        unit: what items share that are judged together: all of a unit are taken, or none. The first unit is taken whatever its size.
    """
    if limit.count is None or len(items) <= limit.count:
        return items
    if unit is not None:
        return _whole_units(items, limit, limit.count, key, unit)
    if limit.first:
        return items[: limit.count]
    order = sorted(range(len(items)), key=lambda at: (hashlib.sha256(key(items[at]).encode()).digest(), at))
    return [items[at] for at in sorted(order[: limit.count])]


def sample_items(items: Sequence[BenchmarkItem], limit: Limit) -> Sequence[BenchmarkItem]:
    """Limit one part's items; an item's text is its prompt with its choices."""
    return sample(items, limit, key=lambda item: "\n".join([item.prompt, *item.choices]))


def _whole_units(
    items: Sequence[_Item],
    limit: Limit,
    count: int,
    key: Callable[[_Item], str],
    unit: Callable[[_Item], str],
) -> Sequence[_Item]:
    places: dict[str, list[int]] = {}
    for at, item in enumerate(items):
        places.setdefault(unit(item), []).append(at)
    units = list(places.values())
    if not limit.first:
        units.sort(key=lambda unit: (hashlib.sha256(key(items[unit[0]]).encode()).digest(), unit[0]))
    chosen = units[0]
    for unit_places in units[1:]:
        if len(chosen) + len(unit_places) > count:
            break
        chosen = chosen + unit_places
    return [items[at] for at in sorted(chosen)]
