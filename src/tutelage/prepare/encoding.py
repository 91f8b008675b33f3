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
from tutelage.tokens.encoder import Encoder, RowTooLongError

Questions = tuple[tuple[Prompted, Request], ...]
"""Test rows, each with the request that asks it."""
Misfits = dict[str, dict[int, InputError]]
"""By split the positions of rows that do not fit the model, and why."""
_Asked = Sequence[tuple[Prompted, Request | InputError]]
"""Rows, each with the request that asks it or the reason why there is none."""
_ASKED_ONLY = "validation, asked"
"""Beside the splits in Misfits: validation rows that fit in training but not as questions, so that nothing is chosen by them."""


RANK_CLASSIFICATION = " (rank classification)"
"""Behind a task's name: its answers chosen by likelihood, where it generates answers as well."""


@dataclass(frozen=True, slots=True)
class TaskQuestions:
    """What a model is asked of one task in one way of answering.

    Attributes:
        task: the task; its `answer` is this way, and its name ends with RANK_CLASSIFICATION in the second way of two.
        test: the test rows with their requests; with `test_wordings: all` in each wording.
        validation: the validation rows, where they choose the best wording (each row is then in each wording) or the scale of the
            tuned change, or are tracked over the training; else empty.
    """

    task: Task
    test: Questions
    validation: Questions = ()

    @property
    def name(self) -> str:
        """The name in results."""
        return self.task.name

    @property
    def in_all_wordings(self) -> bool:
        """Whether each row is asked in each wording."""
        return self.task.test_wordings == "all"


@dataclass(frozen=True, slots=True)
class EncodedTask:
    """One task's rows that fit the model.

    Attributes:
        rows: the rendered rows.
        train, validation: the ids of its training and validation rows.
        questions: what is asked, by way of answering: one, or two with `answer: both`.
    """

    rows: TaskRows
    train: Sequence[Encoded]
    validation: Sequence[Encoded]
    questions: tuple[TaskQuestions, ...]

    @property
    def name(self) -> str:
        """The task's name."""
        return self.rows.name


