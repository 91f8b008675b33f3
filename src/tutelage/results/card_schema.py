"""The schema of data/card.json, checked as `schemas` checks the other documents."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, model_validator

from tutelage.results.schemas import Count, Counts, Number, Schema, Text


class AllOrNothing(Schema):
    """An object with all of its keys, or an empty one where there was nothing to count."""

    @model_validator(mode="before")
    @classmethod
    def _has_all_keys_or_none(cls, value: Any) -> Any:
        missing = [
            name for name in cls.model_fields if isinstance(value, dict) and value and name not in value
        ]
        if missing:
            raise ValueError(f"{missing[0]}|all of {', '.join(cls.model_fields)}")
        return value


class QuantilesSchema(AllOrNothing):
    """Quantiles of lengths in tokens."""

    min: Count = 0
    median: Count = 0
    p95: Count = 0
    max: Count = 0


class HistogramSchema(AllOrNothing):
    """A histogram."""

    start: Count = 0
    width: Count = 1
    bars: list[Count] = Field(default_factory=list)


class TokenCountsSchema(Schema):
    """The tokens of one split of a task."""

    tokens: Count | None = None
    loss_tokens: Count | None = None
    truncated: Count | None = None
    prompt: QuantilesSchema | None = None
    completion: QuantilesSchema | None = None
    histograms: dict[Text, HistogramSchema] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_both_counts(self) -> Self:
        if self.tokens and self.loss_tokens is None:
            raise ValueError("loss_tokens|a whole number beside tokens")
        return self


class DroppedRowSchema(Schema):
    """A row that was left out, and why."""

    where: Text | None = None
    why: Text | None = None


class LeakSchema(Schema):
    """A test row, and the training row with the same content."""

    test: Any
    train: Any


class TestSetAccessSchema(Schema):
    """How many test rows `tutelage inspect` showed to a person, and when first."""

    rows: Count
    first: Any


class TokenizedRowSchema(Schema):
    """A row with its tokens."""

    id: Any = None
    origin: Any = None
    tokens: list[Text] | None = None
    mask: list[Any] | None = None


class TaskCardSchema(Schema):
    """The card of one task."""

    source: dict[Text, Any] | None = None
    rows: Any = None
    splits: Counts | None = None
    tokens: dict[Text, TokenCountsSchema] | None = None
    wordings: dict[Text, Counts] | None = None
    shots: Counts | None = None
    repeated: Counts | None = None
    near_duplicates: Counts | None = Field(default=None, alias="near")
    dropped: list[DroppedRowSchema] | None = None
    leaks: dict[Text, list[LeakSchema]] | None = None
    test_set_access: TestSetAccessSchema | None = Field(default=None, alias="looked")
    examples: list[TokenizedRowSchema] | None = None


class ContaminatedItemSchema(Schema):
    """An item of a watched benchmark, the training row that contains it, and how that was noticed."""

    item: Any
    train: Any
    how: Any


class ContaminationSchema(Schema):
    """The items of one watched benchmark that stand in the training rows."""

    items: Count
    contaminated: Count = Field(alias="found")
    first: list[ContaminatedItemSchema]


class TrainedRowsSchema(Schema):
    """What was trained on in one style or under one template."""

    rows: Count
    tokens: Count
    loss_tokens: Count


class TrainedTaskSchema(TrainedRowsSchema):
    """What was trained on of one task."""

    requested_share: Number | None = Field(default=None, alias="asked")
    most: Count | None = None
    styles: dict[Text, TrainedRowsSchema]
    templates: dict[Text, TrainedRowsSchema]


class TrainingSchema(Schema):
    """What was trained on in all."""

    objective: dict[Text, Number] | None = None
    steps: Count | None = None
    rows_seen: Count | None = None
    tokens_seen: Count | None = None
    loss_tokens_seen: Count | None = None
    packs: Count | None = None
    fill: Number | dict[Text, Number] | None = None
    tasks: dict[Text, TrainedTaskSchema] | None = None

    @model_validator(mode="after")
    def _counts_fit(self) -> Self:
        if self.fill is not None and self.packs is None:
            raise ValueError("packs|a whole number beside fill")
        if self.tasks and not sum(task.rows for task in self.tasks.values()):
            raise ValueError("tasks|at least one row")
        return self


class ReplaySchema(Schema):
    """The task that was mixed in against forgetting."""

    from_: Text = Field(alias="from")
    token_share: Number
    row_share: Number


class ExcludedTaskSchema(Schema):
    """A task that is too near to a held-out one, and their cluster."""

    task: Any
    cluster: Any


class MixtureSchema(Schema):
    """The card of the mixture."""

    notes: list[Any] | None = Field(default=None, alias="said")
    replay: ReplaySchema | None = None
    excluded_tasks: list[ExcludedTaskSchema] | None = Field(default=None, alias="left_out")


class CardSchema(Schema):
    """data/card.json."""

    tasks: dict[Text, TaskCardSchema] | None = None
    overlap: dict[Text, ContaminationSchema] | None = None
    training: TrainingSchema | None = None
    mixture: MixtureSchema | None = None

    @model_validator(mode="after")
    def _replayed_task_was_trained_on(self) -> Self:
        trained_tasks = (self.training and self.training.tasks) or {}
        replay = self.mixture and self.mixture.replay
        if trained_tasks and replay:
            if replay.from_ not in trained_tasks:
                raise ValueError("mixture.replay.from|a task that training saw")
            if not sum(task.tokens for task in trained_tasks.values()):
                raise ValueError("training.tasks|at least one token")
        return self
