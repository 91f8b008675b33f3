"""The recipe: every field with its meaning, its limits and a default that works.

These models declare what a recipe may hold; `load` reads files, and each block makes the frozen settings of the packages that
read it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, PrivateAttr

from tutelage.config.fields import Day, Name
from tutelage.config.mixture_block import Mixture, Replay
from tutelage.config.protect_block import Protection
from tutelage.config.retain_block import StatedBudget
from tutelage.config.task_block import Task
from tutelage.config.track_block import Track
from tutelage.config.tune_block import Tune
from tutelage.core.validation import Block, Text
from tutelage.training.settings import unit


class Watch(Block):
    """A benchmark that base and tuned model both answer, to see what was forgotten."""

    benchmark: Text = Field(
        description="A benchmark's name, with its variant behind a colon where it has several, or the path of your own.",
        examples=["mmlu:cloze"],
    )
    limit: Annotated[int, Field(ge=1)] | None = Field(
        None,
        description="Most items of each part: a sample, the same for both models.",
        examples=[200],
        json_schema_extra=unit("items"),
    )
    first: bool = Field(
        False, description="Take the first items of each part instead of a sample.", examples=[True]
    )
    shots: Annotated[int, Field(ge=0)] | None = Field(
        None,
        description="Exemplars before each question; by default as many as the benchmark says.",
        examples=[5],
        json_schema_extra=unit("exemplars"),
    )


class Recipe(Block):
    """A model, the tasks to teach it, how, and what must not be lost."""

    name: Name = Field(
        "recipe",
        description="Names the run's folder; by default the recipe's file name.",
        examples=["support-bot"],
    )
    model: Text = Field(
        "smollm2-135m-instruct",
        description="A hub id, a folder, a .gguf file, a run folder, or the bundled default.",
        examples=["Qwen/Qwen2.5-0.5B-Instruct"],
    )
    continues: Text | None = Field(
        None,
        description="The folder of a finished run, whose tuned model is trained further; its tasks are asked again afterwards, to see what "
        "they lost. It takes the place of model.",
        examples=["runs/support-bot-1a2b3c4d"],
    )
    chat_template: Text | None = Field(
        None,
        description="A bundled chat template's name or a .jinja file; the model's own by default.",
        examples=["chatml-plain"],
    )
    date: Day | None = Field(
        None,
        description="The day that a chat template reads when it asks for the time; by default the moment of the run's first start.",
        examples=["2026-01-31"],
    )
    tasks: tuple[Task, ...] = Field(
        min_length=1, description="What is taught.", examples=[[{"data": {"path": "rows.jsonl"}}]]
    )
    mixture: Mixture | None = Field(
        None,
        description="How often each task comes; by default every row of every task comes equally often.",
        examples=[{"temperature": 2}],
    )
    hold_out: tuple[Text, ...] = Field(
        (),
        description="Clusters whose tasks are tested but not trained on; tasks too near to them are left out.",
        examples=[["paraphrase"]],
    )
    replay: Replay | None = Field(
        None,
        description="General data mixed into the training rows.",
        examples=[{"from": {"data": {"path": "general.jsonl"}}, "share": 0.05}],
    )
    protect: Protection = Field(
        None,
        description="How it is kept from forgetting: auto replays the base's own answers in training, and delivers the model with the "
        "best gain within all budgets.",
        examples=["auto"],
    )
    track: Track | None = Field(
        None,
        description="Gain and loss over the training: samples of the tasks and of what is watched are asked at some of its steps.",
        examples=[{"every": 50}],
    )
    tune: Tune = Field(
        default_factory=Tune, description="How it is taught.", examples=[{"method": "lora", "epochs": 3}]
    )
    watch: tuple[Watch, ...] = Field(
        (),
        description="Benchmarks that base and tuned model both answer.",
        examples=[[{"benchmark": "general-probe"}]],
    )
    retain: dict[str, StatedBudget] = Field(
        default_factory=dict,
        description="Watched benchmarks, each with the points (0-100) that it may lose at most, or {nats: 0.05}; a larger loss gives "
        "exit code 1.",
        examples=[{"general-probe": 5.0}],
        json_schema_extra=unit("points"),
    )
    diagnose: bool = Field(
        False,
        description="Whether the run ends with a diagnosis of what was forgotten, knowledge or form, as `tutelage diagnose` makes it.",
        examples=[True],
    )
    keep_merged: bool = Field(
        False,
        description="Whether the run also keeps a copy of the tuned model with its adapter merged into the base, in the folder merged; "
        "`tutelage export RUN --merge` makes one later.",
        examples=[True],
    )
    _root: Path = PrivateAttr(default_factory=Path)
    _notes: tuple[str, ...] = PrivateAttr(())

    @property
    def root(self) -> Path:
        """The folder to which the recipe's paths are relative."""
        return self._root

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should be told of the recipe's file: the old names of fields in it."""
        return self._notes

    def template_text(self) -> str | None:
        """The text of the chat template that the recipe names; None for the model's own."""
        if self.chat_template is None:
            return None
        from tutelage.tokens import chat_templates

        return chat_templates.template_text(self.chat_template, root=self.root)
