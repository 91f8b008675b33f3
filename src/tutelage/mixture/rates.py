"""Computes each task's share of a mixture from a tree of mixes.

A task's rate is min(rows, K) ** (1 / T): its rows, clipped at the rate maximum K before the temperature T, as seqio's
`mixing_rate_num_examples`. With T = 1 this is r_m = min(e_m, K) / sum of min(e_n, K) of the T5 paper (Raffel et al. 2020,
section 3.5.2); K = 3,000 is FLAN's (Wei et al. 2022; `mixing_rate_3k` in FLAN's flan/mixtures.py).

Mixes nest as seqio's do: a mix inside another gets a share among its siblings and divides it among its own parts. seqio requires a
number for every nested mix. Here a mix whose parent has no weights counts as the sum of its parts' rates, so that grouping tasks
without weights changes no share.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tutelage.core.errors import InputError, raise_all
from tutelage.core.limits import MAX_ERRORS
from tutelage.core.strictjson import json_kind
from tutelage.core.suggestions import did_you_mean

_MIN_TEMPERATURE = 0.05
"""The lowest temperature: a billion rows to the power of 20 is still a finite number."""


@dataclass(frozen=True, slots=True)
class TaskSize:
    """A task's name and number of training rows."""

    name: str
    rows: int


@dataclass(frozen=True, slots=True)
class Mix:
    """A node of the mixture tree: tasks and mixes that are drawn together.

    `cap`, `rate_maximum` and `temperature` apply to every task under this mix, unless a mix nearer to the task sets its own.

    Attributes:
        name: its name, unique among its siblings.
        parts: tasks and further mixes, at least one.
        weights: the weight of each part by its name, for all parts or for none; they take precedence over rates.
        cap: the maximum number of rows used of a task (FLAN: 30,000).
        rate_maximum: the maximum number of rows that counts for a task's rate (K; FLAN: 3,000).
        temperature: T; 1 if no mix sets it. Above 1 small tasks come more often than in proportion to their rows.
    """

    name: str
    parts: Sequence[TaskSize | Mix]
    weights: Mapping[str, float] | None = None
    cap: int | None = None
    rate_maximum: float | None = None
    temperature: float | None = None


@dataclass(frozen=True, slots=True)
class TaskShare:
    """A task's share of a mixture.

    Attributes:
        name: the task's name.
        path: the names from the outermost mix to the task, both included.
        share: the task's share of all drawn rows; the shares of a mixture add up to 1.
        rows: the number of the task's rows that are used: all, or as many as the cap allows.
    """

    name: str
    path: tuple[str, ...]
    share: float
    rows: int


def task_shares(tree: Mix, *, where: str = "mixture") -> tuple[TaskShare, ...]:
    """The share of every task in a tree of mixes.

    Args:
        tree: the outermost mix.
        where: its place in the recipe, for errors; an inner mix is `where.parts.<name>`.

    Returns:
        One share for each task, in the tree's order.

    Raises:
        InputError: a mix without parts; a task without rows; two siblings, or two tasks anywhere, of one name; weights of
            parts that are not there, or not for all parts; a weight, cap, rate maximum or temperature that is not a
            positive number; InputErrors for several.
    """
    raise_all(where, list(_tree_errors(tree, where, {}))[:MAX_ERRORS])
    shares = list(_shares_under(tree, (tree.name,), 1.0))
    total = math.fsum(share.share for share in shares)
    return tuple(TaskShare(share.name, share.path, share.share / total, share.rows) for share in shares)


def _shares_under(mix: Mix, path: tuple[str, ...], share: float) -> Iterator[TaskShare]:
    """The shares of the tasks under a mix that has its settings from the mixes around it."""
    if mix.weights is None:
        part_weights = [_rate(part, mix) for part in mix.parts]
    else:
        part_weights = [float(mix.weights[part.name]) for part in mix.parts]
    largest = max(part_weights)  # weights are divided by it, so that huge ones do not add up to infinity
    total = math.fsum(weight / largest for weight in part_weights)
    for part, weight in zip(mix.parts, part_weights, strict=True):
        part_share = share * (weight / largest / total)
        if isinstance(part, Mix):
            yield from _shares_under(_inheriting(part, mix), (*path, part.name), part_share)
        else:
            yield TaskShare(part.name, (*path, part.name), part_share, _used_rows(part, mix))


def _inheriting(mix: Mix, outer: Mix) -> Mix:
    """A mix with the settings of the mix around it where it has none."""
    return replace(
        mix,
        cap=outer.cap if mix.cap is None else mix.cap,
        rate_maximum=outer.rate_maximum if mix.rate_maximum is None else mix.rate_maximum,
        temperature=outer.temperature if mix.temperature is None else mix.temperature,
    )


