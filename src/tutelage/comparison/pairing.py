"""Two evaluations of one task or benchmark, item by item: those that both were asked, and how many were left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tutelage.comparison.outcome import PairedScores
from tutelage.core.errors import InputError
from tutelage.metrics import score_subset
from tutelage.metrics.score import ItemScores
from tutelage.metrics.scoring import renumber_clusters
from tutelage.results.evaluation import Evaluation

SHOWN = 5


@dataclass(frozen=True, slots=True)
class UnpairedItems:
    """What of a task or benchmark was not compared, because only one side was asked it.

    Attributes:
        name: the task or benchmark.
        both: how many items were compared.
        only_base, only_tuned: how many only one side was asked.
        otherwise: how many have one id on both sides, and another prompt, reference or field.
        averages: averages over parts that are not compared either: their weights are of all items.
    """

    name: str
    both: int
    only_base: int
    only_tuned: int
    otherwise: int
    averages: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """As `compare --json` prints it."""
        return {
            "name": self.name,
            "both": self.both,
            "only_in_base": self.only_base,
            "only_in_tuned": self.only_tuned,
            "asked_otherwise": self.otherwise,
            "averages": list(self.averages),
        }


@dataclass(frozen=True, slots=True)
class Pair:
    """One task or benchmark as it can be compared; `left_out` is None when both were asked the same."""

    measured: PairedScores
    left_out: UnpairedItems | None


def common(a: Evaluation, b: Evaluation) -> list[str]:
    """The ids of the items that both were asked, in the first one's order.

    An item is its id with all that was asked: where prompt, references or fields differ it is another one.
    """
    keys = {item.id: item.key for item in b.items()}
    return [item.id for item in a.items() if keys.get(item.id) == item.key]


def pair(a: Evaluation, b: Evaluation, *, base: str, tuned: str, seed: int = 0) -> Pair:
    """Both scores over the items that both were asked; where some are left out, made again over the others.

    Args:
        a: a scored evaluation of a task or benchmark.
        b: another one of the same.
        base: what the first is called, for mistakes.
        tuned: what the second is called.
        seed: of the draws of intervals that are made again.

    Raises:
        InputError: no item is common, or metrics, options or versions differ.
    """
    ids = common(a, b)
    left, right = ([item.id for item in one.items()] for one in (a, b))
    if not ids:
        raise _nothing_common(a, left, right, base=base, tuned=tuned)
    order = {item_id: row for row, item_id in enumerate(ids)}
    parts = [part for part in a.parts() if part and part in b.parts()]
    if len(ids) == len(left) == len(right):
        return Pair(_measured(a, b, parts, order, seed), None)
    averages = tuple(part for part in parts if _is_average(a, part))
    parts = [part for part in parts if part not in averages]
    there, here = set(left), set(right)
    left_out = UnpairedItems(
        name=a.name,
        both=len(ids),
        only_base=len(there - here),
        only_tuned=len(here - there),
        otherwise=len(there & here) - len(ids),
        averages=averages,
    )
    return Pair(_measured(a, b, parts, order, seed), left_out)


def _nothing_common(
    a: Evaluation, left: Sequence[str], right: Sequence[str], *, base: str, tuned: str
) -> InputError:
    there, here = set(left), set(right)
    faults = {
        f"only in {base}": [item for item in left if item not in here],
        f"only in {tuned}": [item for item in right if item not in there],
        "asked otherwise": [item for item in left if item in here],
    }
    return InputError(
        f"{a.name!r} has no item that both were asked",
        where=f"{base} and {tuned}",
        found="; ".join(f"{len(ids)} {subject} ({_first(ids)})" for subject, ids in faults.items() if ids),
        expected="items with the same id, prompt, references and fields on both sides",
        fix="evaluate both on the same data, split and seed",
    )


def _measured(
    a: Evaluation, b: Evaluation, parts: Sequence[str], order: Mapping[str, int], seed: int
) -> PairedScores:
    return replace(
        _part(a, b, "", order, seed), parts={part: _part(a, b, part, order, seed) for part in parts}
    )


def _part(a: Evaluation, b: Evaluation, part: str, order: Mapping[str, int], seed: int) -> PairedScores:
    left, right = a.item_scores(part), b.item_scores(part)
    primary = a.primary(part)
    metrics = [metric for metric in left if metric in right]
    if primary is None or primary not in metrics:
        raise InputError(
            "the two were not scored by the same primary metric",
            where=f"{a.name}: {part}" if part else a.name,
            found=f"{primary} against {b.primary(part)}",
            fix="score both with the same metrics",
        )
    for metric in metrics:
        _same_signature(a.name, left[metric][0], right[metric][0])
    return PairedScores(
        primary=primary,
        base={metric: _in_order(*left[metric], order, seed) for metric in metrics},
        tuned={metric: _in_order(*right[metric], order, seed) for metric in metrics},
    )


def _is_average(evaluation: Evaluation, part: str) -> bool:
    return any(scored.averaged for scored in evaluation.scores(part).values())


def _same_signature(name: str, a: ItemScores, b: ItemScores) -> None:
    if _computed(a) != _computed(b):
        raise InputError(
            f"{a.metric} was not computed in the same way",
            where=name,
            found=f"{a.score.signature} against {b.score.signature}",
            expected="the same metric, options and version",
            fix="score both with the same version and options",
        )


def _computed(scored: ItemScores) -> str:
    """The signature without its interval, whose kind depends on the items and on the version that scored them."""
    return scored.score.signature.partition("|ci:")[0]


def _in_order(scored: ItemScores, ids: Sequence[str], order: Mapping[str, int], seed: int) -> ItemScores:
    """The score of the items in `order`, in that order, `rows` counted in it."""
    kept = [at for at, item_id in enumerate(ids) if item_id in order]
    at = sorted(kept, key=lambda place: order[ids[place]])
    rows = tuple(order[ids[place]] for place in at)
    if len(kept) < len(ids):
        return replace(score_subset(scored, at, seed=seed), rows=rows)
    return replace(
        scored,
        rows=rows,
        items=scored.items[at],
        statistics=scored.statistics[at],
        clusters=None if scored.clusters is None else renumber_clusters(scored.clusters[at]),
    )


def _first(ids: Sequence[str]) -> str:
    return ", ".join([*ids[:SHOWN], *(["..."] if len(ids) > SHOWN else [])])
