"""The recipe: every field with its meaning, its limits and a default that works.

The models only say what may stand in a recipe; `load` reads files and words the mistakes, and each block hands the packages
below their own frozen settings.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr

from tutelage.config.fields import Day, Fraction, Name, Seed, Targets
from tutelage.config.mixture_block import Mixture, Replay
from tutelage.config.task_block import Task
from tutelage.core.validation import Block, Text
from tutelage.models import methods


class Truncate(Block):
    """Which part of a prompt goes when it is too long. Template text and completions are never cut."""

    field: Text | None = Field(
        None, description="The field that is shortened; the longest one when not given."
    )
    side: Literal["start", "end"] = Field("end", description="The side of it that goes.")


OBJECTIVE = ("prompt_loss_weight", "label_smoothing", "kl_to_base", "l2_to_base")
"""What may be added to the loss of completions; each is left out at 0."""


class Tune(Block):
    """How the model is tuned."""

    method: Literal[
        "lora", "rslora", "dora", "ia3", "oft", "prompt-tuning", "prefix-tuning", "qlora", "full"
    ] = Field("lora", description="What is trained: docs/methods.md has the table.")
    rank: Annotated[int, Field(ge=1, le=4096)] | None = Field(
        None, description="lora, rslora, dora, qlora: rank of the added matrices; 16 when not given."
    )
    alpha: Annotated[float, Field(gt=0)] | None = Field(
        None,
        description="As rank: the change is scaled by alpha / rank (twice the rank when not given), "
        "in rslora by alpha / sqrt(rank) (8 when not given).",
    )
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        None, description="As rank: dropout on the matrices' input; oft: share of blocks left unturned."
    )
    targets: Targets | None = Field(
        None,
        description="All adapters: which layers; all-linear, or a list of layer names. When not given all-linear, "
        "and for ia3 what suits the architecture.",
    )
    block_size: Annotated[int, Field(ge=2, le=4096)] | None = Field(
        None, description="oft: inputs that are turned together; 32 when not given."
    )
    virtual_tokens: Annotated[int, Field(ge=1, le=4096)] | None = Field(
        None, description="prompt-tuning, prefix-tuning: tokens before every row; 20 when not given."
    )
    freeze: Annotated[tuple[Text, ...], Field(min_length=1)] | None = Field(
        None, description="full: weights that stay as they are, as patterns of names (model.embed_tokens.*)."
    )
    train_last: Annotated[int, Field(ge=1)] | None = Field(
        None, description="full: only so many layers at the end, and what runs after them."
    )
    epochs: float = Field(2.0, gt=0, le=10_000, description="Times that every training row is seen.")
    steps: Annotated[int, Field(ge=1)] | None = Field(None, description="At most so many optimizer steps.")
    learning_rate: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="The highest learning rate; by method when not given (docs/methods.md)."
    )
    schedule: Literal["linear", "cosine", "constant"] = Field(
        "linear",
        description="How the rate goes on after the warm-up: falls to 0 in a line or a cosine, or stays.",
    )
    warmup: Fraction = Field(0.03, description="Share of the steps in which the rate rises from 0.")
    weight_decay: float = Field(0.0, ge=0, le=1, description="AdamW's weight decay.")
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = Field(
        (0.9, 0.999), description="AdamW's decay rates of the moments."
    )
    clip: float = Field(1.0, ge=0, description="The gradient's norm is cut to this; 0 for never.")
    prompt_loss_weight: float = Field(
        0.0,
        ge=0,
        le=1,
        description="What the loss of a prompt's token weighs, where a completion's weighs 1; decoder-only models.",
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="Share of each target that is spread over the whole vocabulary."
    )
    kl_to_base: float = Field(
        0.0,
        ge=0,
        description="Weight of the KL divergence between the base's predictions and the model's; full keeps a second copy "
        "of what is trained.",
    )
    l2_to_base: float = Field(
        0.0,
        ge=0,
        description="lora, rslora, qlora, full: weight of the squared distance between the base's weights and the model's; "
        "full keeps a second copy of what is trained.",
    )
    batch_size: int = Field(8, ge=1, description="Rows an optimizer step.")
    micro_batch_tokens: int = Field(
        1024,
        ge=1,
        description="Tokens that go through the model at once; changes memory and speed, not the result.",
    )
    max_length: int = Field(
        1024, ge=8, description="Tokens of a row at most; a prompt that is too long is shortened."
    )
    packing: bool = Field(
        False,
        description="Rows of neighbouring steps share sequences of max_length tokens, each kept to itself, "
        "so that passes are full; batch_size then holds on the average.",
    )
    truncate: Truncate = Field(default_factory=Truncate, description="What of a too long prompt goes.")
    activation_checkpointing: bool = Field(False, description="Less memory for more time.")
    validate_every: float = Field(0.5, gt=0, description="Epochs between two looks at the validation loss.")
    checkpoint_every: int = Field(20, ge=1, description="Steps between two checkpoints.")
    keep: Literal["best", "last"] = Field(
        "best", description="Weights of the best validation loss, or of the last step."
    )
    seed: Seed = Field(0, description="Of the order of rows, of new weights and of dropout.")

    @property
    def rate(self) -> float:
        """The learning rate, given or by method."""
        if self.learning_rate is not None:
            return self.learning_rate
        return methods.find(self.method).rate

    @property
    def options(self) -> dict[str, Any]:
        """What only the method reads, given or by default."""
        names = methods.own_fields()
        return methods.find(self.method).options({name: getattr(self, name) for name in names})

    @property
    def virtual(self) -> int:
        """Tokens that the method puts before every row."""
        return int(self.options.get("virtual_tokens", 0))


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
        from tutelage.tokens import chat

        return chat.text_of(self.chat_template, root=self.root)