def _used_rows(task: TaskSize, mix: Mix) -> int:
    return task.rows if mix.cap is None else min(task.rows, mix.cap)


def _rate(part: TaskSize | Mix, outer: Mix) -> float:
    """A task's rate; for a mix the sum of the rates of its tasks, whatever its weights."""
    if isinstance(part, Mix):
        inner = _inheriting(part, outer)
        return math.fsum(_rate(inner_part, inner) for inner_part in part.parts)
    rows: float = _used_rows(part, outer)
    if outer.rate_maximum is not None:
        rows = min(rows, outer.rate_maximum)
    temperature = 1.0 if outer.temperature is None else outer.temperature
    return float(rows ** (1.0 / temperature))


def _tree_errors(mix: Mix, where: str, tasks: dict[str, str]) -> Iterator[InputError]:
    """The mistakes of a mix; `tasks` has the place of each task before it, as counts are reported by task name."""
    yield from _number_errors(mix, where)
    if not mix.parts:
        yield InputError(
            f"the mix {mix.name} has no parts",
            where=f"{where}.parts",
            found="nothing",
            expected="at least one task",
            fix="name its tasks, or remove it",
        )
        return
    if mix.weights is not None:
        yield from _weight_errors(mix, mix.weights, where)
    names: set[str] = set()
    for number, part in enumerate(mix.parts):
        location = f"{where}.parts.{part.name}"
        earlier = tasks.get(part.name) if isinstance(part, TaskSize) else None
        if part.name in names or earlier is not None:
            yield InputError(
                "the name stands twice in the mixture",
                where=f"{where}.parts.{number}",
                found=part.name,
                expected="a name of its own" + (f": {earlier} is called so" if earlier else ""),
                fix="rename one of them",
            )
        names.add(part.name)
        if isinstance(part, Mix):
            yield from _tree_errors(part, location, tasks)
            continue
        tasks.setdefault(part.name, location)
        if part.rows < 1:
            yield InputError(
                f"the task {part.name} has no rows",
                where=location,
                found=f"{part.rows} rows",
                expected="at least one training row",
                fix="look at its data and split, or leave it out of the mixture",
            )


def _number_errors(mix: Mix, where: str) -> Iterator[InputError]:
    if mix.cap is not None and not (_is_positive(mix.cap) and float(mix.cap).is_integer()):
        expected = "a whole number of rows, 1 or more"
        yield _number_error(f"{where}.cap", "the cap", mix.cap, expected, fix="leave it out to use all rows")
    if mix.rate_maximum is not None and not _is_positive(mix.rate_maximum):
        yield _number_error(
            f"{where}.rate_maximum",
            "the rate maximum",
            mix.rate_maximum,
            "a number above 0",
            fix="leave it out for rates without a maximum",
        )
    if mix.temperature is not None and not _is_positive(mix.temperature, _MIN_TEMPERATURE):
        yield _number_error(
            f"{where}.temperature",
            "the temperature",
            mix.temperature,
            f"a number of {_MIN_TEMPERATURE} or more",
            fix="leave it out for rates in proportion to the rows",
        )


def _weight_errors(mix: Mix, weights: Mapping[str, float], where: str) -> Iterator[InputError]:
    names = [part.name for part in mix.parts]
    for name, weight in weights.items():
        location = f"{where}.weights.{name}"
        if name not in names:
            yield InputError(
                f"the mix {mix.name} has no part of this name",
                where=location,
                found=name,
                expected=", ".join(names[:MAX_ERRORS]) + (", ..." if len(names) > MAX_ERRORS else ""),
                fix=did_you_mean(name, [candidate for candidate in names if candidate not in weights])
                or "remove it, or add the part",
            )
        elif not _is_positive(weight):
            yield _number_error(
                location,
                "the weight",
                weight,
                "a number above 0",
                fix="leave the part out to draw none of it",
            )
    missing = [name for name in names if name not in weights]
    if missing:
        yield InputError(
            "some parts have a weight and some have none",
            where=f"{where}.weights",
            found="no weight for "
            + ", ".join(missing[:3])
            + (f" and {len(missing) - 3} more" if len(missing) > 3 else ""),
            expected="a weight for every part, or for none",
            fix="weigh these too: a weight and a rate made of rows cannot be compared",
        )


def _is_positive(value: object, minimum: float = 0.0) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and minimum <= value <= sys.float_info.max and value > 0  # type: ignore[operator]  # a number


def _number_error(where: str, subject: str, value: object, expected: str, *, fix: str) -> InputError:
    shown = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else json_kind(value)
    return InputError(f"{subject} is not {expected}", where=where, found=shown, expected=expected, fix=fix)
