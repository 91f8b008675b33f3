"""Whether metrics can read the fields of a benchmark's items, before a model is asked."""

from __future__ import annotations

from collections.abc import Sequence

from tutelage.benchmarks.items import BenchmarkItem
from tutelage.core.errors import InputError
from tutelage.metrics import Row, check_rows
from tutelage.metrics.catalogue import expand, parse


def field_mistakes(metrics: Sequence[str], items: Sequence[BenchmarkItem]) -> list[InputError]:
    """The mistakes in fields that metrics read beside the answer, each with its item, and in models that metrics need.

    Args:
        metrics: the metrics of the items' part.
        items: the items of one part.
    """
    entries = {name: parse(name).entry for name in expand(metrics)}
    readers = [
        name for name, entry in entries.items() if (entry.reads or entry.needs_model) and not entry.predicted
    ]
    if not readers or not items:
        return []
    try:
        check_rows(readers, [Row("", item.references, item.fields, cluster=item.cluster) for item in items])
    except InputError as error:
        return [_of_item(mistake, items) for mistake in error.mistakes]
    return []


def _of_item(error: InputError, items: Sequence[BenchmarkItem]) -> InputError:
    """The error of a metric about `row N`, with the item's id instead."""
    row, comma, field = (error.where or "").partition(", ")
    number = row.removeprefix("row ")
    if not number.isdecimal():
        return error
    return error.at(f"item {items[int(number) - 1].id}{comma}{field}")
