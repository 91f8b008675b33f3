"""Right or wrong, item by item: by the first metric that judges an item, the primary one first."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tutelage.metrics.catalogue import catalogue
from tutelage.results.evaluation import Evaluation


@dataclass(frozen=True, slots=True)
class JudgedItems:
    """The items of two evaluations that can be called right or wrong on both sides.

    Attributes:
        judges: the metrics that judge at least one of them, in order.
        right: (base right, tuned right) by item id, in the order of the items.
    """

    judges: tuple[str, ...]
    right: Mapping[str, tuple[bool, bool]]

    @property
    def still_wrong(self) -> tuple[str, ...]:
        """The items that both answer wrongly."""
        return tuple(item_id for item_id, sides in self.right.items() if sides == (False, False))


def judging_metrics(metrics: Iterable[str], primary: str | None) -> list[str]:
    """The metrics that say right or wrong of an item, the primary one first.

    Beside the primary metric only those count of which more is better: that an answer declines no question does not make it right.
    """
    judging = []
    for metric in sorted(metrics, key=lambda name: name != primary):
        entry = catalogue().get(metric.partition(":")[0])
        if (
            entry is not None
            and entry.kind == "proportion"
            and (metric == primary or entry.better == "higher")
        ):
            judging.append(metric)
    return judging


def judge(base: Evaluation, tuned: Evaluation) -> JudgedItems:
    """Call each item of two scored evaluations right or wrong on both sides.

    A metric may count some items only, as `states_fact` counts the answerable questions: the others are judged by the next one.
    """
    sides = [
        {
            metric: (
                dict(zip(ids, scored.items.tolist(), strict=True)),
                scored.higher_is_better,
            )
            for metric, (scored, ids) in evaluation.item_scores().items()
        }
        for evaluation in (base, tuned)
    ]
    judging = judging_metrics((metric for metric in sides[0] if metric in sides[1]), base.primary())
    judges, right = {}, {}
    for item in tuned.items():
        for metric in judging:
            (before, higher), (after, _) = sides[0][metric], sides[1][metric]
            values = before.get(item.id, math.nan), after.get(item.id, math.nan)
            if all(map(math.isfinite, values)):
                right[item.id] = ((values[0] > 0.5) == higher, (values[1] > 0.5) == higher)
                judges[metric] = True
                break
    return JudgedItems(tuple(metric for metric in judging if metric in judges), right)
