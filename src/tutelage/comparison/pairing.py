"""Two evaluations of one task or benchmark, item by item: those that both were asked, and how many were left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tutelage.comparison.task_comparison import PairedScores
from tutelage.core.errors import InputError
from tutelage.metrics import ItemScores, score_subset
from tutelage.metrics.scoring import renumber_clusters
from tutelage.results.evaluation import Evaluation

MAX_NAMED_ITEMS = 5


@dataclass(frozen=True, slots=True)
class UnpairedItems:
    """The items of a task or benchmark that are not compared, because only one side was asked them.

    Attributes:
        name: the task or benchmark.
        both: how many items are compared.
        only_base, only_tuned: how many only one side was asked.
        otherwise: how many have one id on both sides, and another prompt, reference or field.
        averages: averages over parts that are not compared either: their weights are of all items.
        approximate: whether the overall score is computed from the common items' contributions to scores such as F1 over all items.
    """

    name: str
    both: int
    only_base: int
    only_tuned: int
    otherwise: int
    averages: tuple[str, ...] = ()
    approximate: bool = False

    def as_json(self) -> dict[str, Any]:
        """As `compare --json` prints it."""
        return {
            "name": self.name,
            "both": self.both,
            "only_in_base": self.only_base,
            "only_in_tuned": self.only_tuned,
            "asked_otherwise": self.otherwise,
            "averages": list(self.averages),
            **({"approximate": True} if self.approximate else {}),
        }


def common_items(a: Evaluation, b: Evaluation) -> list[str]:
    """The ids of the items that both were asked, in the first one's order.

    Items are the same when id, prompt, references and fields are.
    """
    keys = {item.id: item.key for item in b.items()}
    return [item.id for item in a.items() if keys.get(item.id) == item.key]


def pair_evaluations(
    a: Evaluation, b: Evaluation, *, base: str, tuned: str, seed: int = 0
) -> tuple[PairedScores, UnpairedItems | None]:
    """Pair the scores of two evaluations over their common items.

    Args:
        a: a scored evaluation of a task or benchmark.
        b: another one of the same.
        base: the first one's name, for errors.
        tuned: the second one's name.
        seed: for intervals that are computed again and draw random numbers.

    Returns:
        Both scores, computed again where items are left out, and those items; None when both were asked the same.

    Raises:
        InputError: no item is common, or metrics, options or versions differ.
    """
    ids = common_items(a, b)
    a_ids, b_ids = ([item.id for item in side.items()] for side in (a, b))
    if not ids:
        raise _nothing_in_common(a.name, a_ids, b_ids, base=base, tuned=tuned)
    order = {item_id: row for row, item_id in enumerate(ids)}
    parts = [part for part in a.parts() if part and part in b.parts()]
    unpaired = None
    if not len(ids) == len(a_ids) == len(b_ids):
        averages = tuple(part for part in parts if _is_average(a, part))
        parts = [part for part in parts if part not in averages]
        shared = len(set(a_ids) & set(b_ids))
        unpaired = UnpairedItems(
            name=a.name,
            both=len(ids),
            only_base=len(a_ids) - shared,
            only_tuned=len(b_ids) - shared,
            otherwise=shared - len(ids),
            averages=averages,
            approximate=_is_average(a, ""),
        )
    by_part = {part: _paired_scores(a, b, part, order, seed) for part in parts}
    return replace(_paired_scores(a, b, "", order, seed), parts=by_part), unpaired


def _nothing_in_common(
    name: str, a_ids: Sequence[str], b_ids: Sequence[str], *, base: str, tuned: str
) -> InputError:
    in_a, in_b = set(a_ids), set(b_ids)
    reasons = {
        f"only in {base}": [item for item in a_ids if item not in in_b],
        f"only in {tuned}": [item for item in b_ids if item not in in_a],
        "asked otherwise": [item for item in a_ids if item in in_b],
    }
    return InputError(
        f"{name!r} has no item that both were asked",
        where=f"{base} and {tuned}",
        found="; ".join(f"{len(ids)} {reason} ({_first_ids(ids)})" for reason, ids in reasons.items() if ids),
        expected="items with the same id, prompt, references and fields on both sides",
        fix="evaluate both on the same data, split and seed",
    )


def _paired_scores(
    a: Evaluation, b: Evaluation, part: str, order: Mapping[str, int], seed: int
) -> PairedScores:
    base, tuned = a.item_scores(part), b.item_scores(part)
    primary = a.primary(part)
    metrics = [metric for metric in base if metric in tuned]
    if primary is None or primary not in metrics:
        raise InputError(
            "the two were not scored by the same primary metric",
            where=f"{a.name}: {part}" if part else a.name,
            found=f"{primary} against {b.primary(part)}",
            fix="score both with the same metrics",
        )
    for metric in metrics:
        _require_same_signature(a.name, base[metric][0], tuned[metric][0])
    return PairedScores(
        primary=primary,
        base={metric: _in_order(*base[metric], order, seed) for metric in metrics},
        tuned={metric: _in_order(*tuned[metric], order, seed) for metric in metrics},
    )


def _is_average(evaluation: Evaluation, part: str) -> bool:
    return any(scores.averaged for scores in evaluation.scores(part).values())


def _require_same_signature(name: str, a: ItemScores, b: ItemScores) -> None:
    # Without the interval, whose kind depends on the items and on the version that scored them.
    signatures = {side.score.signature.partition("|ci:")[0] for side in (a, b)}
    if len(signatures) > 1:
        raise InputError(
            f"{a.metric} was not computed in the same way",
            where=name,
            found=f"{a.score.signature} against {b.score.signature}",
            expected="the same metric, options and version",
            fix="score both with the same version and options",
        )


def _in_order(scores: ItemScores, ids: Sequence[str], order: Mapping[str, int], seed: int) -> ItemScores:
    """The scores of the items in `order`, in that order; `rows` are places in it."""
    paired = [index for index, item_id in enumerate(ids) if item_id in order]
    indices = sorted(paired, key=lambda index: order[ids[index]])
    rows = tuple(order[ids[index]] for index in indices)
    if len(indices) < len(ids):
        return replace(score_subset(scores, indices, seed=seed), rows=rows)
    return replace(
        scores,
        rows=rows,
        items=scores.items[indices],
        statistics=scores.statistics[indices],
        clusters=None if scores.clusters is None else renumber_clusters(scores.clusters[indices]),
    )


def _first_ids(ids: Sequence[str]) -> str:
    return ", ".join([*ids[:MAX_NAMED_ITEMS], *(["..."] if len(ids) > MAX_NAMED_ITEMS else [])])
