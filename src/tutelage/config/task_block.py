"""The recipe's block for a task: its rows, their words, their split, and how answers are scored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from tutelage.config import task_wording
from tutelage.config.data_block import Data
from tutelage.config.fields import Jinja, Metric, Name, Share, Styles
from tutelage.core.types import Example
from tutelage.core.validation import Block, Text, mistake
from tutelage.data import SPLITS, SplitSettings
from tutelage.templates import LibraryTemplate, TaskTemplate
from tutelage.training.settings import Fraction, Seed


class Split(Block):
    """Which rows train, which choose the best weights, and which test. Each test row is scored once for each model."""

    train: Share | None = Field(
        None, description="A fraction (0.8) or a count (400) of rows; all that is left when not given."
    )
    validation: Share = Field(
        0.1, description="A fraction or a count of rows, for the loss during training; 0 for none."
    )
    test: Share = Field(0.1, description="A fraction or a count of rows, for the scores before and after.")
    by: Text | None = Field(
        None,
        description="A field: rows with the same value stay together. Without it, rows with equal prompts stay together.",
    )
    stratify: Text | None = Field(
        None, description="A field: each of its values has the same share in every split."
    )
    stable: bool = Field(
        False,
        description="Each row's split follows from its own content: rows added later move no other. Fractions only.",
    )
    date: Text | None = Field(None, description="A field: the newest rows test, those before them validate.")
    column: Text | None = Field(
        None, description="A field that says train, validation or test for each row, instead of shares."
    )
    seed: Seed = Field(0, description="Another seed gives another split.")
    near: float = Field(
        0.8,
        gt=0.3,
        le=1,
        description="From which similarity on rows count as nearly the same; 1.0 looks for equal rows only.",
    )
    leaks: Literal["refuse", "allow"] = Field(
        "refuse",
        description="Whether a test row may also stand in training (same prompt-side values, exactly or nearly).",
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = sorted(self.model_fields_set & {"stratify", "stable", "date"})
        if len(ways) > 1:
            raise mistake(
                "rows are split in one way",
                found=" and ".join(ways),
                expected="one of stratify, stable, date",
                fix=f"keep {ways[0]}, or another one of them",
            )
        counts = [name for name in SPLITS if isinstance(share := getattr(self, name), int) and share]
        if self.stable and counts:
            raise mistake(
                "a stable split takes fractions of the rows",
                found=", ".join(f"{name}: {getattr(self, name)}" for name in counts),
                expected="such as validation: 0.1 and test: 0.1",
                fix="write fractions, or leave stable out",
            )
        return self

    @model_validator(mode="after")
    def _column_or_shares(self) -> Self:
        others = sorted(self.model_fields_set & {*SPLITS, "by", "seed", "stratify", "stable", "date"})
        if self.column is not None and others:
            raise mistake(
                "a column says the split, or shares do",
                found=f"column and {', '.join(others)}",
                expected="one of the two",
                fix=f"remove column, or remove {', '.join(others)}",
            )
        return self

    def settings(self) -> SplitSettings:
        """The block as the data package takes it."""
        return SplitSettings(**self.model_dump())


class Shots(Block):
    """Few-shot prompts: training rows with their answers stand before each row, as turns of a conversation."""

    count: int = Field(
        3, ge=1, le=64, description="Exemplars before each row; the first go where a row is too long."
    )
    each: Literal["row", "task"] = Field(
        "row", description="Fresh exemplars for each row, or the same ones for the whole task."
    )
    alike: bool = Field(
        True, description="Whether exemplars are worded as the row is, where rows have several wordings."
    )
    seed: Seed = Field(0, description="Another seed chooses other exemplars.")


class Task(Block):
    """Something to teach: rows, how they are put into words, and how answers are scored."""

    data: Data = Field(description="Where the rows are.")
    name: Name = Field(
        default_factory=lambda told: told["data"].default_name(),
        description="What the task is called in results; the data's name when not given.",
    )
    each: Literal["file"] | None = Field(
        None,
        description="file: every file that the data names is a task of its own, called name/file with everything else as here.",
    )
    source: Text | None = Field(
        None,
        description="The data set that the rows come from: tasks of one source share no row between training and test.",
    )
    cluster: Text | None = Field(
        None,
        description="What kind of task it is, for hold_out; found in the bundled table by the source when not given.",
    )
    styles: Styles | None = Field(
        None,
        description="Forms of training rows and their weights: zero-shot, zero-shot-options, few-shot, few-shot-options.",
    )
    prompt: Jinja | None = Field(
        None,
        description="Jinja over the row's fields: what the model reads. Detected from the columns when not given.",
    )
    completion: Jinja | None = Field(
        None, description="Jinja over the row's fields: what the model shall answer."
    )
    template: task_wording.Template | None = Field(
        None,
        description="Instead of prompt and completion: a kind of the library (sentiment), one wording of it "
        "(sentiment/direct-question), your own file (./my.yaml), or a layout of columns (question-answer).",
    )
    fields: task_wording.Fields | None = Field(
        None,
        description="For a kind: which column holds which of its fields; those that are called the same need none.",
    )
    labels: task_wording.Labels | None = Field(
        None,
        description="For a kind with labels: the words in order, or raw values with their words; the model answers with these.",
    )
    options: Literal["listed", "none", "mixed"] | None = Field(
        None,
        description="For a kind with choices: whether prompts list them, do not, or half of them; listed when not given.",
    )
    inverted: Fraction = Field(
        0.0, description="For a kind: the share of training rows that are turned around. Test rows never are."
    )
    wording_seed: Seed = Field(0, description="For a kind: another seed gives the rows other wordings.")
    answer: Literal["generate", "choose"] = Field(
        "generate",
        description="How test questions are asked: for free text, or for the likeliest of the answer choices.",
    )
    shots: Shots | None = Field(
        None, description="Exemplars of the training split before every row; none when not given."
    )
    split: Split = Field(default_factory=Split, description="Which rows train and which test.")
    metrics: tuple[Metric, ...] = Field(
        ("rougeL", "rouge1", "rouge2"),
        min_length=1,
        description="How answers are scored; the first one is the primary metric.",
    )
    max_new_tokens: int = Field(64, ge=1, le=100_000, description="Tokens that an answer may have at most.")
    references: Text | None = Field(
        None,
        description="A field with the right answers (a text or a list) for the metrics; the completion when not given.",
    )

    @model_validator(mode="after")
    def _one_template(self) -> Self:
        task_wording.check(self)
        return self

    def words(
        self,
        examples: Sequence[Example],
        *,
        where: str,
        root: Path | None = None,
        default: str | None = None,
        listed: bool | None = None,
        only: str | None = None,
    ) -> TaskTemplate | LibraryTemplate:
        """The task's template, as `wording.template_of` finds it for its rows."""
        root = root or Path()
        return task_wording.template_of(
            self, examples, where=where, root=root, default=default, listed=listed, only=only
        )
