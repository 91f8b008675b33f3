"""Inspects a recipe before anything is trained: every row read and encoded as for training, no weights loaded."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

from tutelage.config.identity import run_folder
from tutelage.config.schema import Recipe
from tutelage.core.errors import InputError
from tutelage.core.types import Example, Prompted, Split
from tutelage.data.splits import content_key
from tutelage.inspection import test_set_access
from tutelage.inspection.answer_findings import of_answers
from tutelage.inspection.checks import Checks, leaks_of, repeats, trained_prompt
from tutelage.models import LoadedTokenizer, ModelSource, load_tokenizer, resolve
from tutelage.prepare import template_clock
from tutelage.prepare.card import token_texts
from tutelage.prepare.encoding import EncodedTask
from tutelage.prepare.preparation import Prepared, encoder_of, prepare
from tutelage.prepare.reader import read_rows
from tutelage.prepare.task_rows import RecipeRows, TaskRows
from tutelage.report.inspection import Finding, InspectedRow, InspectedTask, Inspection, Token, TruncatedText
from tutelage.tokens import chat_encoding
from tutelage.tokens.encoder import Encoder

LEVELS = ("error", "warning", "note")
SPLITS: tuple[Split, ...] = get_args(Split)
RunCheck = Callable[[Recipe, Prepared, ModelSource, LoadedTokenizer, Path | None], None]
"""Raises what a run refuses."""
NamedRow = tuple[Split, Prompted]
"""A row with its split."""


@dataclass(frozen=True, slots=True)
class RowSelection:
    """Which rows to show with their tokens.

    Attributes:
        names: the names of the rows; when empty, the first rows of each task are shown. A truncated training row, if there
            is one, is among them.
        count: how many of each task, without names.
        split: the split that they come from, without names.
        early: whether test rows may be shown before the recipe's tuning has ended; that is recorded.
    """

    names: Sequence[str] = ()
    count: int = 3
    split: Split = "train"
    early: bool = False


def inspect(
    recipe: Recipe,
    *,
    data_dir: Path | None = None,
    selection: RowSelection | None = None,
    say: Callable[[str], None] = lambda _: None,
    run_check: RunCheck | None = None,
) -> Inspection:
    """Read, split and encode a recipe's rows as training would, and look for silent mistakes.

    Args:
        recipe: from `tutelage.config.load`. Leaks of a split by column or field are shown instead of refused.
        data_dir: the folder of `local` data files.
        selection: which rows are shown with their tokens; the first three training rows of each task by default.
        say: takes a line about each thing that takes long.
        run_check: raises what a run refuses beside the rows; its errors become findings. None looks at the rows only.

    Raises:
        InputError: the recipe's data, template or model is wrong, no row has a given name, or it is a test row and the tuning
            has not ended.
        MachineError: the model has to be fetched and cannot be.
    """
    selection = selection or RowSelection()
    for note in recipe.notes:
        say(note)
    if recipe.protect is not None and recipe.protect.self_replay is not None:
        say("self-replay: the base's own answers are mixed in by the run, and are not shown here")
    rows = read_rows(_showing_leaks(recipe), data_dir)
    named = _rows_by_task(rows, selection.names)
    clock = template_clock.clock_for(run_folder(recipe).path, day=recipe.date)
    source = resolve(recipe.model, say=say)
    tokenizer = load_tokenizer(source, chat_template=recipe.template_text(), clock=clock)
    encoder = encoder_of(recipe, tokenizer)
    prepared = prepare(recipe, rows, tokenizer)
    selected = named if selection.names else [_first_rows(task, selection) for task in prepared.tasks]
    test_rows = [row for task_rows in selected for split, row in task_rows if split == "test"]
    test_set_access.record_look(recipe, test_rows, early=selection.early)
    checks = Checks(tokenizer, encoder)
    findings = [
        *checks.of_model(),
        *(finding for task in prepared.tasks for finding in checks.of_task(task.rows, task.train)),
        *(finding for task in prepared.tasks for finding in of_answers(task, encoder)),
        *(
            ()
            if run_check is None
            else _refusals(partial(run_check, recipe, prepared, source, tokenizer, data_dir))
        ),
    ]
    findings = [_as_run_refuses(finding, recipe) for finding in findings]
    own_template = None if tokenizer.chat_template is None else "the model's own"
    return Inspection(
        recipe=recipe.name,
        model=recipe.model,
        chat_template=recipe.chat_template or own_template,
        template_text=tokenizer.chat_template,
        max_length=encoder.max_length,
        epochs=recipe.tune.epochs,
        tasks=tuple(
            _inspected_task(
                task, share, prepared, [_inspected_row(encoder, task.rows, *row) for row in task_rows]
            )
            for task, share, task_rows in zip(prepared.tasks, prepared.mixture.shares, selected, strict=True)
        ),
        findings=tuple(sorted(findings, key=lambda finding: LEVELS.index(finding.level))),
    )


def _refusals(check: Callable[[], None]) -> list[Finding]:
    """What a check refuses, as findings."""
    try:
        check()
    except InputError as refusal:
        return [
            Finding(
                kind="run-refuses",
                level="error",
                problem=error.problem,
                where=error.where or "the recipe",
                found=error.found or "",
                expected=error.expected or "",
                why="`run` refuses it",
                fix=error.fix or "",
            )
            for error in refusal.mistakes
        ]
    return []


def _as_run_refuses(finding: Finding, recipe: Recipe) -> Finding:
    """The finding as an error where it is a leak that a run refuses."""
    refused = {f"tasks.{task.name}" for task in recipe.tasks if task.split.leaks == "refuse"}
    return (
        replace(finding, level="error") if finding.kind == "leaks" and finding.where in refused else finding
    )


def _showing_leaks(recipe: Recipe) -> Recipe:
    """The recipe with leaks counted instead of refused, so that they can be shown."""
    tasks = tuple(
        task.model_copy(update={"split": task.split.model_copy(update={"leaks": "count"})})
        if task.split.leaks == "refuse"
        else task
        for task in recipe.tasks
    )
    return recipe.model_copy(update={"tasks": tasks})


def _first_rows(task: EncodedTask, selection: RowSelection) -> list[NamedRow]:
    """A task's first rows of the selected split; a truncated training row takes the last place if none is among them."""
    rows = list(getattr(task.rows, selection.split)[: selection.count])
    if selection.split == "train" and selection.count > 1:
        truncated = next((index for index, ids in enumerate(task.train) if ids.dropped), 0)
        if truncated >= selection.count:
            rows[-1] = task.rows.train[truncated]
    return [(selection.split, row) for row in rows]


