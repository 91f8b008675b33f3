"""The recipe's data block: where a task's rows are, and how they are read."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PlainValidator, WithJsonSchema, model_validator

from tutelage.config.fields import TupleAsList, is_list_of_texts, slug
from tutelage.core.strictjson import json_kind
from tutelage.core.validation import Block, Text, checked_by, mistake
from tutelage.data import LAYOUTS, DataSource, LabelNames
from tutelage.data.formats.blocks import is_compressed
from tutelage.data.layouts import get_layout


def _paths(value: Any) -> str | tuple[str, ...]:
    if isinstance(value, str) and value:
        return value
    if is_list_of_texts(value):
        return tuple(value)
    raise mistake(
        "not a path",
        found=json_kind(value) if value else "nothing",
        expected="a file, a glob, a folder, or a list of them",
        fix="write path: rows.jsonl, or path: [train.en, train.de]",
    )


def _label_names(value: Any) -> dict[str, str] | tuple[str, ...]:
    names = list(value.values()) if isinstance(value, dict) else value
    if (
        isinstance(names, list | tuple)
        and names
        and all(isinstance(name, str) and name.strip() for name in names)
    ):
        return dict(value) if isinstance(value, dict) else tuple(names)
    raise mistake(
        "not a list of label names",
        found=json_kind(value),
        expected="[negative, positive], or {0: negative, 1: positive}; yes, no and numbers in quotes",
        fix="write the names as texts",
    )


Paths = Annotated[
    str | tuple[str, ...],
    PlainValidator(_paths),
    TupleAsList,
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1},
            ]
        }
    ),
]
LabelList = Annotated[
    dict[str, str] | tuple[str, ...],
    PlainValidator(_label_names),
    TupleAsList,
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "array", "items": {"type": "string"}, "minItems": 1},
                {"type": "object", "additionalProperties": {"type": "string"}, "minProperties": 1},
            ]
        }
    ),
]
Layout = Annotated[str, checked_by(get_layout), WithJsonSchema({"enum": list(LAYOUTS)})]


class Labels(Block):
    """The names of labels, for a table that holds numbers or short codes."""

    names: LabelList | None = Field(
        None,
        description="The names in the order of the values 0, 1, 2, ..., or a mapping of value to name.",
        examples=[["negative", "positive"]],
    )
    file: Text | None = Field(
        None,
        description="A file that holds them: a JSON list or object, or one name per line; relative as the data is.",
        examples=["labels.json"],
    )
    column: Text | None = Field(
        None,
        description="The label column; by default the one called label, category, intent and so on.",
        examples=["category"],
    )
    options: bool = Field(
        False,
        description="Whether each row gets all names as the field options, which the prompt then lists.",
        examples=[True],
    )

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.names is None) == (self.file is None):
            raise mistake(
                "the label names stand in the recipe or in a file",
                found="both" if self.names else "neither",
                expected="names: [no, yes], or file: labels.json",
                fix="keep one of them" if self.names else "write  names:  and a list",
            )
        return self


class Data(Block):
    """Where a task's rows are: in files, or in a dataset of the Hugging Face hub."""

    path: Paths | None = Field(
        None,
        description="A data file, a glob, a folder, or a list of them, relative to the recipe's file. The ending says the format.",
        examples=["rows.jsonl"],
    )
    hub: Text | None = Field(
        None,
        description="A dataset of the Hugging Face hub: owner/name, or owner/name@revision.",
        examples=["PolyAI/banking77"],
    )
    hub_split: Text | None = Field(
        None, description="The hub's name of the split to read; train by default.", examples=["validation"]
    )
    hub_config: Text | None = Field(
        None,
        description="The hub's name of the configuration, for a dataset that has several.",
        examples=["main"],
    )
    local: Paths | None = Field(
        None,
        description="The same rows under --data or TUTELAGE_DATA, as a file or a folder laid out like the repository; used instead of the hub when it is there. Without hub: a file, a glob or a folder there, or a list of them.",
        examples=["banking77/train.csv"],
    )
    layout: Layout | None = Field(
        None,
        description=f"What shape the rows have: {', '.join(LAYOUTS)}; detected by default.",
        examples=["messages"],
    )
    turns: Literal["every", "last"] = Field(
        "every",
        description="Which assistant turns of a conversation are learned, each as a row of its own.",
        examples=["last"],
    )
    join_turns: bool = Field(
        False,
        description="Join turns of one speaker that follow each other, with a blank line between them.",
        examples=[True],
    )
    columns: tuple[Text, ...] = Field(
        (),
        description="The columns to read; all others are left out. In a file that does not name them, their names: a table without header, CoNLL columns, one for each of several parallel texts.",
        examples=[["text", "label"]],
    )
    labels: Labels | None = Field(
        None, description="Names for the values of a label column.", examples=[{"names": ["no", "yes"]}]
    )
    on_bad_row: Literal["stop", "drop"] = Field(
        "stop",
        description="Whether a row with a mistake stops the run, or is left out and listed in the data card.",
        examples=["drop"],
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        only_local = self.local is not None and self.path is None
        if (self.path is None) == (self.hub is None) and not only_local:
            raise mistake(
                "the rows come from a path or from the hub",
                found="both" if self.path else "neither",
                expected="path: rows.jsonl, or hub: owner/name",
                fix="keep one of them" if self.path else "write  path:  and a file relative to the recipe",
            )
        if self.hub is not None and isinstance(self.local, tuple):
            raise mistake(
                "the local copy of a dataset of the hub is one file or folder",
                found=", ".join(self.local),
                expected="one name",
                fix="name its folder, or leave hub out",
            )
        location = "local" if only_local else "path"
        for field in ("hub_split", "hub_config", "local"):
            if self.hub is None and getattr(self, field) is not None and field != location:
                raise mistake(
                    f"{field} goes with hub, not with path",
                    found=f"{location} and {field}",
                    expected=f"hub and {field}",
                    fix=f"remove {field}, or replace {location} by hub",
                )
        return self

    def source(self) -> DataSource:
        """The settings of the data package."""
        return DataSource(
            path=self.path,
            hub=self.hub,
            hub_split=self.hub_split or "train",
            hub_config=self.hub_config,
            local=self.local,
            layout=self.layout,
            turns=self.turns,
            join_turns=self.join_turns,
            columns=self.columns,
            labels=None if self.labels is None else LabelNames(**self.labels.model_dump()),
            on_bad_row=self.on_bad_row,
        )

    def default_name(self) -> str:
        """The name of a task with these rows that has no name of its own."""
        if self.hub is not None:
            return self.hub.partition("@")[0].rpartition("/")[2]
        location = self.local if self.path is None else self.path
        assert location is not None  # one of the three is
        first = PurePosixPath(location if isinstance(location, str) else location[0])
        stem = first.stem.removesuffix(".jsonl") if is_compressed(Path(first)) else first.stem
        return slug(stem) or slug(first.parent.name) or "task"
