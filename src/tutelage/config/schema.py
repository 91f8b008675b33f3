"""The recipe: every field with its meaning, its limits and a default that works.

The models only say what may stand in a recipe; `load` reads files and words the mistakes, and each block hands the packages
below their own frozen settings.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, PrivateAttr

from tutelage.config.fields import Day, Name
from tutelage.config.mixture_block import Mixture, Replay
from tutelage.config.task_block import Task
from tutelage.config.tune_block import Tune
from tutelage.core.validation import Block, Text


class Watch(Block):
    """A benchmark that is run before and after, to see what was forgotten."""

    benchmark: Text = Field(
        description="A benchmark's name, with its way behind a colon where it has several, or the path of your own."
    )
    limit: Annotated[int, Field(ge=1)] | None = Field(
        None, description="At most so many items of each part: a sample, the same before and after."
    )
    first: bool = Field(False, description="Take the first items of each part instead of a sample.")
    shots: Annotated[int, Field(ge=0)] | None = Field(
        None, description="Worked examples before each question; as many as the benchmark says by default."
    )


class Recipe(Block):
    """A model, the tasks to teach it, how, and what must not be lost."""

    name: Name = Field("recipe", description="Names the run's folder; the recipe's file name when not given.")
    model: Text = Field(
        "smollm2-135m-instruct",
        description="A hub id, a folder, a .gguf file, a run folder, or the bundled default.",
    )
    chat_template: Text | None = Field(
        None, description="A bundled chat template's name or a .jinja file; the model's own when not given."
    )
    date: Day | None = Field(
        None,
        description="The day that a chat template reads when it asks for the time; the moment of the run's first start "
        "when not given.",
    )
    tasks: tuple[Task, ...] = Field(min_length=1, description="What is taught.")
    mixture: Mixture | None = Field(
        None, description="How often each task comes; every row of every task alike when not given."
    )
    hold_out: tuple[Text, ...] = Field(
        (),
        description="Clusters that are asked but not taught, such as paraphrase; those too near to them are left out.",
    )
    replay: Replay | None = Field(None, description="General data among the taught rows.")
    tune: Tune = Field(default_factory=Tune, description="How it is taught.")
    watch: tuple[Watch, ...] = Field((), description="Benchmarks that are run before and after.")
    retain: dict[str, Annotated[float, Field(ge=0, le=100)]] = Field(
        default_factory=dict,
        description="Watched benchmarks, with the points (0-100) that may be lost at most; more gives exit code 1.",
    )
    _root: Path = PrivateAttr(default_factory=Path)

    @property
    def root(self) -> Path:
        """The folder to which the recipe's paths are relative."""
        return self._root

    def template_text(self) -> str | None:
        """The text of the chat template that the recipe names; None for the model's own."""
        if self.chat_template is None:
            return None
        from tutelage.tokens import chat_encoding

        return chat_encoding.text_of(self.chat_template, root=self.root)