def _rows_by_task(rows: RecipeRows, names: Sequence[str]) -> list[list[NamedRow]]:
    """For each task its rows that have one of the names, in the order of the names."""
    selected: dict[str, list[NamedRow]] = {task.name: [] for task in rows.tasks}
    index = _index(rows) if names else {}
    for name in names:
        if name not in index:
            raise _no_row(name, index, rows)
        for task, row in index[name]:
            if row not in selected[task]:
                selected[task].append(row)
    return list(selected.values())


def _index(rows: RecipeRows) -> Mapping[str, list[tuple[str, NamedRow]]]:
    """Rows with their tasks by all their names: file:line, the row's own field `id`, and both behind the task's name."""
    index: dict[str, list[tuple[str, NamedRow]]] = defaultdict(list)
    for task in rows.tasks:
        for split in SPLITS:
            for row in getattr(task, split):
                id_ = row.fields.get("id")
                names = {row.id, str(row.origin), *([str(id_)] if isinstance(id_, str | int) else [])}
                for name in names | {f"{task.name}:{name}" for name in names}:
                    index[name].append((task.name, (split, row)))
    return index


def _no_row(name: str, names: Iterable[str], rows: RecipeRows) -> InputError:
    near = difflib.get_close_matches(name, list(names), n=3, cutoff=0.6)
    unused = sum(task.card["unused"] for task in rows.tasks)
    first = next(row for task in rows.tasks for row in (task.train or task.test))
    expected = f"file:line such as {first.id}, or the row's own field id"
    more = f"; {unused} rows are in no split and cannot be looked at" if unused else ""
    return InputError(
        "there is no row of this name",
        where="--row",
        found=name,
        expected=expected + more,
        fix=f"did you mean {' or '.join(near)}?"
        if near
        else "leave --row out: the first rows are shown with their names",
    )


