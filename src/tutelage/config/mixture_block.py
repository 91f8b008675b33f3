"""The recipe's blocks for many tasks at once: how often each comes, and what is replayed."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from tutelage.config.fields import Positive, Share
from tutelage.config.split_block import Split
from tutelage.config.task_block import Task
from tutelage.core.validation import Block, Text, mistake
from tutelage.training.settings import unit

TAGS = ("a task's name", "rows of its own")
"""Names of the two forms of `replay.from`, which pydantic puts into the paths of mistakes below it."""


class Part(Block):
    """Tasks that are drawn from together, and further such parts."""

    tasks: tuple[Text, ...] = Field(
        (),
        description="Names of tasks, or patterns such as p3-*; each task belongs to one part.",
        examples=[["p3-*"]],
    )
    parts: dict[Text, Part] = Field(
        default_factory=dict,
        description="Further parts, by a name of your own.",
        examples=[{"qa": {"tasks": ["squad", "nq"]}}],
    )
    weights: dict[Text, Positive] | None = Field(
        None,
        description="Relative rate of each task and part directly in here; by default its number of rows.",
        examples=[{"qa": 2, "summaries": 1}],
    )
    cap: Annotated[int, Field(ge=1)] | None = Field(
        None,
        description="Most rows of a task that are used at all; a seeded sample of them.",
        examples=[30000],
        json_schema_extra=unit("rows"),
    )
    rate_maximum: Positive | None = Field(
        None,
        description="Most rows that count for a task's rate, however many it has.",
        examples=[3000],
        json_schema_extra=unit("rows"),
    )
    temperature: Annotated[float, Field(ge=0.05)] | None = Field(
        None,
        description="Above 1, small tasks come more often than their rows say: rate = rows ** (1 / temperature).",
        examples=[2],
    )

    @model_validator(mode="after")
    def _has_tasks(self) -> Self:
        if type(self) is Part and not self.tasks and not self.parts:
            raise mistake(
                "the part has no tasks",
                found="neither tasks nor parts",
                expected="tasks: [name, ...] or parts",
                fix="name its tasks, or remove it",
            )
        return self


class Mixture(Part):
    """How often each task comes in training: by default in proportion to its rows."""

    preset: Literal["flan2021", "flan2022"] | None = Field(
        None,
        description="A published mixture: weights, caps and styles. Its submixtures are the parts, each with its tasks.",
        examples=["flan2022"],
    )

    @model_validator(mode="after")
    def _preset_alone(self) -> Self:
        if self.preset is None:
            return self
        rates = ("weights", "cap", "rate_maximum", "temperature")
        clashes = [name for name in rates if getattr(self, name) is not None]
        clashes += [
            f"parts.{name}.{field}"
            for name, part in self.parts.items()
            for field in (*rates, "parts")
            if getattr(part, field)
        ]
        if clashes:
            raise mistake(
                "a preset brings its own weights and caps",
                found=f"preset: {self.preset} and {', '.join(clashes)}",
                expected="preset and parts with tasks, or a mixture of your own",
                fix=f"remove {clashes[0]}, or remove preset",
            )
        return self


class PoolSplit(Split):
    """The split of rows that are only replayed: by default none test or validate."""

    validation: Share = Field(
        0, description="A fraction or a count of rows, for the loss during training.", examples=[50]
    )
    test: Share = Field(
        0,
        description="A fraction or a count of rows, for the scores of base and tuned model; 0 for none.",
        examples=[100],
    )


class Pool(Task):
    """Rows that are only replayed, unless their split says that some test."""

    split: PoolSplit = Field(
        default_factory=PoolSplit,
        description="All rows train unless it says that some test or validate.",
        examples=[{"test": 100}],
    )


class Replay(Block):
    """General data mixed into the training rows against forgetting: a share of all tokens."""

    task: Annotated[
        Annotated[Text, Tag(TAGS[0])] | Annotated[Pool, Tag(TAGS[1])],
        Discriminator(lambda value: TAGS[isinstance(value, dict | Task)]),
    ] = Field(
        alias="from",
        description="The task whose training rows are replayed, which is scored like the others; or rows of its own, written as a task "
        "is ({data: {path: general.jsonl}}): all of them train and none is asked, unless their split says so.",
        examples=[{"data": {"path": "general.jsonl"}}],
    )
    share: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.05,
        description="Share of all tokens that are trained on, prompts included.",
        examples=[0.1],
        json_schema_extra=unit("share of tokens"),
    )
    repeat: bool = Field(
        False,
        description="Whether its rows may come again when there are fewer than the share needs.",
        examples=[True],
    )

    @property
    def name(self) -> str:
        """The name of the task that is replayed."""
        return self.task if isinstance(self.task, str) else self.task.name

    @property
    def pool(self) -> Pool | None:
        """The task that is only replayed, when `from` has rows of its own."""
        return None if isinstance(self.task, str) else self.task

    @model_validator(mode="after")
    def _one_pool(self) -> Self:
        if self.pool is not None and self.pool.one_task_per is not None:
            raise mistake(
                "a replay has one pool of rows",
                found=f"one_task_per: {self.pool.one_task_per}",
                expected="rows of its own without one_task_per",
                fix="remove one_task_per: all files are read as one set",
            )
        return self
