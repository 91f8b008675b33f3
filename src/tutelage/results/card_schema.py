"""The shape of data/card.json, checked as `shapes` checks documents."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, model_validator

from tutelage.results.schemas import Count, Counts, Number, Shape, Text


class AllOrNothing(Shape):
    """An object with all of its keys, or an empty one where there was nothing to count."""

    @model_validator(mode="before")
    @classmethod
    def _all(cls, value: Any) -> Any:
        missing = [
            name for name in cls.model_fields if isinstance(value, dict) and value and name not in value
        ]
        if missing:
            raise ValueError(f"{missing[0]}|all of {', '.join(cls.model_fields)}")
        return value


class Quantiles(AllOrNothing):
    """Lengths in tokens."""

    min: Count = 0
    median: Count = 0
    p95: Count = 0
    max: Count = 0


class Bars(AllOrNothing):
    """A histogram."""

    start: Count = 0
    width: Count = 1
    bars: list[Count] = Field(default_factory=list)


class Tokens(Shape):
    """What one split of a task is in tokens."""

    tokens: Count | None = None
    loss_tokens: Count | None = None
    truncated: Count | None = None
    prompt: Quantiles | None = None
    completion: Quantiles | None = None
    histograms: dict[Text, Bars] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _share_can_be_taken(self) -> Self:
        if self.tokens and self.loss_tokens is None:
            raise ValueError("loss_tokens|a whole number beside tokens")
        return self


class Place(Shape):
    """A row that was left out."""

    where: Text | None = None
    why: Text | None = None


class Leak(Shape):
    """A test row and the training row that says the same."""

    test: Any
    train: Any


class Looked(Shape):
    """Test rows that a person has looked at."""

    rows: Count
    first: Any


class Row(Shape):
    """A row with its tokens."""

    id: Any = None
    origin: Any = None
    tokens: list[Text] | None = None
    mask: list[Any] | None = None


class TaskCard(Shape):
    """What the card says of one task."""

    source: dict[Text, Any] | None = None
    rows: Any = None
    splits: Counts | None = None
    tokens: dict[Text, Tokens] | None = None
    wordings: dict[Text, Counts] | None = None
    shots: Counts | None = None
    repeated: Counts | None = None
    near: Counts | None = None
    dropped: list[Place] | None = None
    leaks: dict[Text, list[Leak]] | None = None
    looked: Looked | None = None
    examples: list[Row] | None = None


class Hit(Shape):
    """A watched item that stands in training."""

    item: Any
    train: Any
    how: Any


class Overlap(Shape):
    """A watched benchmark's items among the training rows."""

    items: Count
    found: Count
    first: list[Hit]


class Form(Shape):
    """What training saw in one style or under one template."""

    rows: Count
    tokens: Count
    loss_tokens: Count


class Seen(Form):
    """What training saw of one task."""

    asked: Number | None = None
    most: Count | None = None
    styles: dict[Text, Form]
    templates: dict[Text, Form]


class Training(Shape):
    """What training saw in all."""

    objective: dict[Text, Number] | None = None
    steps: Count | None = None
    rows_seen: Count | None = None
    tokens_seen: Count | None = None
    loss_tokens_seen: Count | None = None
    packs: Count | None = None
    fill: Number | dict[Text, Number] | None = None
    tasks: dict[Text, Seen] | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.fill is not None and self.packs is None:
            raise ValueError("packs|a whole number beside fill")
        if self.tasks and not sum(one.rows for one in self.tasks.values()):
            raise ValueError("tasks|at least one row")
        return self


class Replay(Shape):
    """What was mixed in so that it is not forgotten."""

    from_: Text = Field(alias="from")
    token_share: Number
    row_share: Number


class LeftOut(Shape):
    """A task that is too near to what is held out."""

    task: Any
    cluster: Any


class Mixture(Shape):
    """What the card says of the mixture."""

    said: list[Any] | None = None
    replay: Replay | None = None
    left_out: list[LeftOut] | None = None


class Card(Shape):
    """data/card.json."""

    tasks: dict[Text, TaskCard] | None = None
    overlap: dict[Text, Overlap] | None = None
    training: Training | None = None
    mixture: Mixture | None = None

    @model_validator(mode="after")
    def _replayed_is_there(self) -> Self:
        seen = (self.training and self.training.tasks) or {}
        replay = self.mixture and self.mixture.replay
        if seen and replay:
            if replay.from_ not in seen:
                raise ValueError("mixture.replay.from|a task that training saw")
            if not sum(one.tokens for one in seen.values()):
                raise ValueError("training.tasks|at least one token")
        return self
