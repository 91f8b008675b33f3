"""What a metric takes and gives: rows in; a value with its n, interval and signature out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tutelage.core.nouns import Json


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

    def as_json(self) -> dict[str, float | int | str]:
        """The score as results.json holds it."""
        return {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "n": self.n,
            "signature": self.signature,
        }


@dataclass(frozen=True, slots=True)
class Difference:
    """Tuned minus base on the same rows: value, 95 % interval, two-sided paired p; `p_adjusted` once a family is known."""

    value: float
    low: float
    high: float
    n: int
    p: float
    p_adjusted: float | None = None

    def as_json(self) -> dict[str, float | int | None]:
        """The difference as results.json holds it."""
        return {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "n": self.n,
            "p": self.p,
            "p_adjusted": self.p_adjusted,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """One metric over a list of rows, with what is needed to compare it with another model's without scoring again.

    Attributes:
        metric: the metric's name with its options, as asked for.
        score: value, interval, n, signature.
        rows: for each counted item the index of its row; metrics such as `states_fact` count some rows only.
        items: the metric's value on each counted item alone, float64 of shape (n,); NaN where it has none.
        statistics: sufficient statistics, float64 of shape (n, k): the metric is a function of their sum.
        higher_is_better: the metric's direction.
    """

    metric: str
    score: Score
    rows: tuple[int, ...]
    items: npt.NDArray[np.float64]
    statistics: npt.NDArray[np.float64]
    higher_is_better: bool = True
