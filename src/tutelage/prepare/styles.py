"""FLAN's forms of training rows: with exemplars or without, answer options listed or not, each row in one of them.

Which form a row gets follows from what it says and a seed alone. Test rows are asked without exemplars, as the task's own
`options` say.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from tutelage.core import hashing
from tutelage.core.seeds import derive
from tutelage.core.serialization import PROMPTED
from tutelage.core.spill import kept, picked
from tutelage.core.types import Example, Prompted
from tutelage.mixture.presets import STYLES, Style
from tutelage.templates import LibraryTemplate, TaskTemplate, shots

Words = TaskTemplate | LibraryTemplate
ROWS = 1000
"""Rows that get their exemplars together."""
Listed = Callable[[bool], Words]
"""The task's template with the options listed in every prompt, or in none."""


def chosen(example: Example, styles: Mapping[Style, float], *, seed: int) -> Style:
    """The form of one row: a pure function of what it says."""
    names = [name for name in STYLES if styles.get(name)]
    ends = list(accumulate(styles[name] for name in names))
    point = derive(seed, "style", hashing.of_json(dict(example.fields))) / 2**63 * ends[-1]
    return next((name for name, end in zip(names, ends, strict=True) if point < end), names[-1])


def render(
    rows: Sequence[Example], styles: Mapping[Style, float], template: Listed, *, task: str, seed: int
) -> tuple[Sequence[Prompted], list[bool]]:
    """Put training rows into words, each in its form.

    Args:
        rows: the rows.
        styles: the forms, and what each is drawn in proportion to.
        template: the task's template with options listed or not.
        task: the task's name.
        seed: another seed gives the rows other forms.

    Returns:
        The rows in their order, and for each whether exemplars stand before it.

    Raises:
        InputError: as the template's `render_all`.
    """
    forms = [chosen(row, styles, seed=seed) for row in rows]
    listed = [form.endswith("options") for form in forms]
    made: dict[bool, Iterator[Prompted]] = {}
    for which in (False, True):
        places = [at for at, one in enumerate(listed) if one is which]
        if places:
            made[which] = iter(template(which).render_all(picked(rows, places), task, training=True))
    return kept((next(made[which]) for which in listed), PROMPTED), [
        form.startswith("few-shot") for form in forms
    ]


@dataclass(frozen=True, slots=True)
class Exemplars:
    """Which exemplars stand before a row.

    Attributes:
        count: how many, or how many at most.
        fixed: whether they are the same for the whole task.
        alike: whether they are worded as the row is: same template, options listed or not.
        seed: another seed chooses others.
    """

    count: int
    fixed: bool
    alike: bool
    seed: int


def with_exemplars(
    rows: Sequence[Prompted],
    train: Sequence[Prompted],
    asked: Exemplars,
    *,
    few: Sequence[bool] | None = None,
    worded: Callable[[str, bool], Words] | None = None,
) -> Sequence[Prompted]:
    """The rows with their exemplars before them.

    Args:
        rows: the rows.
        train: the task's training rows: exemplars come from nowhere else.
        asked: which exemplars.
        few: for each row whether it has any, from 1 up to the count; all have the count when not given.
        worded: the template of one wording, by its name and whether options are listed, where rows have several:
            exemplars that shall be alike are put into the row's own words.
    """

    def shown() -> Iterator[Prompted]:
        for start in range(0, len(rows), ROWS):
            some = rows[start : start + ROWS]
            yield from _shown(some, train, asked, few[start : start + ROWS] if few else None, worded)

    return kept(shown(), PROMPTED)


def _shown(
    rows: Sequence[Prompted],
    train: Sequence[Prompted],
    asked: Exemplars,
    few: Sequence[bool] | None,
    worded: Callable[[str, bool], Words] | None,
) -> Iterator[Prompted]:
    chosen: dict[int, tuple[Prompted, ...]] = {}
    for place, row in enumerate(rows):
        wanted = asked.count
        if few is not None:
            wanted = 1 + derive(asked.seed, "shots of", row.id) % asked.count if few[place] else 0
        if wanted:
            chosen[place] = shots.choose(train, row, wanted, fixed=asked.fixed, seed=asked.seed)
    if asked.alike and worded is not None:
        chosen = _alike(rows, chosen, worded)
    for place, row in enumerate(rows):
        if place in chosen:
            yield replace(row, history=shots.turns(chosen[place]), shots=len(chosen[place]))
        else:
            yield row


def _alike(
    rows: Sequence[Prompted],
    chosen: Mapping[int, Sequence[Prompted]],
    worded: Callable[[str, bool], Words],
) -> dict[int, tuple[Prompted, ...]]:
    """The exemplars in the words of the row that they stand before; each wording's are rendered together."""
    needed: dict[tuple[str, bool], dict[str, Prompted]] = defaultdict(dict)
    for place, exemplars in chosen.items():
        needed[_form(rows[place])].update((one.id, one) for one in exemplars)
    made: dict[tuple[str, bool, str], Prompted] = {}
    for (template, listed), shown in needed.items():
        examples = [Example(one.id, one.fields, one.origin, one.history) for one in shown.values()]
        for one in worded(template, listed).render_all(examples, rows[0].task):
            made[template, listed, one.id] = one
    return {
        place: tuple(made[*_form(rows[place]), one.id] for one in exemplars)
        for place, exemplars in chosen.items()
    }


def _form(row: Prompted) -> tuple[str, bool]:
    return row.template, row.listed
