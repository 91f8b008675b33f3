"""What a metric takes and gives: rows in; a value with its n, interval and signature out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tutelage.core.types import Json


@dataclass(frozen=True, slots=True)
class Row:
    """One prediction with what it should have been.

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
        """The score as results.json holds it; what has no value is null."""
        return {
            "value": _known(self.value),
            "low": _known(self.low),
            "high": _known(self.high),
            "n": self.n,
            "signature": self.signature,
        }


@dataclass(frozen=True, slots=True)
class Difference:
    """Tuned minus base on the same rows.

    Attributes:
        value: the difference.
        low: where its 95 % interval begins.
        high: where it ends.
        n: items compared.
        p: two-sided, paired.
        p_adjusted: p for the family of tests it belongs to, once that is known.
        effect: Cohen's d of the paired item values, None for metrics without item values.
        detectable: the smallest true difference that this n finds with 80 % power, as spread as these items are.
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

    def as_json(self) -> dict[str, float | int | str | None]:
        """The difference as results.json holds it; what has no value is null."""
        return {
            "value": _known(self.value),
            "low": _known(self.low),
            "high": _known(self.high),
            "n": self.n,
            "p": self.p,
            "p_adjusted": self.p_adjusted,
            "effect": _known(self.effect),
            "detectable": _known(self.minimum_detectable_effect),
            "test": self.test,
            **({} if self.units is None else {"units": self.units}),
        }


AVERAGE = "|average:"
"""In the signature of an average that weighs parts otherwise than by their items: its item values are weighted, not the metric's."""


@dataclass(frozen=True, slots=True, eq=False)
class ItemScores:
    """One metric over a list of rows, with what is needed to compare it with another model's without scoring again.

    Attributes:
        metric: the metric's name with its options, as asked for.
        score: value, interval, n, signature.
        rows: for each counted item the index of its row; metrics such as `states_fact` count some rows only.
        items: the metric's value on each counted item alone, float64 of shape (n,); NaN where it has none.
        statistics: all that the value depends on, float64 of shape (n, k), one line an item.
        higher_is_better: the metric's direction.
        clusters: int64 of shape (n,), the number of each item's cluster; None when items are independent.
    """

    metric: str
    score: Score
    rows: tuple[int, ...]
    items: npt.NDArray[np.float64]
    statistics: npt.NDArray[np.float64]
    higher_is_better: bool = True
    clusters: npt.NDArray[np.int64] | None = None

    @property
    def averaged(self) -> bool:
        """Whether it is an average over parts, whose weights are of all items."""
        return AVERAGE in self.score.signature


def _known(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
