"""Encodes rendered rows for one model; rows that do not fit are reported together, or dropped and counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from tutelage.config.task_block import Task
from tutelage.core.errors import InputError, raise_all
from tutelage.core.limits import MAX_MISTAKES
from tutelage.core.serialization import ENCODED, PROMPTED
from tutelage.core.spill import spill_rows
from tutelage.core.types import Encoded, Prompted, Request
from tutelage.data import DroppedRow, too_many_dropped_error
from tutelage.data.partition import SPLITS
from tutelage.prepare.task_rows import RecipeRows, TaskRows, wording_counts
from tutelage.tokens.batch_encoding import encode_all
from tutelage.tokens.encoder import Encoder

Questions = tuple[tuple[Prompted, Request], ...]
"""Test rows, each with the request that asks it."""
Misfits = dict[str, dict[int, InputError]]
"""By split the positions of rows that do not fit the model, and why."""


@dataclass(frozen=True, slots=True)
class EncodedTask:
    """One task's rows that fit the model.

    Attributes:
        rows: the rendered rows.
        train, validation: the ids of its training and validation rows.
        questions: its test rows with their requests.
    """

    rows: TaskRows
    train: Sequence[Encoded]
    validation: Sequence[Encoded]
    questions: Questions

    @property
    def name(self) -> str:
        """The task's name."""
        return self.rows.name


def encode_rows(rows: RecipeRows, encoder: Encoder) -> tuple[EncodedTask, ...]:
    """Encode the rows of all tasks.

    Args:
        rows: the rendered rows.
        encoder: the model's; its `max_length` bounds a row.

    Returns:
        The tasks without the rows that do not fit; the card of a task with `on_bad_row: drop` lists them.

    Raises:
        InputError: a row does not fit and its task does not drop such rows, or too few rows are left; InputErrors for
            several rows.
    """
    errors: list[InputError] = []
    tasks: list[EncodedTask] = []
    for task in rows.tasks:
        _check_room(task.task, encoder)
        encoded, misfits = _encode_task(task, encoder)
        if misfits and task.task.data.on_bad_row == "stop":
            errors += [error for split in misfits.values() for error in split.values()]
            if len(errors) >= MAX_MISTAKES:
                break
        elif misfits and not errors:
            encoded = replace(encoded, rows=_without(task, misfits))
        tasks.append(encoded)
    raise_all("rows that do not fit the model", errors[:MAX_MISTAKES])
    return tuple(tasks)


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


def _encode_task(task: TaskRows, encoder: Encoder) -> tuple[EncodedTask, Misfits]:
    """Encode one task; also returns its rows that do not fit."""
    misfits: Misfits = {name: {} for name in SPLITS}
    train = spill_rows(encode_all(encoder, task.train, refused=misfits["train"]), ENCODED)
    validation = spill_rows(encode_all(encoder, task.validation, refused=misfits["validation"]), ENCODED)
    questions = []
    for index, (row, request) in enumerate(zip(task.test, _requests(task, encoder), strict=True)):
        if isinstance(request, InputError):
            misfits["test"][index] = request
        else:
            questions.append((row, request))
    encoded = EncodedTask(task, train, validation, tuple(questions))
    return encoded, {name: errors for name, errors in misfits.items() if errors}


def _requests(task: TaskRows, encoder: Encoder) -> Iterator[Request | InputError]:
    """The request of each test row, or why there is none; prompts are rendered many at a time."""
    lengths = [_max_answer_tokens(row, task.task, encoder) for row in task.test]
    prompts = encoder.fit_prompts(
        (row, length) for row, length in zip(task.test, lengths, strict=True) if isinstance(length, int)
    )
    for row, length in zip(task.test, lengths, strict=True):
        prompt = length if isinstance(length, InputError) else next(prompts)
        if isinstance(prompt, InputError):
            yield prompt
        elif task.task.answer == "choose":
            yield Request(row.id, "choose", prompt[0], choices=row.choices, history=prompt[1])
        else:
            yield Request(
                row.id, "generate", prompt[0], max_new_tokens=task.task.max_new_tokens, history=prompt[1]
            )


def _max_answer_tokens(row: Prompted, task: Task, encoder: Encoder) -> int | InputError:
    """The most tokens that an answer may have: the task's limit, or the length of the row's longest choice."""
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


def _without(task: TaskRows, misfits: Misfits) -> TaskRows:
    """The task without the rows that do not fit; its card lists them.

    Raises:
        InputError: more than half of the rows would go, or too few are left to train or test on.
    """
    rows = {name: _without_indices(getattr(task, name), misfits.get(name, {})) for name in SPLITS}
    dropped = [
        DroppedRow.of(error) for error in chain.from_iterable(split.values() for split in misfits.values())
    ]
    count = sum(map(len, rows.values()))
    if len(dropped) > count:
        raise too_many_dropped_error(f"the task {task.name}", dropped, count)
    if (task.train and not rows["train"]) or (task.test and len(rows["test"]) < 2):
        raise InputError(
            f"the task {task.name} has too few rows that fit the model",
            where=dropped[0].where,
            found=", ".join(f"{name}: {len(rows[name])}" for name in SPLITS) + f"; {len(dropped)} do not fit",
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
        card["wordings"] = {name: wording_counts(rows[name]) for name in task.card["wordings"]}
    return replace(task, train=rows["train"], validation=rows["validation"], test=rows["test"], card=card)


def _without_indices(rows: Sequence[Prompted], indices: Mapping[int, InputError]) -> Sequence[Prompted]:
    if not indices:
        return rows
    return spill_rows((row for index, row in enumerate(rows) if index not in indices), PROMPTED)
