"""Fields that every benchmark's spec has, whether its items were written for it or are the rows of a data set."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tutelage.benchmarks.validation import Block

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
Kind = Literal["choose", "generate"]


class About(Block):
    """What a benchmark is called, and what people should know of it."""

    version: int = Field(ge=1, description="Raised with every change of items or prompts: scores do not mix.")
    name: str = Field(pattern=NAME, description="Letters, digits, . _ -")
    title: str = Field(min_length=1, description="What it measures, in one line.")
    description: str = Field("", description="More about it.")
    citation: str = Field("", description="The paper to cite.")
    source: str = Field("", description="Where the items are from.")
    licence: str = Field("", description="Of the items.")
    language: str = Field("en", min_length=2, description="Of the items.")
    aggregate: Literal["micro", "macro"] = Field(
        "micro", description="The usual aggregate: micro, over items; macro, the mean over parts."
    )


class Reading(Block):
    """How a model's answer is got and read."""

    normalise: Literal["none", "characters", "bytes", "tokens"] = Field(
        "none", description="What a choice's summed log-probability is divided by: nothing, or its length."
    )
    max_new_tokens: int = Field(0, ge=0, le=4096, description="For generate: the most tokens of an answer.")
    stop: tuple[str, ...] = Field((), description="For generate: texts that end an answer.")
    extraction: str = Field(
        "whole", description="For generate: the rule that takes the answer out of the text."
    )


class Belonging(Block):
    """What a part belongs to."""

    group: str = Field("", description="The group of parts that it belongs to, scored together.")
    fold: str = Field(
        "", description="The task that it is a variant of: in the macro average variants count as one."
    )
