"""What a metric takes and gives: rows in; a value with its n, interval and signature out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from tutelage.core.types import Json
from tutelage.metrics.stats.arrays import Floats, Ints


@dataclass(frozen=True, slots=True)
class Row:
    """One prediction with the references it is judged by.

    `fields` are the row's further fields, for metrics that read them (`states_fact` reads `must_contain`);
    `cluster` names what several rows share (a document, a reference set), None when rows are independent.
    """

    prediction: str
    references: tuple[str, ...]
    fields: Mapping[str, Json] = field(default_factory=dict)
    task: str = ""
    cluster: str | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """A metric's value over `n` rows with a 95 % interval; `signature` names metric, options and version."""

    value: float
    low: float
    high: float
    n: int
    signature: str

    def as_json(self) -> dict[str, float | int | str | None]:
        """The score as in results.json; a number that is not finite is null."""
        return {
            "value": _finite(self.value),
            "low": _finite(self.low),
            "high": _finite(self.high),
            "n": self.n,
            "signature": self.signature,
        }


@dataclass(frozen=True, slots=True)
class ScoreDifference:
    """Tuned minus base on the same rows.

    Attributes:
        value: the difference.
        low: the lower end of its 95 % interval.
        high: the upper end.
        n: items compared.
        p: two-sided, paired.
        p_adjusted: p adjusted for the family of tests it belongs to; None outside a family.
        effect: Cohen's d of the paired item values, None for metrics without item values.
        minimum_detectable_effect: the smallest true difference that a test of n such items detects with 80 % power.
        test: which test p is of.
        units: how many clusters the items form; None when they are independent.
    """

    value: float
    low: float
    high: float
    n: int
    p: float
    p_adjusted: float | None = None
    effect: float | None = None
    minimum_detectable_effect: float | None = None
    test: str = ""
    units: int | None = None

    @property
    def independent(self) -> int:
        """How many independent items there are: clusters, where items share one."""
        return self.n if self.units is None else self.units

    def as_json(self) -> dict[str, float | int | str | None]:
        """The difference as in results.json; a number that is not finite is null."""
        return {
            "value": _finite(self.value),
            "low": _finite(self.low),
            "high": _finite(self.high),
            "n": self.n,
            "p": self.p,
            "p_adjusted": self.p_adjusted,
            "effect": _finite(self.effect),
            "detectable": _finite(self.minimum_detectable_effect),
            "test": self.test,
            **({} if self.units is None else {"units": self.units}),
        }


AVERAGE = "|average:"
"""Marks the signature of a weighted average over parts, whose item values are weighted ones."""


@dataclass(frozen=True, slots=True, eq=False)
class ItemScores:
    """One metric over a list of rows, with what a comparison with another model needs, so that nothing is scored again.

    Attributes:
        metric: the metric's name with its options, as the user wrote it.
        score: value, interval, n, signature.
        rows: for each counted item the index of its row; metrics such as `states_fact` count some rows only.
        items: the metric's value on each counted item alone, float64 of shape (n,); NaN where it has none.
        statistics: all that the value depends on, float64 of shape (n, k), one row an item.
        higher_is_better: whether more is better without limit; False for a metric with a target or no direction.
        clusters: int64 of shape (n,), the number of each item's cluster; None when items are independent.
    """

    metric: str
    score: Score
    rows: tuple[int, ...]
    items: Floats
    statistics: Floats
    higher_is_better: bool = True
    clusters: Ints | None = None

    @property
    def averaged(self) -> bool:
        """Whether it is a weighted average over parts."""
        # Before the version are options, of which one may be named average.
        return AVERAGE in self.score.signature.partition("|version:")[2]


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
