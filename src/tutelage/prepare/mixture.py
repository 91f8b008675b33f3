"""A recipe's mixture over the rows that there are: the share of each task, the order of rows, and what was really seen."""

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
from tutelage.core.errors import InputError, nearest, raise_all
from tutelage.core.types import Encoded
from tutelage.mixture.mixed import MixedOrder
from tutelage.mixture.order import Order
from tutelage.mixture.presets import Submixture, preset
from tutelage.mixture.rates import Mix, Part, rates


@dataclass(frozen=True, slots=True)
class Mixed:
    """What is drawn from.

    Attributes:
        order: position to task and row.
        shares: how often each task comes, of all rows; 0 for those that are only asked.
        epoch: rows that count as once through everything.
        said: sentences on what differs from what was asked.
        replay: what is replayed, at which share of rows and of tokens; None when nothing is.
    """

    order: Order | MixedOrder
    shares: tuple[float, ...]
    epoch: int
    said: tuple[str, ...] = ()
    replay: Mapping[str, Any] | None = None

    @property
    def identity(self) -> list[Any]:
        """What the order depends on beside rows and seed; nothing where every row comes alike."""
        return [self.shares, list(self.order.sizes)] if isinstance(self.order, MixedOrder) else []

    def told(self, names: Sequence[str], left_out: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
        """The card's words: each task's share, what differs from what was asked, what is replayed or left out."""
        return {
            "shares": dict(zip(names, self.shares, strict=True)),
            "said": list(self.said),
            **({"replay": dict(self.replay)} if self.replay else {}),
            "left_out": [{"task": name, "cluster": cluster} for name, cluster in left_out],
        }


def mixed(recipe: Recipe, names: Sequence[str], train: Sequence[Sequence[Encoded]]) -> Mixed:
    """The order of a recipe's training rows.

    Args:
        recipe: its mixture, replay and seed.
        names: all tasks' names.
        train: their training rows, none for those that are only asked.

    Raises:
        InputError: the mixture names a task that is not there, or leaves one out; a replay cannot reach its share;
            InputErrors for several.
    """
    seed = recipe.tune.seed
    sizes = [len(rows) for rows in train]
    total = sum(sizes)
    if recipe.mixture is None and recipe.replay is None:
        return Mixed(Order(seed=seed, sizes=sizes), tuple(size / total for size in sizes), total)
    taught = {name: size for name, size in zip(names, sizes, strict=True) if size}
    replayed = _replayed(recipe, taught, names)
    kept = {name: size for name, size in taught.items() if name != replayed}
    tree, said = _tree(recipe.mixture or block.Mixture(), kept, names)
    found = {rate.name: rate for rate in rates(tree)}
    shares = [found[name].share if name in found else 0.0 for name in names]
    used = [found[name].rows if name in found else size for name, size in zip(names, sizes, strict=True)]
    epoch = sum(rate.rows for rate in found.values())
    told = None
    if recipe.replay is not None:
        told, epoch = _with_replay(recipe, list(names), train, shares, epoch)
    order = MixedOrder(seed, used, shares, sizes)
    return Mixed(order, tuple(shares), epoch, said, told)


def check_repeats(recipe: Recipe, mix: Mixed, rows: int) -> None:
    """Find out before the tuning that a replay's pool is too small for so many rows.

    Raises:
        InputError: its rows would come again, and that is not allowed.
    """
    if mix.replay is None or recipe.replay is None or recipe.replay.repeat:
        return
    pool, needed = mix.replay["pool"], round(rows * mix.replay["row_share"])
    if needed > pool:
        raise InputError(
            "the replay's pool is too small",
            where="replay",
            found=f"{pool:,} rows in {recipe.replay.name}; "
            f"{needed:,} are needed for {recipe.replay.share:.1%} of the tokens",
            expected="as many rows as are replayed",
            fix=f"bring more rows, lower share to about {recipe.replay.share * pool / needed:.3f}, or write repeat: true",
        )


def seen(
    mix: Mixed,
    names: Sequence[str],
    rows: int,
    train: Sequence[Sequence[Encoded]],
    forms: Sequence[Sequence[tuple[str, str]]],
) -> dict[str, Any]:
    """What a training really saw of each task, beside what was asked.

    Args:
        mix: the order of rows.
        names: all tasks' names.
        rows: how many positions were trained on.
        train: all tasks' rows.
        forms: for each of them its template and its style.

    Returns:
        By task the share of rows asked, rows, tokens, loss tokens, the most often that a row came (`most`), and the same
        three by template and by style. Tasks that are only asked are not there.
    """
    times: list[Counter[int]] = [Counter() for _ in train]
    for position in range(rows):
        task, row = mix.order.at(position)[:2]
        times[task][row] += 1
    return {
        name: {"asked": share, **_counted(times[place], train[place], forms[place])}
        for place, (name, share) in enumerate(zip(names, mix.shares, strict=True))
        if share
    }


def _counted(
    times: Mapping[int, int], rows: Sequence[Encoded], forms: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    whole: Counter[str] = Counter()
    split: tuple[dict[str, Counter[str]], ...] = (defaultdict(Counter), defaultdict(Counter))
    for row, count in times.items():
        one = rows[row]
        tokens = len(one.ids) + len(one.source or ())
        told = {"rows": count, "tokens": count * tokens, "loss_tokens": count * one.n_loss}
        for counter in (whole, *(part[name] for part, name in zip(split, forms[row], strict=True))):
            counter.update(told)
    templates, styles = ({name: dict(part[name]) for name in sorted(part)} for part in split)
    most = max(times.values(), default=0)
    return {**dict(whole), "most": most, "templates": templates, "styles": styles}


def _replayed(recipe: Recipe, taught: Mapping[str, int], names: Sequence[str]) -> str | None:
    if recipe.replay is None:
        return None
    name = recipe.replay.name
    if name not in taught or len(taught) < 2:
        close = nearest(name, list(taught))
        raise InputError(
            "no task of this name can be replayed",
            where="replay.from",
            found=name if name not in names else f"{name}, and nothing else is taught",
            expected="one of the tasks, beside at least one other: " + ", ".join(list(taught)[:8]),
            fix=f"did you mean {close}?"
            if close and close != name
            else "add the general data to tasks, and name it here",
        )
    return name


def _tree(
    asked: block.Mixture, taught: Mapping[str, int], names: Sequence[str]
) -> tuple[Mix, tuple[str, ...]]:
    """The recipe's mixture over the tasks that are taught."""
    taken: dict[str, str] = {}
    errors: list[InputError] = []
    if not asked.tasks and not asked.parts:
        asked = asked.model_copy(update={"tasks": ("*",)})
    builder = _Builder(taught, names, taken, errors)
    tree = builder.mix("mixture", asked, "mixture")
    for name in [one for one in taught if one not in taken]:
        errors.append(
            InputError(
                "a task is in no part of the mixture",
                where="mixture",
                found=name,
                expected="every task in one part",
                fix=f"add {name} to a part's tasks, or take the task out of the recipe",
            )
        )
    raise_all("mixture", errors)
    if asked.preset is None:
        return tree, ()
    parts = {part.name: list(part.parts) for part in tree.parts if isinstance(part, Mix)}
    loose = [part.name for part in tree.parts if isinstance(part, Part)]
    if loose:
        raise InputError(
            "with a preset every task belongs to one of its submixtures",
            where="mixture.tasks",
            found=", ".join(loose[:8]),
            expected="parts: " + ", ".join(preset(asked.preset).submixtures),
            fix="write  parts: {" + next(iter(preset(asked.preset).submixtures)) + ": {tasks: [...]}}",
        )
    return preset(asked.preset).mix(parts, where="mixture.parts")


@dataclass(frozen=True, slots=True)
class _Builder:
    """Makes the tree of mixes; `taken` and `errors` are filled on the way."""

    taught: Mapping[str, int]
    names: Sequence[str]
    taken: dict[str, str]
    errors: list[InputError]

    def mix(self, name: str, part: block.Part, where: str) -> Mix:
        found: list[Part | Mix] = []
        for place, pattern in enumerate(part.tasks):
            found += self._tasks(pattern, where, f"{where}.tasks.{place}")
        for inner, told in part.parts.items():
            made = self.mix(inner, told, f"{where}.parts.{inner}")
            if made.parts:  # all of a part may be held out
                found.append(made)
        weights = part.weights
        if weights is not None:
            there = {one.name for one in found}
            only_asked = set(self.names) - set(self.taught) | set(part.parts)
            weights = {
                one: weight for one, weight in weights.items() if one in there or one not in only_asked
            }
        return Mix(name, tuple(found), weights, part.cap, part.rate_maximum, part.temperature)

    def _tasks(self, pattern: str, part: str, where: str) -> Iterator[Part]:
        fitting = [one for one in self.names if fnmatchcase(one, pattern)]
        if not fitting:
            close = nearest(pattern, list(self.names))
            self.errors.append(
                InputError(
                    "the mixture names a task that is not there",
                    where=where,
                    found=pattern,
                    expected=", ".join(self.names[:8]) + (", ..." if len(self.names) > 8 else ""),
                    fix=f"did you mean {close}?" if close else "name a task, or a pattern such as p3-*",
                )
            )
        for one in fitting:
            if self.taken.get(one, part) != part:
                self.errors.append(
                    InputError(
                        "a task is in two parts of the mixture",
                        where=where,
                        found=f"{one}, which is in {self.taken[one]} too",
                        expected="every task in one part",
                        fix="make the pattern narrower",
                    )
                )
            elif one in self.taught and one not in self.taken:
                self.taken[one] = part
                yield Part(one, self.taught[one])


def _with_replay(
    recipe: Recipe, names: list[str], train: Sequence[Sequence[Encoded]], shares: list[float], epoch: int
) -> tuple[dict[str, Any], int]:
    """Put the replay's row share into `shares`, so that its tokens have the share that is asked.

    With mean lengths l of the replayed rows and m of the others, rows at a rate r give r l / (r l + (1 - r) m) of the tokens.
    """
    assert recipe.replay is not None
    place, share = names.index(recipe.replay.name), recipe.replay.share
    lengths = [_mean(rows) for rows in train]
    others = sum(s * length for s, length in zip(shares, lengths, strict=True))
    rate = share * others / (share * others + (1 - share) * lengths[place])
    for index in range(len(shares)):
        shares[index] *= 1 - rate
    shares[place] = rate
    told = {
        "from": recipe.replay.name,
        "token_share": share,
        "row_share": rate,
        "mean_tokens": {"replayed": round(lengths[place], 2), "others": round(others, 2)},
        "pool": len(train[place]),
        "repeat": recipe.replay.repeat,
    }
    return told, round(epoch / (1 - rate))


def _mean(rows: Sequence[Encoded]) -> float:
    return sum(len(row.ids) + len(row.source or ()) for row in rows) / len(rows) if rows else 0.0


def check_names(recipe: Recipe, names: Sequence[str], held_out: Collection[str]) -> None:
    """Find the mistakes of a mixture and a replay that the tasks' names alone show, before any row is read.

    Raises:
        InputError: as `mixed`, but for what depends on numbers of rows; InputErrors for several.
    """
    if recipe.mixture is None and recipe.replay is None:
        return
    taught = {name: 1 for name in names if name not in held_out}
    replayed = _replayed(recipe, taught, names)
    kept = {name: size for name, size in taught.items() if name != replayed}
    rates(_tree(recipe.mixture or block.Mixture(), kept, names)[0])


def submixtures(recipe: Recipe, tasks: Sequence[Task]) -> dict[str, Submixture]:
    """The submixture of the recipe's preset that each task belongs to, by the tasks' names."""
    if recipe.mixture is None or recipe.mixture.preset is None:
        return {}
    known = preset(recipe.mixture.preset).submixtures
    return {
        task.name: known[part]
        for part, told in recipe.mixture.parts.items()
        if part in known
        for task in tasks
        if any(fnmatchcase(task.name, pattern) for pattern in told.tasks)
    }


def as_preset(recipe: Recipe, tasks: Sequence[Task]) -> tuple[Task, ...]:
    """The tasks with the forms of rows, and the share of turned ones, of the preset; what a task says itself stays.

    Rows are turned around only where the task's kind has wordings for that.
    """
    of = submixtures(recipe, tasks)
    found = []
    for task in tasks:
        said = of.get(task.name)
        changes: dict[str, Any] = {}
        if said is not None and task.styles is None:
            changes["styles"] = dict(said.styles)
        if (
            said is not None
            and said.inversion
            and "inverted" not in task.model_fields_set
            and _turns(task, recipe)
        ):
            changes["inverted"] = said.inverted
        found.append(task.model_copy(update=changes) if changes else task)
    return tuple(found)


def _turns(task: Task, recipe: Recipe) -> bool:
    """Whether the task is of a kind that can be turned around."""
    if task.template is None or task.template in templates.names():
        return False
    return bool(templates.find(task.template, root=recipe.root).kind.of_group("inverted"))
