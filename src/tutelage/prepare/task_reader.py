"""Reads one task: its files read, each row rendered once, rows split, and exemplars put before them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache, partial

from tutelage import templates
from tutelage.config.schema import Recipe
from tutelage.config.task_block import Shots, Task
from tutelage.core.errors import InputError
from tutelage.core.serialization import EXAMPLE, PROMPTED
from tutelage.core.spill import select_rows, spill_rows
from tutelage.core.types import Example, Prompted
from tutelage.data import (
    DroppedRow,
    LoadedData,
    SourceFiles,
    Splits,
    read_all,
    split,
    too_many_dropped_error,
)
from tutelage.data.partition import SPLITS
from tutelage.metrics import Row, check_rows
from tutelage.prepare import column_use as column_use_of
from tutelage.prepare import styles
from tutelage.prepare.slice_columns import check_slices
from tutelage.prepare.split_choice import split_settings
from tutelage.prepare.styles import Template, in_form
from tutelage.prepare.task_rows import TaskRows, wording_counts
from tutelage.prepare.tasks import task_source
from tutelage.templates import LibraryTemplate


def read_task(recipe: Recipe, task: Task, files: SourceFiles, where: str, *, held_out: bool) -> TaskRows:
    """Read, render and split the rows of one task.

    Args:
        recipe: the recipe.
        task: one of its tasks.
        files: the task's data files.
        where: the task's place in the recipe, for errors.
        held_out: whether the test rows alone are returned.

    Raises:
        InputError: a row, a template or the split is wrong; InputErrors for several.
    """
    loaded = read_all(files)
    variant = partial(
        task.template_for, loaded.examples, where=where, root=recipe.root, default=loaded.template
    )
    template = variant()
    loaded, column_use = column_use_of.settle(task, template, loaded, where)
    usable, rendered = _render(task, template, loaded)
    splits = _split(recipe, task, template, usable.examples, where)
    variant = partial(
        task.template_for, usable.examples, where=where, root=recipe.root, default=loaded.template
    )
    rows = _rows_by_split(task, rendered, splits, template, variant)
    in_all_wordings = _in_all_wordings(task, splits, rows["train"], template, variant, where=where)
    if held_out:  # only now, as exemplars of test rows are training rows
        rows |= {"train": (), "validation": ()}
    _check_metrics(task, rows["test"], where)
    check_slices(task, rows["test"], where)
    wordings = {name: wording_counts(split_rows) for name, split_rows in rows.items()}
    several = any(set(counts) - {template.name} for counts in wordings.values())
    card = {
        "source": loaded.source,
        "rows": len(usable.examples),
        "splits": {name: len(split_rows) for name, split_rows in rows.items()},
        "repeated": dict(splits.repeated),
        "dropped": [{"where": row.where, "why": row.why} for row in usable.dropped],
        "near": dict(splits.near),
        "leaks": {"exact": list(splits.leaks), "near": list(splits.near_leaks)},
        "unused": splits.unused,
        **column_use.card(),
        **template.card(),
        **({"wordings": wordings} if several else {}),
    }
    content_fields = (*template.prompt_fields, *template.completion_fields)
    return TaskRows(
        task,
        rows["train"],
        rows["validation"],
        rows["test"],
        card,
        content_fields,
        held_out,
        in_all_wordings,
    )


def _render(task: Task, template: Template, loaded: LoadedData) -> tuple[LoadedData, Sequence[Prompted]]:
    """Render every row once, as it is tested; gives the data without the rows that cannot be rendered, and the rendered rows.

    Raises:
        InputError: a row cannot be rendered, or rows may be dropped and more than half of them would be; InputErrors for
            all rows that cannot be rendered.
    """
    examples = loaded.examples
    if task.data.on_bad_row == "stop":
        return loaded, template.render_all(examples, task.name)
    errors: dict[str, InputError] = {}

    def renderable() -> Iterator[Prompted]:
        for example in examples:
            try:
                yield template.render(example, task.name)
            except InputError as error:
                errors[str(example.origin)] = error

    rows = spill_rows(renderable(), PROMPTED)
    dropped = list(loaded.dropped)
    # Which type a field usually has is known only when the rows that cannot be rendered are gone.
    while bad := errors or {str(error.where): error for error in template.mixed_type_errors(examples)}:
        dropped += [DroppedRow.of(error) for error in bad.values()]
        examples = spill_rows((example for example in examples if str(example.origin) not in bad), EXAMPLE)
        rows = spill_rows((row for row in rows if str(row.origin) not in bad), PROMPTED)
        if len(dropped) > len(examples):
            file = str(loaded.source.get("file") or loaded.source.get("hub"))
            raise too_many_dropped_error(file, dropped, len(examples))
        errors = {}
    return replace(loaded, examples=examples, dropped=tuple(dropped)), rows


def _split(recipe: Recipe, task: Task, template: Template, examples: Sequence[Example], where: str) -> Splits:
    conversations = any("conversation" in row.fields and "history" in row.fields for row in examples[:1])
    settings = split_settings(task, examples)
    splits = split(
        examples,
        settings,
        prompt_fields=(*template.prompt_fields, *(["history"] if conversations else [])),
        completion_fields=template.completion_fields,
        # A later turn's history gives away an earlier answer.
        together="conversation" if conversations else None,
        where=f"{where}.split",
    )
    # A single test item has no interval. Rows that are only replayed need no test rows.
    tested = recipe.replay is None or recipe.replay.pool is None or recipe.replay.name != task.name
    if not splits.train or (len(splits.test) < 2 and (tested or splits.test)):
        raise InputError(
            f"the task {task.name} has too few {'training' if not splits.train else 'test'} rows",
            where=f"{where}.split",
            found=", ".join(f"{name}: {size}" for name, size in splits.sizes().items()),
            expected="at least one training row and two test rows",
            fix="change the shares of the split, or bring more rows",
        )
    return splits


def _rows_by_split(
    task: Task,
    rendered: Sequence[Prompted],
    splits: Splits,
    template: Template,
    variant: Callable[..., Template],
) -> dict[str, Sequence[Prompted]]:
    """The rows of each split, training rows in their styles, with exemplars before them.

    Args:
        task: the task.
        rendered: all rows as they are tested.
        splits: where each row belongs.
        template: the template that rendered them.
        variant: gives the template with options listed or not, or one of its wordings alone.

    Raises:
        InputError: exemplars are asked for, and a row is a turn of a conversation.
    """
    with_options = cache(lambda listed: variant(list_options=listed))
    rows: dict[str, Sequence[Prompted]] = {}
    few_shot: dict[str, Sequence[bool] | None] = {}
    for name in SPLITS:
        examples: Sequence[Example] = getattr(splits, name)
        split_rows = select_rows(rendered, splits.places[name])
        if task.styles and name != "test":
            split_rows, few_shot[name] = styles.apply_styles(
                examples, split_rows, task.styles, with_options, task=task.name, seed=task.wording_seed
            )
        else:
            if task.inverted and name == "train":
                split_rows = in_form(template, examples, split_rows, task.name, training=True)
            few_shot[name] = [False] * len(split_rows) if task.styles or task.shots is None else None
        source = task_source(task)
        rows[name] = spill_rows((replace(row, source=source) for row in split_rows), PROMPTED)
    if task.shots is None and not any(any(flags or ()) for flags in few_shot.values()):
        return rows
    for row in (row for split_rows in rows.values() for row in split_rows if row.history):
        raise InputError(
            "a conversation takes no exemplars: its own turns stand before each answer",
            where=str(row.origin),
            found=f"{len(row.history)} earlier messages",
            fix="leave shots and few-shot styles out of this task",
        )
    shots = task.shots or Shots()
    has_wordings = shots.same_template and isinstance(template, LibraryTemplate)
    one_wording = _one_wording(task, variant) if has_wordings else None
    return {
        name: styles.with_exemplars(
            split_rows, rows["train"], shots, few_shot=few_shot[name], one_wording=one_wording
        )
        for name, split_rows in rows.items()
    }


def _in_all_wordings(
    task: Task,
    splits: Splits,
    train: Sequence[Prompted],
    template: Template,
    variant: Callable[..., Template],
    *,
    where: str,
) -> dict[str, Sequence[Prompted]]:
    """The test and validation rows in each wording of the task's kind, as they are tested; none unless the task says so.

    Raises:
        InputError: there is one wording only.
    """
    if task.test_wordings == "one":
        return {}
    assert isinstance(template, LibraryTemplate)
    if len(template.wordings) < 2:
        raise InputError(
            f"{template.name} has one wording",
            where=f"{where}.test_wordings",
            found="all",
            expected="a kind with several wordings",
            fix=f"name the kind alone (template: {template.kind.name}), or remove test_wordings",
        )
    one_wording = _one_wording(task, variant)
    rows: dict[str, Sequence[Prompted]] = {}
    for name in ("validation", "test"):
        examples: Sequence[Example] = getattr(splits, name)
        worded = [
            replace(row, source=task_source(task))
            for wording in template.wordings
            for row in one_wording(f"{template.kind.name}/{wording.name}", None).render_all(
                examples, task.name
            )
        ]
        if task.shots is not None:
            same_template = one_wording if task.shots.same_template else None
            worded = list(styles.with_exemplars(worded, train, task.shots, one_wording=same_template))
        rows[name] = spill_rows(worded, PROMPTED)
    return rows


def _one_wording(task: Task, variant: Callable[..., Template]) -> Callable[[str, bool | None], Template]:
    """The task's template with a single wording, by the wording's name and whether options are listed (None: as the task says)."""
    assert task.template is not None
    kind = templates.kind_name(task.template)

    def single(name: str, listed: bool | None) -> Template:  # noqa: FBT001 - the two parts of a row's form
        return variant(list_options=listed, only_wording=f"{kind}/{name.partition('/')[2]}")

    return cache(single)


def _check_metrics(task: Task, test: Sequence[Prompted], where: str) -> None:
    """Find out before a model answers that a metric cannot read the test rows.

    Raises:
        InputError: with file and line of the first such row.
    """
    if task.plain_text:  # its metrics read what the model says of every text
        return
    rows = [Row("", row.references or (row.completion,), row.fields) for row in test]
    for index, metric in enumerate(task.metrics):
        try:
            check_rows([metric], rows)
        except InputError as error:
            number, _, rest = (error.where or "").removeprefix("row ").partition(", ")
            at = f"{test[int(number) - 1].origin}{', ' + rest if rest else ''}" if number.isdigit() else where
            raise InputError(
                error.problem,
                where=at,
                found=error.found,
                expected=error.expected,
                fix=error.fix or f"correct the row, or take the metric out of {where}.metrics.{index}",
            ) from None
