"""FLAN's styles of training rows: with or without exemplars, with or without the answer options listed.

A row's style is a pure function of its content and a seed. Test rows have no exemplars, and their options are listed as the
task's own `options` says.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate, chain

from tutelage.config.task_block import Shots
from tutelage.core import hashing
from tutelage.core.seeds import derive
from tutelage.core.serialization import PROMPTED
from tutelage.core.spill import select_rows, spill_rows
from tutelage.core.types import Example, Prompted
from tutelage.mixture.presets import STYLES, Style
from tutelage.templates import LibraryTemplate, TaskTemplate
from tutelage.templates.exemplars import choose_exemplars, exemplar_turns

Template = TaskTemplate | LibraryTemplate
BATCH = 1000
"""Rows that get their exemplars together."""


def style_of(example: Example, weights: Mapping[Style, float], *, seed: int) -> Style:
    """The style of a row, drawn in proportion to the weights: a pure function of its fields and the seed."""
    names = [name for name in STYLES if weights.get(name)]
    ends = list(accumulate(weights[name] for name in names))
    point = derive(seed, "style", hashing.of_json(dict(example.fields))) / 2**63 * ends[-1]
    return next((name for name, end in zip(names, ends, strict=True) if point < end), names[-1])


def apply_styles(
    examples: Sequence[Example],
    rows: Sequence[Prompted],
    weights: Mapping[Style, float],
    template: Callable[[bool], Template],
    *,
    task: str,
    seed: int,
) -> tuple[Sequence[Prompted], list[bool]]:
    """Give training rows their styles.

    Args:
        examples: the rows as they were read.
        rows: the same rows, rendered as they are tested.
        weights: the styles, and what each is drawn in proportion to.
        template: the task's template with options listed (True) or not.
        task: the task's name.
        seed: another seed gives the rows other styles.

    Returns:
        The rows, and for each whether exemplars are to stand before it.

    Raises:
        InputError: as the template's `render_all`.
    """
    styles = [style_of(example, weights, seed=seed) for example in examples]
    listed = [style.endswith("options") for style in styles]
    rendered: dict[bool, Iterator[Prompted]] = {}
    for listing in (False, True):
        indices = [index for index, flag in enumerate(listed) if flag is listing]
        if indices:
            group = select_rows(examples, indices), select_rows(rows, indices)
            rendered[listing] = iter(in_form(template(listing), *group, task, training=True))
    in_order = spill_rows((next(rendered[listing]) for listing in listed), PROMPTED)
    return in_order, [style.startswith("few-shot") for style in styles]


def in_form(
    template: Template, examples: Sequence[Example], rows: Sequence[Prompted], task: str, *, training: bool
) -> Sequence[Prompted]:
    """The rows as a template words them, where only rows of another wording are rendered.

    Args:
        template: the template.
        examples: the rows as they were read.
        rows: the same rows, rendered by any variant of the template.
        task: the task's name.
        training: whether some rows may be turned around, as in training.

    Raises:
        InputError: as the template's `render_all`.
    """
    stale = [
        template.form_of(example, training=training) != _form(row)
        for example, row in zip(examples, rows, strict=True)
    ]
    indices = [index for index, flag in enumerate(stale) if flag]
    if not indices:
        return rows
    rendered = iter(template.render_all(select_rows(examples, indices), task, training=training))
    return spill_rows(
        (next(rendered) if flag else row for flag, row in zip(stale, rows, strict=True)), PROMPTED
    )


def with_exemplars(
    rows: Sequence[Prompted],
    train: Sequence[Prompted],
    shots: Shots,
    *,
    few_shot: Sequence[bool] | None = None,
    one_wording: Callable[[str, bool], Template] | None = None,
) -> Sequence[Prompted]:
    """The rows with exemplars as turns before them.

    Args:
        rows: the rows.
        train: the task's training rows, the only source of exemplars.
        shots: which exemplars; their `count` is the maximum in rows of few-shot styles.
        few_shot: for each row whether it has any (from 1 to the count); when not given, each row has the count.
        one_wording: the template of a single wording, by its name and whether options are listed; given where exemplars are to
            have the row's own wording among several.
    """
    batches = (
        _batch_with_exemplars(
            rows[start : start + BATCH],
            train,
            shots,
            few_shot[start : start + BATCH] if few_shot else None,
            one_wording,
        )
        for start in range(0, len(rows), BATCH)
    )
    return spill_rows(chain.from_iterable(batches), PROMPTED)


def _batch_with_exemplars(
    rows: Sequence[Prompted],
    train: Sequence[Prompted],
    shots: Shots,
    few_shot: Sequence[bool] | None,
    one_wording: Callable[[str, bool], Template] | None,
) -> Iterator[Prompted]:
    chosen: dict[int, tuple[Prompted, ...]] = {}
    for index, row in enumerate(rows):
        count = shots.count
        if few_shot is not None:
            count = 1 + derive(shots.seed, "shots of", row.id) % count if few_shot[index] else 0
        if count:
            fixed = shots.sampled_per == "task"
            chosen[index] = choose_exemplars(train, row, count, fixed=fixed, seed=shots.seed)
    if one_wording is not None:
        chosen = _in_wording_of_rows(rows, chosen, one_wording)
    for index, row in enumerate(rows):
        if index in chosen:
            yield replace(row, history=exemplar_turns(chosen[index]), shots=len(chosen[index]))
        else:
            yield row


def _in_wording_of_rows(
    rows: Sequence[Prompted],
    chosen: Mapping[int, Sequence[Prompted]],
    one_wording: Callable[[str, bool], Template],
) -> dict[int, tuple[Prompted, ...]]:
    """The exemplars in the wording of the row that they precede; those of one wording are rendered together."""
    missing: dict[tuple[str, bool], dict[str, Prompted]] = defaultdict(dict)
    for index, exemplars in chosen.items():
        form = _form(rows[index])
        missing[form].update((row.id, row) for row in exemplars if _form(row) != form)
    rendered: dict[tuple[str, bool, str], Prompted] = {}
    for (wording, listed), by_id in missing.items():
        if by_id:
            examples = [Example(row.id, row.fields, row.origin, row.history) for row in by_id.values()]
            for row in one_wording(wording, listed).render_all(examples, rows[0].task):
                rendered[wording, listed, row.id] = row
    return {
        index: tuple(rendered.get((*_form(rows[index]), row.id), row) for row in exemplars)
        for index, exemplars in chosen.items()
    }


def _form(row: Prompted) -> tuple[str, bool]:
    return row.template, row.listed
