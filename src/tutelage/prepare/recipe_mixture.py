"""A recipe's mixture over its actual rows: each task's share, the order of training rows, and what a training saw."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from tutelage import templates
from tutelage.config import mixture_block as block
from tutelage.config.schema import Recipe
from tutelage.config.task_block import Task
from tutelage.core.errors import InputError, raise_all
from tutelage.core.suggestions import did_you_mean, nearest
from tutelage.core.types import Encoded
from tutelage.mixture.epoch_order import EpochOrder
from tutelage.mixture.mixture_order import MixtureOrder
from tutelage.mixture.presets import Submixture, preset
from tutelage.mixture.rates import Mix, TaskSize, task_shares
from tutelage.prepare.encoding import EncodedTask


@dataclass(frozen=True, slots=True)
class TaskMixture:
    """The order in which the training rows of all tasks are drawn.

    Attributes:
        order: position to task and row.
        shares: each task's share of the drawn rows; 0 for tasks that are tested only.
        epoch: rows that count as one epoch.
        notes: sentences on where the mixture differs from what the recipe asks for.
        replay: what is replayed, with its share of rows and of tokens; None without a replay.
    """

    order: EpochOrder | MixtureOrder
    shares: tuple[float, ...]
    epoch: int
    notes: tuple[str, ...] = ()
    replay: Mapping[str, Any] | None = None

    @property
    def identity(self) -> list[Any]:
        """What the order depends on beside rows and seed; empty where all rows are drawn equally often."""
        return [self.shares, list(self.order.sizes)] if isinstance(self.order, MixtureOrder) else []

    def card(self, names: Sequence[str], excluded: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
        """The mixture's entry in the data card: each task's share, notes, the replay, and excluded (task, cluster)."""
        return {
            "shares": dict(zip(names, self.shares, strict=True)),
            "said": list(self.notes),
            **({"replay": dict(self.replay)} if self.replay else {}),
            "left_out": [{"task": name, "cluster": cluster} for name, cluster in excluded],
        }


def mix_tasks(recipe: Recipe, names: Sequence[str], train: Sequence[Sequence[Encoded]]) -> TaskMixture:
    """Compute the order of a recipe's training rows.

    Args:
        recipe: the recipe with its mixture, replay and seed.
        names: the names of all tasks.
        train: their training rows; none for tasks that are tested only.

    Raises:
        InputError: the mixture names a task that does not exist or omits one, or a replay cannot reach its share;
            InputErrors for several.
    """
    seed = recipe.tune.seed
    sizes = [len(rows) for rows in train]
    total = sum(sizes)
    if recipe.mixture is None and recipe.replay is None:
        return TaskMixture(EpochOrder(seed=seed, sizes=sizes), tuple(size / total for size in sizes), total)
    trained = {name: size for name, size in zip(names, sizes, strict=True) if size}
    tree, notes = _tree(recipe, trained, names)
    rate_of = {rate.name: rate for rate in task_shares(tree)}
    shares = [rate_of[name].share if name in rate_of else 0.0 for name in names]
    used = [rate_of[name].rows if name in rate_of else size for name, size in zip(names, sizes, strict=True)]
    epoch = sum(rate.rows for rate in rate_of.values())
    replay = None
    if recipe.replay is not None:
        shares, replay = _with_replay(recipe.replay, names, train, shares)
        epoch = round(epoch / (1 - replay["row_share"]))
    return TaskMixture(MixtureOrder(seed, used, shares, sizes), tuple(shares), epoch, notes, replay)


def check_replay_pool(recipe: Recipe, mixture: TaskMixture, rows: int) -> None:
    """Find out before the tuning that a replay's pool is too small.

    Args:
        recipe: the recipe.
        mixture: its mixture.
        rows: how many rows will be trained on.

    Raises:
        InputError: rows of the pool would repeat, and the recipe does not allow that.
    """
    if mixture.replay is None or recipe.replay is None or recipe.replay.repeat:
        return
    pool, needed = mixture.replay["pool"], round(rows * mixture.replay["row_share"])
    if needed > pool:
        raise InputError(
            "the replay's pool is too small",
            where="replay",
            found=f"{pool:,} rows in {recipe.replay.name}; "
            f"{needed:,} are needed for {recipe.replay.share:.1%} of the tokens",
            expected="as many rows as are replayed",
            fix=f"bring more rows, lower share to about {recipe.replay.share * pool / needed:.3f}, or write repeat: true",
        )


def rows_seen(mixture: TaskMixture, tasks: Sequence[EncodedTask], rows: int) -> dict[str, Any]:
    """Count what a training actually saw of each task, beside the share that was asked for.

    Args:
        mixture: the order of rows.
        tasks: all tasks' rows.
        rows: how many positions of the order were trained on.

    Returns:
        For each task with a share: that share (`asked`), rows, tokens, loss tokens, the most often that a single row came
        (`most`), and the same three counts by template and by style.
    """
    times: list[Counter[int]] = [Counter() for _ in tasks]
    for position in range(rows):
        task, row = mixture.order.at(position)[:2]
        times[task][row] += 1
    return {
        task.name: {"asked": share, **_counted(task, counts)}
        for task, share, counts in zip(tasks, mixture.shares, times, strict=True)
        if share
    }


def _counted(task: EncodedTask, times: Mapping[int, int]) -> dict[str, Any]:
    """What training saw of one task, where each of its rows came so many times."""
    totals = Counter(rows=0, tokens=0, loss_tokens=0)  # a short training may see no row of a task
    by_template: dict[str, Counter[str]] = defaultdict(Counter)
    by_style: dict[str, Counter[str]] = defaultdict(Counter)
    for index, (row, ids) in enumerate(zip(task.rows.train, task.train, strict=True)):
        if count := times.get(index, 0):
            tokens = len(ids.ids) + len(ids.source or ())
            counts = {"rows": count, "tokens": count * tokens, "loss_tokens": count * ids.n_loss}
            for counter in (totals, by_template[row.template], by_style[row.style]):
                counter.update(counts)
    return {
        **totals,
        "most": max(times.values(), default=0),
        "templates": {name: dict(counts) for name, counts in sorted(by_template.items())},
        "styles": {name: dict(counts) for name, counts in sorted(by_style.items())},
    }


def _check_replayed(name: str, trained: Mapping[str, int], names: Sequence[str]) -> None:
    if name not in trained or len(trained) < 2:
        close = nearest(name, list(trained))
        raise InputError(
            "no task of this name can be replayed",
            where="replay.from",
            found=name if name not in names else f"{name}, and nothing else is taught",
            expected="one of the tasks, beside at least one other: " + ", ".join(list(trained)[:8]),
            fix=f"did you mean {close}?"
            if close and close != name
            else "add the general data to tasks, and name it here",
        )


def _tree(recipe: Recipe, trained: Mapping[str, int], names: Sequence[str]) -> tuple[Mix, tuple[str, ...]]:
    """The recipe's mixture over its trained tasks without the replayed one, and notes on where a preset differs.

    Args:
        recipe: the recipe.
        trained: the trained tasks with their numbers of rows.
        names: the names of all tasks.
    """
    if recipe.replay is not None:
        _check_replayed(recipe.replay.name, trained, names)
        trained = {name: size for name, size in trained.items() if name != recipe.replay.name}
    mixture = recipe.mixture or block.Mixture()
    if not mixture.tasks and not mixture.parts:
        mixture = mixture.model_copy(update={"tasks": ("*",)})
    errors: list[InputError] = []
    builder = _TreeBuilder(trained, names, {}, errors)
    tree = builder.mix("mixture", mixture, "mixture")
    errors += [
        InputError(
            "a task is in no part of the mixture",
            where="mixture",
            found=name,
            expected="every task in one part",
            fix=f"add {name} to a part's tasks, or take the task out of the recipe",
        )
        for name in trained
        if name not in builder.part_of
    ]
    raise_all("mixture", errors)
    if mixture.preset is None:
        return tree, ()
    parts = {part.name: list(part.parts) for part in tree.parts if isinstance(part, Mix)}
    outside = [part.name for part in tree.parts if isinstance(part, TaskSize)]
    if outside:
        submixtures = preset(mixture.preset).submixtures
        raise InputError(
            "with a preset every task belongs to one of its submixtures",
            where="mixture.tasks",
            found=", ".join(outside[:8]),
            expected="parts: " + ", ".join(submixtures),
            fix="write  parts: {" + next(iter(submixtures)) + ": {tasks: [...]}}",
        )
    return preset(mixture.preset).mix(parts, where="mixture.parts")


@dataclass(frozen=True, slots=True)
class _TreeBuilder:
    """Builds the tree of mixes; `part_of` (a task's part of the recipe) and `errors` are filled on the way."""

    trained: Mapping[str, int]
    names: Sequence[str]
    part_of: dict[str, str]
    errors: list[InputError]

    def mix(self, name: str, part: block.Part, where: str) -> Mix:
        """A part of the recipe's mixture as a node of the tree."""
        children: list[TaskSize | Mix] = []
        for number, pattern in enumerate(part.tasks):
            children += self._tasks(pattern, where, f"{where}.tasks.{number}")
        for inner_name, inner in part.parts.items():
            child = self.mix(inner_name, inner, f"{where}.parts.{inner_name}")
            if child.parts:  # all tasks of a part may be held out
                children.append(child)
        weights = part.weights
        if weights is not None:
            present = {child.name for child in children}
            untrained = set(self.names) - set(self.trained) | set(part.parts)
            weights = {
                name: weight for name, weight in weights.items() if name in present or name not in untrained
            }
        return Mix(name, tuple(children), weights, part.cap, part.rate_maximum, part.temperature)

    def _tasks(self, pattern: str, part: str, where: str) -> Iterator[TaskSize]:
        """The trained tasks that a pattern names and that no earlier pattern of the part named."""
        matching = [name for name in self.names if fnmatchcase(name, pattern)]
        if not matching:
            self.errors.append(
                InputError(
                    "the mixture names a task that is not there",
                    where=where,
                    found=pattern,
                    expected=", ".join(self.names[:8]) + (", ..." if len(self.names) > 8 else ""),
                    fix=did_you_mean(pattern, self.names) or "name a task, or a pattern such as p3-*",
                )
            )
        for name in matching:
            if self.part_of.get(name, part) != part:
                self.errors.append(
                    InputError(
                        "a task is in two parts of the mixture",
                        where=where,
                        found=f"{name}, which is in {self.part_of[name]} too",
                        expected="every task in one part",
                        fix="make the pattern narrower",
                    )
                )
            elif name in self.trained and name not in self.part_of:
                self.part_of[name] = part
                yield TaskSize(name, self.trained[name])


def _with_replay(
    replay: block.Replay, names: Sequence[str], train: Sequence[Sequence[Encoded]], shares: Sequence[float]
) -> tuple[list[float], dict[str, Any]]:
    """All tasks' shares of rows, such that the replayed task has its share of tokens; and the replay's entry in the card.

    With mean lengths l of the replayed rows and m of the others, rows at a rate r give r l / (r l + (1 - r) m) of the tokens.
    """
    index, share = names.index(replay.name), replay.share
    lengths = [_mean_tokens(rows) for rows in train]
    others = sum(weight * length for weight, length in zip(shares, lengths, strict=True))
    rate = share * others / (share * others + (1 - share) * lengths[index])
    entry = {
        "from": replay.name,
        "token_share": share,
        "row_share": rate,
        "mean_tokens": {"replayed": round(lengths[index], 2), "others": round(others, 2)},
        "pool": len(train[index]),
        "repeat": replay.repeat,
    }
    return [rate if n == index else other * (1 - rate) for n, other in enumerate(shares)], entry


def _mean_tokens(rows: Sequence[Encoded]) -> float:
    return sum(len(row.ids) + len(row.source or ()) for row in rows) / len(rows) if rows else 0.0


def check_names(recipe: Recipe, names: Sequence[str], held_out: Collection[str]) -> None:
    """Find the mistakes of a mixture and a replay that the tasks' names alone show, before any row is read.

    Raises:
        InputError: as `mix_tasks`, except for what depends on numbers of rows; InputErrors for several.
    """
    if recipe.mixture is not None or recipe.replay is not None:
        task_shares(_tree(recipe, {name: 1 for name in names if name not in held_out}, names)[0])


def apply_preset(recipe: Recipe, tasks: Sequence[Task]) -> tuple[Task, ...]:
    """Give tasks the styles and the share of inverted rows of the recipe's preset; what a task states itself stays.

    Rows are inverted only where the task's kind has wordings for that.
    """
    if recipe.mixture is None or recipe.mixture.preset is None:
        return tuple(tasks)
    submixtures = preset(recipe.mixture.preset).submixtures
    submixture_of = {
        task.name: submixtures[name]
        for name, part in recipe.mixture.parts.items()
        if name in submixtures
        for task in tasks
        if any(fnmatchcase(task.name, pattern) for pattern in part.tasks)
    }
    return tuple(
        _in_submixture(task, submixture_of[task.name], recipe) if task.name in submixture_of else task
        for task in tasks
    )


def _in_submixture(task: Task, submixture: Submixture, recipe: Recipe) -> Task:
    changes: dict[str, Any] = {}
    if task.styles is None:
        changes["styles"] = dict(submixture.styles)
    if submixture.inversion and "inverted" not in task.model_fields_set and _can_be_inverted(task, recipe):
        changes["inverted"] = submixture.inverted
    return task.model_copy(update=changes)


def _can_be_inverted(task: Task, recipe: Recipe) -> bool:
    """Whether the task's kind has wordings that ask for the input."""
    return (
        task.template is not None
        and task.template not in templates.column_template_names()
        and bool(templates.find(task.template, root=recipe.root).kind.of_group("inverted"))
    )