def _inspected_task(
    task: EncodedTask, share: float, prepared: Prepared, rows: Sequence[InspectedRow]
) -> InspectedTask:
    card = prepared.card["tasks"][task.name]
    return InspectedTask(
        name=task.name,
        source=card["source"],
        splits=card["splits"],
        tokens=card["tokens"],
        repeated=card["repeated"],
        near_duplicates=card["near"],
        repeats=tuple(
            {"row": str(row.origin), "first": str(first.origin), "split": split}
            for split in SPLITS
            for row, first in repeats(getattr(task.rows, split), _content(task.rows))
        ),
        leaks=tuple(leaks_of(task.rows)),
        unused=card["unused"],
        template=card["template"],
        prompt=card.get("prompt") or _wordings(card),
        completion=card.get("completion") or _wordings(card),
        rows=tuple(rows),
        times=share * prepared.mixture.epoch / len(task.rows.train) if task.rows.train else 0.0,
        columns=card.get("columns", {}),
    )


def _wordings(card: Mapping[str, Any]) -> str:
    """What stands for the text of a template with several wordings."""
    names = dict.fromkeys(name for counts in card.get("wordings", {}).values() for name in counts)
    return f"one of {len(names)} wordings: {', '.join(names)}"


def _content(task: TaskRows) -> Callable[[Prompted], str]:
    """The key by which rows repeat: the values of the fields that the template reads, as the split compares them."""
    return lambda row: content_key(Example(row.id, row.fields, row.origin), task.content_fields)


def _inspected_row(encoder: Encoder, task: TaskRows, split: Split, row: Prompted) -> InspectedRow:
    """One row as the model reads it: with its answer, or, for a test row, as the request that asks it."""
    if split == "test" and not task.task.plain_text:
        prompt, history = encoder.fit_prompt(
            row, new_tokens=task.task.max_new_tokens + encoder.opening_length
        )
        ids = encoder.prompt_ids(prompt, history)
        dropped = len(encoder.prompt_ids(row.prompt, row.history)) - len(ids)
        mask = [False] * len(ids)
        source = len(ids) if encoder.encoder_decoder else 0
    else:
        encoded = encoder.encode(row)
        prompt, dropped = trained_prompt(encoder, row, encoded)[0], encoded.dropped
        source = len(encoded.source or ())
        ids = [*(encoded.source or ()), *encoded.ids]
        mask = [False] * source + list(encoded.loss_mask)
    control = chat_encoding.control_ids(encoder.tokenizer)
    return InspectedRow(
        id=row.id,
        origin=str(row.origin),
        task=row.task,
        split=split,
        prompt=row.prompt,
        completion=row.completion,
        text=encoder.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False),
        tokens=tuple(
            Token(text, bears_loss, id_ in control)
            for text, bears_loss, id_ in zip(token_texts(encoder.tokenizer, ids), mask, ids, strict=True)
        ),
        source=source,
        cut=_cut(row, prompt, dropped) if dropped else None,
        notes=_notes(task, split, row),
    )


def _cut(row: Prompted, prompt: str, dropped: int) -> TruncatedText | None:
    """Which field truncation shortened, and from which side: found by comparing the prompt with what is left of it."""
    removed = len(row.prompt) - len(prompt)
    for field, start, end in row.spans:
        if removed <= end - start:
            if row.prompt[: end - removed] + row.prompt[end:] == prompt:
                return TruncatedText(field, dropped, row.prompt[end - removed : end], "end")
            if row.prompt[:start] + row.prompt[start + removed :] == prompt:
                return TruncatedText(field, dropped, row.prompt[start : start + removed], "start")
    return None


def _notes(task: TaskRows, split: Split, row: Prompted) -> tuple[str, ...]:
    """Notes that a row repeats an earlier row, or leaks between training and test."""
    origin, leaks = str(row.origin), leaks_of(task)
    earlier = repeats(getattr(task, split), _content(task))
    return (
        *(f"says the same as {first.origin}" for repeat, first in earlier if repeat.id == row.id),
        *(f"its prompt stands in training too: {pair['train']}" for pair in leaks if pair["test"] == origin),
        *(
            f"its prompt stands in a test row too: {pair['test']}"
            for pair in leaks
            if pair["train"] == origin
        ),
    )
