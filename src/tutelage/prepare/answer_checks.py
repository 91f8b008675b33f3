"""Whether test answers can be right at all: metrics and the limit of tokens, held against the references before a model is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tutelage.config.task_block import Task
from tutelage.core.errors import InputError, raise_all
from tutelage.core.types import Prompted
from tutelage.metrics import Row
from tutelage.metrics.self_scores import Shortfall, rejected_answers, shortfalls
from tutelage.prepare.encoding import EncodedTask
from tutelage.tokens.encoder import Encoder

_ROUND = 8
"""The limit that is proposed is a multiple of this many tokens, because a model may write the same text in some more."""


@dataclass(frozen=True, slots=True)
class LongAnswers:
    """The test rows whose right answer is longer than an answer may be.

    Attributes:
        rows: these rows.
        of: how many are asked.
        shortest, longest: the tokens of all their right answers, the end of the turn included.
        limit: the task's max_new_tokens.
        room: the most tokens that prompt and answer may have together; None where the answer has its own limit.
    """

    rows: tuple[Prompted, ...]
    of: int
    shortest: int
    longest: int
    limit: int
    room: int | None

    @property
    def found(self) -> str:
        """The numbers in one sentence."""
        lengths = (
            f"{self.shortest:,} to {self.longest:,}" if self.shortest < self.longest else f"{self.longest:,}"
        )
        return (
            f"the right answers of {self.of:,} test rows have {lengths} tokens, and max_new_tokens is {self.limit:,}: "
            f"{len(self.rows):,} of {self.of:,} answers cannot be whole"
        )

    @property
    def fix(self) -> str:
        """What to write."""
        rounded = -(-self.longest // _ROUND) * _ROUND
        if self.room is None or rounded < self.room:
            return f"write max_new_tokens: {rounded}"
        return (
            f"prompt and answer may have {self.room:,} tokens together: raise tune.max_length where the model reads more, "
            "and then max_new_tokens, or shorten the answers in the data"
        )


def long_answers(task: EncodedTask, encoder: Encoder) -> LongAnswers | None:
    """The test rows whose right answer does not fit into the task's limit; None when all do or the answers are chosen."""
    settings = task.rows.task
    if settings.answer == "choose" or settings.plain_text or not task.rows.test:
        return None
    end = len(encoder.completion_ids(""))
    # No tokenizer writes more tokens than bytes, so that short answers need not be tokenised.
    if all(_bytes(row) + end <= settings.max_new_tokens for row in task.rows.test):
        return None
    lengths = [max(len(encoder.completion_ids(text)) for text in _texts(row)) for row in task.rows.test]
    long = tuple(
        row for row, length in zip(task.rows.test, lengths, strict=True) if length > settings.max_new_tokens
    )
    if not long:
        return None
    room = None if encoder.encoder_decoder else encoder.max_length
    return LongAnswers(long, len(lengths), min(lengths), max(lengths), settings.max_new_tokens, room)


def _texts(row: Prompted) -> set[str]:
    """The answer that a row teaches, and its shortest right one."""
    return {row.completion, min(row.references, key=len)} if row.references else {row.completion}


def _bytes(row: Prompted) -> int:
    return max(len(text.encode()) for text in _texts(row))


def metric_shortfalls(task: Task, test: Sequence[Prompted]) -> list[Shortfall]:
    """The task's metrics that give references, or the answers that the rows teach, less than full marks."""
    if task.plain_text:
        return []
    rows = [Row(row.completion, row.references or (row.completion,), row.fields) for row in test]
    found = shortfalls(task.metrics, rows)
    explained = {metric for shortfall in found for metric in shortfall.metrics}
    return [
        *found,
        *(each for each in rejected_answers(task.metrics, rows) if each.metrics[0] not in explained),
    ]


def check_answers(tasks: Sequence[EncodedTask], encoder: Encoder) -> list[str]:
    """What keeps test answers from being right, in sentences.

    Raises:
        InputError: a task's primary metric gives no right answer full marks, so that no model could learn the task;
            InputErrors for several.
    """
    notes: list[str] = []
    errors: list[InputError] = []
    for task in tasks:
        settings = task.rows.task
        for shortfall in metric_shortfalls(settings, task.rows.test):
            if shortfall.total and settings.metrics[0] in shortfall.metrics:
                errors.append(
                    InputError(
                        "the primary metric gives no right answer full marks",
                        where=f"the task {task.name}: metrics.0",
                        found=f"{settings.metrics[0]}: {shortfall.found}",
                        expected="a metric that gives the references themselves full marks",
                        fix=shortfall.fix,
                    )
                )
            else:
                notes.append(f"{task.name}: {shortfall.sentence}")
        if (long := long_answers(task, encoder)) is not None:
            notes.append(f"{task.name}: {long.found}; {long.fix}")
    raise_all("metrics", errors)
    return notes
