"""The recipe's block for gain and loss over the training: at which steps samples are asked, and how large they are."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from tutelage.core.errors import InputError
from tutelage.core.validation import Block, mistake
from tutelage.training.settings import Seed, unit

Step = Annotated[int, Field(ge=1)]


class Track(Block):
    """Gain and loss over the training: fixed samples of the tasks and of what is watched, asked at some of its steps."""

    every: Step | None = Field(
        None,
        description="Steps between two measurements; the last step is measured too. Either this or at.",
        examples=[50],
        json_schema_extra=unit("steps"),
    )
    at: tuple[Step, ...] = Field(
        (),
        description="The steps after which samples are asked; the last step is measured too. Either this or every.",
        examples=[[10, 50, 100]],
        json_schema_extra=unit("steps"),
    )
    items: Annotated[int, Field(ge=2)] = Field(
        40,
        description="Most questions of each task (validation rows) and of each watched benchmark (spread over its parts): a sample, the "
        "same at each step.",
        examples=[100],
        json_schema_extra=unit("items"),
    )
    seed: Seed = Field(0, description="Seed of the samples.", examples=[1])

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.every is None) == (not self.at):
            raise mistake(
                "two ways to say at which steps it is measured"
                if self.at
                else "no step at which it is measured",
                found=f"every: {self.every} and at: {list(self.at)}" if self.at else "neither every nor at",
                expected="one of every and at",
                fix="remove one of them" if self.at else "add  every: 50",
            )
        return self

    def steps_of(self, last: int) -> tuple[int, ...]:
        """The measured steps of a training, in order.

        Args:
            last: the training's last step.

        Raises:
            InputError: a step is beyond the last one, or `every` is.
        """
        field, steps = ("every", (self.every,)) if self.every is not None else ("at", self.at)
        if beyond := [step for step in steps if step > last]:
            raise InputError(
                "the training ends before a step at which it is to be measured",
                where=f"track.{field}",
                found=f"step {min(beyond)}, of {last}",
                expected=f"steps from 1 to {last}",
                fix="lower it, or train longer (tune.epochs, tune.steps)",
            )
        if self.every is not None:
            steps = tuple(range(self.every, last + 1, self.every))
        return tuple(sorted({*steps, last}))
