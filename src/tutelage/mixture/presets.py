"""Published mixtures by name: what FLAN 2021 and the Flan Collection are mixed of, as data (`presets.yaml`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args

from tutelage.core import yamltext
from tutelage.core.errors import InputError, raise_all
from tutelage.core.suggestions import did_you_mean
from tutelage.mixture.rates import Mix, Part

Style = Literal["zero-shot-options", "few-shot-options", "zero-shot", "few-shot"]
"""In what form rows come: with exemplars or without, answer options listed or not."""
STYLES: tuple[Style, ...] = get_args(Style)


@dataclass(frozen=True, slots=True)
class Submixture:
    """One of the mixes that a preset is made of.

    Attributes:
        name: what it is called.
        weight: its share of the preset.
        cap: how many rows of a task are used at all.
        rate_maximum: the most that a task's rows count for its rate; None where the cap is the only bound.
        styles: the share of each form; they add up to 1.
        inversion: what turned rows count, against 1 for plain ones; 0 where there are none.
    """

    name: str
    weight: float
    cap: int
    rate_maximum: float | None
    styles: Mapping[Style, float]
    inversion: float

    @property
    def inverted(self) -> float:
        """The share of rows that are turned around."""
        return self.inversion / (1 + self.inversion)


@dataclass(frozen=True, slots=True)
class Preset:
    """A published mixture; `source` says where each number stands."""

    name: str
    title: str
    source: str
    submixtures: Mapping[str, Submixture]

    def mix(
        self, tasks: Mapping[str, Sequence[Part | Mix]], *, where: str = "mixture"
    ) -> tuple[Mix, tuple[str, ...]]:
        """The preset over the tasks that are there.

        Args:
            tasks: by submixture the tasks that belong to it.
            where: the place in the recipe, for errors.

        Returns:
            The mix, and sentences on where it differs from the published one: weights of submixtures without tasks are
            divided among the others in proportion.

        Raises:
            InputError: no such submixture, or no task at all; InputErrors for several.
        """
        errors = [_unknown("submixture", name, f"{where}.{name}", list(self.submixtures)) for name in tasks]
        raise_all(where, [error for error in errors if error is not None])
        there = [one for name, one in self.submixtures.items() if tasks.get(name)]
        if not there:
            raise InputError(
                f"no task belongs to {self.title}",
                where=where,
                found="no tasks",
                expected="tasks in one or more of " + ", ".join(self.submixtures),
                fix="say for each task which submixture it belongs to",
            )
        total = sum(one.weight for one in there)
        weights = {one.name: one.weight / total for one in there}
        parts = [Mix(one.name, tuple(tasks[one.name]), None, one.cap, one.rate_maximum) for one in there]
        return Mix(self.name, tuple(parts), weights), self._said(weights)

    def _said(self, weights: Mapping[str, float]) -> tuple[str, ...]:
        gone = [one for one in self.submixtures.values() if one.name not in weights]
        if not gone:
            return ()
        names = [one.name for one in gone]
        listed = names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
        lost = _percent(sum(one.weight for one in gone))
        now = ", ".join(f"{name} {_percent(weight)}" for name, weight in weights.items())
        is_are, its = ("is", "its") if len(gone) == 1 else ("are", "their")
        return (
            f"{listed} {is_are} not in this recipe: {its} {lost} of {self.title} went to the others in proportion, now {now}",
        )


def names() -> list[str]:
    """The presets' names, sorted."""
    return sorted(_presets())


def preset(name: str, *, where: str = "mixture.preset") -> Preset:
    """A published mixture. Raises InputError, with the nearest name, when there is none of that name."""
    error = _unknown("preset", name, where, names())
    if error is not None:
        raise error
    return _presets()[name]


@cache
def _presets() -> dict[str, Preset]:
    read: dict[str, dict[str, Any]] = yamltext.table("tutelage.mixture", "presets.yaml")
    return {
        name: Preset(
            name,
            said["title"],
            said["source"],
            {part: _submixture(part, told) for part, told in said["submixtures"].items()},
        )
        for name, said in read.items()
    }


def _submixture(name: str, said: dict[str, Any]) -> Submixture:
    styles = said["styles"]
    total = sum(styles.values())
    shares = {style: styles[style] / total for style in STYLES if style in styles}
    return Submixture(
        name, said["weight"], said["cap"], said.get("rate_maximum"), shares, said.get("inversion", 0.0)
    )


def _unknown(what: str, name: str, where: str, known: Sequence[str]) -> InputError | None:
    if name in known:
        return None
    return InputError(
        f"there is no such {what}",
        where=where,
        found=name,
        expected=", ".join(known),
        fix=did_you_mean(name, known) or "take one of these",
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %".replace(".0 %", " %")
