"""Published mixtures by name: the composition of FLAN 2021 and the Flan Collection, as data (`presets.yaml`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args

from tutelage.core import yamltext
from tutelage.core.errors import InputError, raise_all
from tutelage.core.suggestions import unknown_name
from tutelage.mixture.rates import Mix, TaskSize

Style = Literal["zero-shot-options", "few-shot-options", "zero-shot", "few-shot"]
"""The style of a row: with or without exemplars, with or without listed answer options."""
STYLES: tuple[Style, ...] = get_args(Style)


@dataclass(frozen=True, slots=True)
class Submixture:
    """One of the submixtures of a preset.

    Attributes:
        name: its name.
        weight: its share of the preset.
        cap: the maximum number of rows used of a task.
        rate_maximum: the maximum number of rows that counts for a task's rate; None if only the cap bounds it.
        styles: the share of each style; they add up to 1.
        inversion: the weight of inverted rows against 1 for plain ones; 0 if there are none.
    """

    name: str
    weight: float
    cap: int
    rate_maximum: float | None
    styles: Mapping[Style, float]
    inversion: float

    @property
    def inverted(self) -> float:
        """The share of inverted rows."""
        return self.inversion / (1 + self.inversion)


@dataclass(frozen=True, slots=True)
class Preset:
    """A published mixture; `source` cites where its numbers are published."""

    name: str
    title: str
    source: str
    submixtures: Mapping[str, Submixture]

    def mix(
        self, tasks: Mapping[str, Sequence[TaskSize | Mix]], *, where: str = "mixture"
    ) -> tuple[Mix, tuple[str, ...]]:
        """The preset's mix over the recipe's tasks.

        Args:
            tasks: the tasks of each submixture.
            where: the place in the recipe, for errors.

        Returns:
            The mix, and sentences on how it differs from the published one: the weights of submixtures without tasks are divided
            among the others in proportion.

        Raises:
            InputError: no such submixture, or no task at all; InputErrors for several.
        """
        errors = [
            unknown_name("there is no such submixture", name, self.submixtures, where=f"{where}.{name}")
            for name in tasks
            if name not in self.submixtures
        ]
        raise_all(where, errors)
        present = [submixture for name, submixture in self.submixtures.items() if tasks.get(name)]
        if not present:
            raise InputError(
                f"no task belongs to {self.title}",
                where=where,
                found="no tasks",
                expected="tasks in one or more of " + ", ".join(self.submixtures),
                fix="say for each task which submixture it belongs to",
            )
        total = sum(submixture.weight for submixture in present)
        weights = {submixture.name: submixture.weight / total for submixture in present}
        parts = [
            Mix(submixture.name, tuple(tasks[submixture.name]), None, submixture.cap, submixture.rate_maximum)
            for submixture in present
        ]
        return Mix(self.name, tuple(parts), weights), self._differences(weights)

    def _differences(self, weights: Mapping[str, float]) -> tuple[str, ...]:
        missing = [submixture for submixture in self.submixtures.values() if submixture.name not in weights]
        if not missing:
            return ()
        preset_names = [submixture.name for submixture in missing]
        missing_list = (
            preset_names[0]
            if len(preset_names) == 1
            else ", ".join(preset_names[:-1]) + " and " + preset_names[-1]
        )
        missing_share = _percent(sum(submixture.weight for submixture in missing))
        new_weights = ", ".join(f"{name} {_percent(weight)}" for name, weight in weights.items())
        is_are, its = ("is", "its") if len(missing) == 1 else ("are", "their")
        return (
            f"{missing_list} {is_are} not in this recipe: {its} {missing_share} of {self.title} went to the others in proportion, now {new_weights}",
        )


def preset(name: str, *, where: str = "mixture.preset") -> Preset:
    """A published mixture by name. Raises InputError, with the nearest name, if there is none."""
    if name not in load_presets():
        raise unknown_name("there is no such preset", name, load_presets(), where=where)
    return load_presets()[name]


@cache
def load_presets() -> dict[str, Preset]:
    """The published mixtures by name, sorted."""
    raw: dict[str, dict[str, Any]] = yamltext.table("tutelage.mixture", "presets.yaml")
    return {
        name: Preset(
            name,
            entry["title"],
            entry["source"],
            {
                part: _to_submixture(part, submixture_entry)
                for part, submixture_entry in entry["submixtures"].items()
            },
        )
        for name, entry in sorted(raw.items())
    }


def _to_submixture(name: str, entry: dict[str, Any]) -> Submixture:
    styles = entry["styles"]
    total = sum(styles.values())
    shares = {style: styles[style] / total for style in STYLES if style in styles}
    return Submixture(
        name, entry["weight"], entry["cap"], entry.get("rate_maximum"), shares, entry.get("inversion", 0.0)
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %".replace(".0 %", " %")
