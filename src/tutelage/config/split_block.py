"""The recipe's block for a split: which rows train, validate and test."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from tutelage.config.fields import Share
from tutelage.core.validation import Block, Text, mistake
from tutelage.data import SPLITS, SplitSettings
from tutelage.training.settings import Seed, unit


class Split(Block):
    """Which rows train, which choose the best weights, and which test. Each test row is scored once for each model."""

    train: Share | None = Field(
        None,
        description="A fraction (0.8) or a count (400) of rows; all remaining rows by default.",
        examples=[0.8, 400],
    )
    validation: Share = Field(
        0.1,
        description="A fraction or a count of rows, for the loss during training; 0 for none.",
        examples=[100],
    )
    test: Share = Field(
        0.1,
        description="A fraction or a count of rows, for the scores of base and tuned model.",
        examples=[0.2],
    )
    group_by: Text | None = Field(
        None,
        description="A field: rows with the same value go to the same split. Without it, rows with equal prompts do.",
        examples=["customer"],
    )
    stratify: Text | None = Field(
        None, description="A field: each of its values has the same share in every split.", examples=["label"]
    )
    stable: bool = Field(
        False,
        description="Choose each row's split by a hash of its content, so that rows added later move no other row. "
        "Fractions only.",
        examples=[True],
    )
    date: Text | None = Field(
        None,
        description="A field: the newest rows test, those before them validate.",
        examples=["created_at"],
    )
    column: Text | None = Field(
        None,
        description="A field that says train, validation or test for each row, instead of shares; a field called split does where nothing else is said.",
        examples=["split"],
    )
    seed: Seed = Field(0, description="Seed of the split.", examples=[1])
    near_duplicate_threshold: float = Field(
        0.8,
        gt=0.3,
        le=1,
        description="Similarity from which two rows count as near-duplicates, which go to the same split; 1.0 looks for equal "
        "rows only.",
        examples=[0.95],
        json_schema_extra=unit("similarity"),
    )
    leaks: Literal["refuse", "count", "allow"] = Field(
        "refuse",
        description="Whether the run stops if a test row also stands in training, exactly or nearly; count and allow go on and give "
        "their number, and with allow near-duplicates need not stay together.",
        examples=["allow"],
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
        others = sorted(self.model_fields_set & {*SPLITS, "group_by", "seed", "stratify", "stable", "date"})
        if self.column is not None and others:
            raise mistake(
                "a column says the split, or shares do",
                found=f"column and {', '.join(others)}",
                expected="one of the two",
                fix=f"remove column, or remove {', '.join(others)}",
            )
        return self

    def settings(self) -> SplitSettings:
        """The settings of the data package."""
        return SplitSettings(**self.model_dump())