def encode_rows(
    rows: RecipeRows, encoder: Encoder, *, ask_validation: bool = False
) -> tuple[EncodedTask, ...]:
    """Encode the rows of all tasks.

    Args:
        rows: the rendered rows.
        encoder: the model's; its `max_length` bounds a row.
        ask_validation: whether validation rows are asked as well, because something is chosen by them or they are tracked.

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
        encoded, misfits = _encode_task(task, encoder, ask_validation=ask_validation)
        may_go, by_rule = misfits, False
        if task.task.data.on_bad_row == "stop":
            by_rule = encoder.truncation.too_long == "drop"
            may_go = _too_long_in_training(misfits) if by_rule else {}
            errors += [
                error
                for split, at in misfits.items()
                for index, error in at.items()
                if index not in may_go.get(split, {})
            ]
            if len(errors) >= MAX_MISTAKES:
                break
        if may_go and not errors:
            encoded = replace(encoded, rows=_without(task, may_go, by_rule=by_rule))
        tasks.append(encoded)
    raise_all("rows that do not fit the model", errors[:MAX_MISTAKES])
    return tuple(tasks)


def _too_long_in_training(misfits: Misfits) -> Misfits:
    """The misfits that `too_long: drop` leaves out: training and validation rows with too many tokens."""
    too_long: Misfits = {
        split: {i: error for i, error in misfits.get(split, {}).items() if isinstance(error, RowTooLongError)}
        for split in ("train", "validation")
    }
    return {split: errors for split, errors in too_long.items() if errors}


def _check_room(task: Task, encoder: Encoder) -> None:
    generates = task.answer != "choose" and not task.plain_text
    if generates and not encoder.encoder_decoder and task.max_new_tokens >= encoder.max_length:
        raise InputError(
            "the answers may be so long that no room is left for a prompt",
            where=f"the task {task.name}: max_new_tokens",
            found=f"{task.max_new_tokens}, of {encoder.max_length} tokens in all",
            expected=f"fewer than {encoder.max_length}",
            fix="lower max_new_tokens, or raise tune.max_length up to what the model reads",
        )


def _encode_task(task: TaskRows, encoder: Encoder, *, ask_validation: bool) -> tuple[EncodedTask, Misfits]:
    """Encode one task; also returns its rows that do not fit."""
    misfits: Misfits = {name: {} for name in SPLITS}
    train = spill_rows(encode_all(encoder, task.train, refused=misfits["train"]), ENCODED)
    validation = spill_rows(encode_all(encoder, task.validation, refused=misfits["validation"]), ENCODED)
    rows_asked = _rows_asked(task, ask_validation=ask_validation)
    requests = [(way, _requests_by_split(rows_asked, way, encoder)) for way in _ways_of_answering(task.task)]
    refused: dict[str, dict[str, InputError]] = {"test": {}, "validation": {}}
    for _, by_split in requests:
        for name, pairs in by_split.items():
            refused[name] |= {row.id: request for row, request in pairs if isinstance(request, InputError)}
    misfits["test"] = {
        index: refused["test"][row.id] for index, row in enumerate(task.test) if row.id in refused["test"]
    }
    untrainable = {task.validation[index].id for index in misfits["validation"]}
    misfits[_ASKED_ONLY] = dict(
        enumerate(error for id_, error in refused["validation"].items() if id_ not in untrainable)
    )
    refused["validation"] |= {
        task.validation[index].id: error for index, error in misfits["validation"].items()
    }
    questions = tuple(
        TaskQuestions(way, **{name: _fitting(pairs, refused[name]) for name, pairs in by_split.items()})
        for way, by_split in requests
    )
    encoded = EncodedTask(task, train, validation, questions)
    return encoded, {name: errors for name, errors in misfits.items() if errors}


def _ways_of_answering(task: Task) -> tuple[Task, ...]:
    """The task once for each way in which its questions are answered; the second way has a name of its own."""
    if task.answer != "both":
        return (task,)
    return (
        task.model_copy(update={"answer": "generate"}),
        task.model_copy(update={"answer": "choose", "name": task.name + RANK_CLASSIFICATION}),
    )


def _rows_asked(task: TaskRows, *, ask_validation: bool) -> dict[str, Sequence[Prompted]]:
    """The rows of a task that are asked: its test rows, and its validation rows where they are wanted."""
    if task.in_all_wordings:
        return dict(task.in_all_wordings)
    return {"test": task.test, **({"validation": task.validation} if ask_validation else {})}


def _requests_by_split(
    rows_asked: Mapping[str, Sequence[Prompted]], way: Task, encoder: Encoder
) -> dict[str, _Asked]:
    """The requests of the rows that are asked, by split."""
    return {
        name: [*zip(rows, _requests(rows, way, encoder), strict=True)] for name, rows in rows_asked.items()
    }


def _fitting(asked: _Asked, refused: Mapping[str, InputError]) -> Questions:
    """The questions of the rows that fit in each wording."""
    return tuple(
        (row, request) for row, request in asked if isinstance(request, Request) and row.id not in refused
    )


def _requests(rows: Sequence[Prompted], task: Task, encoder: Encoder) -> Iterator[Request | InputError]:
    """The request of each row, or why there is none; prompts are rendered many at a time."""
    if task.plain_text:
        yield from (_request_of_text(row, encoder) for row in rows)
        return
    lengths = [_max_answer_tokens(row, task, encoder) for row in rows]
    prompts = encoder.fit_prompts(
        (row, length) for row, length in zip(rows, lengths, strict=True) if isinstance(length, int)
    )
    for row, length in zip(rows, lengths, strict=True):
        prompt = length if isinstance(length, InputError) else next(prompts)
        request_id = f"{row.id}:{row.template}" if task.test_wordings == "all" else row.id
        if isinstance(prompt, InputError):
            yield prompt
        elif task.answer == "choose":
            yield Request(request_id, "choose", prompt[0], choices=row.choices, history=prompt[1])
        else:
            yield Request(
                request_id, "generate", prompt[0], max_new_tokens=task.max_new_tokens, history=prompt[1]
            )


def _request_of_text(row: Prompted, encoder: Encoder) -> Request | InputError:
    """The request for a text's likelihood; the error where it is too long."""
    try:
        encoder.encode(row)
    except InputError as error:
        return error
    return Request(row.id, "choose", "", choices=row.choices, form="text")


def _max_answer_tokens(row: Prompted, task: Task, encoder: Encoder) -> int | InputError:
    """The most tokens that an answer may have: the task's limit beside the template's opening, or the row's longest choice."""
    if task.answer != "choose":
        return task.max_new_tokens + encoder.opening_length
    if row.completion not in row.choices:
        return InputError(
            "the row has no choices, and the task's answer is to choose",
            where=str(row.origin),
            found=f"the wording {row.template} with {len(row.choices)} choices",
            expected="a list of choices in every row",
            fix="fill the row's choices, or remove answer: choose",
        )
    return max(len(encoder.completion_ids(choice)) for choice in row.choices)


def _without(task: TaskRows, misfits: Misfits, *, by_rule: bool = False) -> TaskRows:
    """The task without the rows that do not fit; its card lists them.

    Raises:
        InputError: more than half of the rows would go where no rule of the recipe says so, or too few are left to train or test on.
    """
    rows = {name: _without_indices(getattr(task, name), misfits.get(name, {})) for name in SPLITS}
    dropped = [
        DroppedRow.of(error) for error in chain.from_iterable(split.values() for split in misfits.values())
    ]
    left_out = sum(len(misfits.get(name, {})) for name in SPLITS)
    count = sum(map(len, rows.values()))
    if len(dropped) > count and not by_rule:
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
        "rows": task.card["rows"] - left_out,
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
