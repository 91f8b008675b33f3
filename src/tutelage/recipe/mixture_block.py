"""The recipe's blocks for many tasks at once: how often each comes, which stay out, and what is replayed."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tutelage.mixture.presets import Style
from tutelage.recipe.block import Block, Text, wrong

Positive = Annotated[float, Field(gt=0)]
Styles = Annotated[dict[Style, Positive], Field(min_length=1)]


class Part(Block):
    """Tasks that are drawn from together, and further such parts."""

    tasks: tuple[Text, ...] = Field(
        (), description="Names of tasks, or patterns such as p3-*; each task belongs to one part."
    )
    parts: dict[Text, Part] = Field(default_factory=dict, description="Further parts, by a name of your own.")
    weights: dict[Text, Positive] | None = Field(
        None,
        description="What each task and part directly in here is drawn in proportion to; by its rows when not given.",
    )
    cap: Annotated[int, Field(ge=1)] | None = Field(
        None, description="How many rows of a task are used at all; a seeded choice of them."
    )
    rate_maximum: Positive | None = Field(
        None, description="The most that a task's rows count for its rate, whatever it has."
    )
    temperature: Annotated[float, Field(ge=0.05)] | None = Field(
        None, description="Above 1 small tasks come more often than their rows say: rate = rows ** (1 / T)."
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        if type(self) is Part and not self.tasks and not self.parts:
            raise wrong(
                "the part has no tasks",
                found="neither tasks nor parts",
                expected="tasks: [name, ...] or parts",
                fix="name its tasks, or remove it",
            )
        return self


class Mixture(Part):
    """How often each task comes in training; examples-proportional when nothing is said."""

    preset: Literal["flan2021", "flan2022"] | None = Field(
        None,
        description="A published mixture: weights, caps and styles. Its submixtures are the parts, each with its tasks.",
    )

    @model_validator(mode="after")
    def _preset_alone(self) -> Self:
        if self.preset is None:
            return self
        own = [
            name
            for name in ("weights", "cap", "rate_maximum", "temperature")
            if getattr(self, name) is not None
        ]
        own += [
            f"parts.{name}.{field}"
            for name, part in self.parts.items()
            for field in ("weights", "cap", "rate_maximum", "temperature", "parts")
            if getattr(part, field)
        ]
        if own:
            raise wrong(
                "a preset brings its own weights and caps",
                found=f"preset: {self.preset} and {', '.join(own)}",
                expected="preset and parts with tasks, or a mixture of your own",
                fix=f"remove {own[0]}, or remove preset",
            )
        return self


class Replay(Block):
    """General data among the taught rows, so that less is forgotten: a share of all tokens."""

    task: Text = Field(
        alias="from",
        description="The task whose training rows are replayed; it comes by this share alone, and is scored like the others.",
    )
    share: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.05, description="Of all tokens that are trained on, prompts included."
    )
    repeat: bool = Field(
        False, description="Whether its rows may come again when there are fewer than the share needs."
    )
