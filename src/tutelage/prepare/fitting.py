"""Rows to ids and questions for one model; rows that do not fit are reported together, or left out and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from tutelage.config.task_block import Task
from tutelage.core.errors import InputError, raise_all
from tutelage.core.limits import MAX_MISTAKES
from tutelage.core.serialization import ENCODED, PROMPTED
from tutelage.core.spill import kept
from tutelage.core.types import Encoded, Prompted, Request
from tutelage.data import DroppedRow, too_many_dropped_error
from tutelage.prepare.rows import Rows, TaskRows
from tutelage.tokens.bulk import encode_all
from tutelage.tokens.encode import Encoder

Questions = tuple[tuple[Prompted, Request], ...]
_SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class Fitted:
    """The rows that fit a model, and by task: the ids of training and validation rows, and the test rows' questions."""

    rows: Rows
    train: tuple[Sequence[Encoded], ...]
    validation: tuple[Sequence[Encoded], ...]
    questions: tuple[Questions, ...]


@dataclass(frozen=True, slots=True)
class _Task:
    rows: TaskRows
    train: Sequence[Encoded]
    validation: Sequence[Encoded]
    questions: Questions


def fitted(rows: Rows, encoder: Encoder) -> Fitted:
    """Encode all rows.

    Args:
        rows: the rows in words.
        encoder: the model's; its `max_length` bounds a row.

    Returns:
        The ids, and the rows without those that a task with `on_bad_row: drop` leaves out; its card lists them.

    Raises:
        InputError: a row does not fit and its task does not drop such rows, or too few rows are left; InputErrors for
            several rows.
    """
    errors: list[InputError] = []
    tasks: list[_Task] = []
    for task in rows.tasks:
        _check_room(task.task, encoder)
        one, refused = _encoded(task, encoder)
        if refused and task.task.data.on_bad_row == "stop":
            errors += [error for split in refused.values() for error in split.values()]
            if len(errors) >= MAX_MISTAKES:
                break
        tasks.append(replace(one, rows=_without(task, refused)) if refused and not errors else one)
    raise_all("rows that do not fit the model", errors[:MAX_MISTAKES])
    return Fitted(
        replace(rows, tasks=tuple(task.rows for task in tasks)),
        tuple(task.train for task in tasks),
        tuple(task.validation for task in tasks),
        tuple(task.questions for task in tasks),
    )


def _check_room(task: Task, encoder: Encoder) -> None:
    if (
        task.answer == "generate"
        and not encoder.encoder_decoder
        and task.max_new_tokens >= encoder.max_length
    ):
        raise InputError(
            "the answers may be so long that no room is left for a prompt",
            where=f"the task {task.name}: max_new_tokens",
            found=f"{task.max_new_tokens}, of {encoder.max_length} tokens in all",
            expected=f"fewer than {encoder.max_length}",
            fix="lower max_new_tokens, or raise tune.max_length up to what the model reads",
        )


def _encoded(task: TaskRows, encoder: Encoder) -> tuple[_Task, dict[str, dict[int, InputError]]]:
    """A task's ids and questions, and by split the places of the rows that do not fit."""
    refused: dict[str, dict[int, InputError]] = {name: {} for name in _SPLITS}
    train = kept(encode_all(encoder, task.train, refused=refused["train"]), ENCODED)
    validation = kept(encode_all(encoder, task.validation, refused=refused["validation"]), ENCODED)
    questions = []
    for place, (row, request) in enumerate(zip(task.test, _requests(task, encoder), strict=True)):
        if isinstance(request, InputError):
            refused["test"][place] = request
        else:
            questions.append((row, request))
    fit = _Task(task, train, validation, tuple(questions))
    return fit, {name: places for name, places in refused.items() if places}


def _requests(task: TaskRows, encoder: Encoder) -> Iterator[Request | InputError]:
    """The test rows' requests, or why there is none; prompts are rendered many at a time."""
    choose = task.task.answer == "choose"
    lengths = [_answer_tokens(row, task.task, encoder) for row in task.test]
    fits = encoder.fit_prompts(
        (row, n) for row, n in zip(task.test, lengths, strict=True) if isinstance(n, int)
    )
    for row, length in zip(task.test, lengths, strict=True):
        if isinstance(length, InputError):
            yield length
            continue
        fit = next(fits)
        if isinstance(fit, InputError):
            yield fit
        elif choose:
            yield Request(row.id, "choose", fit[0], choices=row.choices, history=fit[1])
        else:
            yield Request(row.id, "generate", fit[0], max_new_tokens=length, history=fit[1])


def _answer_tokens(row: Prompted, task: Task, encoder: Encoder) -> int | InputError:
    """The most tokens that an answer may have: the task's limit, or those of the row's longest choice."""
    if task.answer != "choose":
        return task.max_new_tokens
    if row.completion not in row.choices:
        return InputError(
            "the row has no choices, and the task's answer is to choose",
            where=str(row.origin),
            found=f"the wording {row.template} with {len(row.choices)} choices",
            expected="a list of choices in every row",
            fix="fill the row's choices, or remove answer: choose",
        )
    return max(len(encoder.completion_ids(choice)) for choice in row.choices)


def _without(task: TaskRows, refused: dict[str, dict[int, InputError]]) -> TaskRows:
    """A task without the rows that do not fit; its card lists them.

    Raises:
        InputError: more than half of the rows would go, or too few are left to train or test on.
    """
    rows = {name: _others(getattr(task, name), refused.get(name, {})) for name in _SPLITS}
    dropped = [
        DroppedRow.of(error) for error in chain.from_iterable(one.values() for one in refused.values())
    ]
    count = sum(map(len, rows.values()))
    if len(dropped) > count:
        raise too_many_dropped_error(f"the task {task.task.name}", dropped, count)
    if (task.train and not rows["train"]) or (task.test and len(rows["test"]) < 2):
        raise InputError(
            f"the task {task.task.name} has too few rows that fit the model",
            where=dropped[0].where,
            found=", ".join(f"{name}: {len(rows[name])}" for name in _SPLITS)
            + f"; {len(dropped)} do not fit",
            expected="at least one training row and two test rows",
            fix="raise tune.max_length up to what the model reads, or bring shorter rows",
        )
    card = {
        **task.card,
        "rows": task.card["rows"] - len(dropped),
        "splits": {name: len(rows[name]) for name in task.card["splits"]},
        "dropped": [*task.card["dropped"], *({"where": row.where, "why": row.why} for row in dropped)],
    }
    if "wordings" in card:
        card["wordings"] = {
            name: dict(sorted(Counter(row.template for row in rows[name]).items()))
            for name in task.card["wordings"]
        }
    return replace(task, train=rows["train"], validation=rows["validation"], test=rows["test"], card=card)


def _others(rows: Sequence[Prompted], places: dict[int, InputError]) -> Sequence[Prompted]:
    if not places:
        return rows
    return kept((row for place, row in enumerate(rows) if place not in places), PROMPTED)
