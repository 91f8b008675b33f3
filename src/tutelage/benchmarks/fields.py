"""Fields that every benchmark's spec has, whether its items were written for it or are the rows of a data set."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from jinja2 import TemplateSyntaxError
from pydantic import AfterValidator, Field

from tutelage.benchmarks.answer_reading import AnswerReading
from tutelage.core.strictjson import shorten
from tutelage.core.validation import Block, mistake
from tutelage.templates.placeholders import Placeholder, parse_placeholders

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
PART = "part"
BESIDE = (PART, "title")
"""What a template may read beside the fields of the row or item: the part's name and title."""
Kind = Literal["choose", "generate"]
Aggregate = Literal["micro", "macro", "tasks"]
AGGREGATES: tuple[str, ...] = get_args(Aggregate)


class BenchmarkInfo(Block):
    """What a benchmark is called, and what people should know of it."""

    version: int = Field(ge=1, description="Raised with every change of items or prompts: scores do not mix.")
    name: str = Field(pattern=NAME, description="Letters, digits, . _ -")
    title: str = Field(min_length=1, description="What it measures, in one line.")
    description: str = Field("", description="More about it.")
    citation: str = Field("", description="The paper to cite.")
    source: str = Field("", description="Where the items are from.")
    licence: str = Field("", description="Of the items.")
    language: str = Field("en", min_length=2, description="Of the items.")
    aggregate: Aggregate = Field(
        "micro",
        description="The usual aggregate: micro, over items; macro, the mean over parts; tasks, the mean over tasks of each "
        "task's score, where tasks have metrics of their own.",
    )

    @property
    def info(self) -> dict[str, Any]:
        """The fields that every benchmark has, by name."""
        return {field: getattr(self, field) for field in BenchmarkInfo.model_fields}

    @property
    def has_exemplars(self) -> bool:
        """Whether questions can have exemplars, so that their number can be chosen."""
        return False


class HubRows(Block):
    """A split of a dataset on the hub: a copy of the repository in the data folder, or what the hub's cache has."""

    name: str = Field(pattern=r"^[^/\s]+/[^/\s]+$", description="The dataset, as owner/name.")
    config: str | None = Field(None, description="Its configuration, where it has several.")
    split: str = Field("validation", min_length=1, description="The split.")


class AnswerSettings(Block):
    """How a model's answer is obtained and read."""

    normalise: Literal["none", "characters", "bytes", "tokens"] = Field(
        "none", description="What a choice's summed log-probability is divided by: nothing, or its length."
    )
    max_new_tokens: int = Field(0, ge=0, le=4096, description="For generate: the most tokens of an answer.")
    stop: tuple[str, ...] = Field((), description="For generate: texts that end an answer.")
    extraction: str = Field(
        "whole", description="For generate: the rule that takes the answer out of the text."
    )
    reading: AnswerReading | None = Field(
        None, description="For generate: how the answer is read, instead of a named rule."
    )
    predict: Literal["likeliest", "expected"] = Field(
        "likeliest",
        description="For choose: the likeliest choice, or the mean of numeric choices, each weighted by its probability.",
    )


class PartMembership(Block):
    """What a part belongs to."""

    group: str | tuple[str, ...] = Field(
        "",
        description="The group of parts that it belongs to, scored together; a list where there are several.",
    )
    fold: str = Field(
        "", description="The task that it is a variant of: in the macro average variants count as one."
    )

    @property
    def groups(self) -> tuple[str, ...]:
        """The names of all groups that the part belongs to."""
        names = (self.group,) if isinstance(self.group, str) else self.group
        return tuple(name for name in names if name)


class TaskScoring(Block):
    """How a part's metrics become its task score, for `aggregate: tasks`."""

    scored: int = Field(
        1,
        ge=1,
        description="How many of the part's metrics, from the first on, the task score is the mean of.",
    )
    low: float = Field(
        0.0, description="The value of these metrics that counts as 0, such as that of chance."
    )
    high: float = Field(1.0, description="The value of these metrics that counts as 1.")
    averaged: bool = Field(
        True, description="Whether the part counts in the mean over tasks; a diagnostic set does not."
    )


def _part_path(path: str) -> str:
    try:
        pieces = parse_placeholders(path)
    except TemplateSyntaxError:
        pieces = None
    if pieces is None or any(isinstance(piece, Placeholder) and piece.name != PART for piece in pieces):
        raise mistake(
            "a path can use the part's name only",
            found=shorten(path),
            expected="such as rows/{{ part }}.jsonl",
            fix="write {{ part }} for the part's name, and everything else as it is",
        )
    return path


PartPath = Annotated[str, AfterValidator(_part_path)]
"""The path of a file, in which {{ part }} stands for a part's name."""


def path_of_part(path: str, part: str) -> str:
    """A `PartPath` with a part's name filled in."""
    return "".join(
        part if isinstance(piece, Placeholder) else piece for piece in parse_placeholders(path) or ()
    )


def is_per_part(path: str) -> bool:
    """Whether a `PartPath` names a file for each part."""
    return any(isinstance(piece, Placeholder) for piece in parse_placeholders(path) or ())
