"""The recipe's block for the tuning: the method, how long it trains, and the settings of the training loop."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from tutelage.config.fields import Targets
from tutelage.core.validation import Block, Text, field_history
from tutelage.models import methods
from tutelage.training.settings import LearningRate, Objective, TrainingSettings, unit


class Truncate(Block):
    """Which part of a prompt is cut when the row is too long. Template text and completions are never cut."""

    field: Text | None = Field(
        None, description="The field that is shortened; the longest one by default.", examples=["dialogue"]
    )
    side: Literal["start", "end"] = Field(
        "end", description="The side of the field that is cut.", examples=["start"]
    )


class MethodSettings(Block):
    """What is trained, and the settings that only some methods read."""

    method: Literal[
        "lora", "rslora", "dora", "ia3", "oft", "prompt-tuning", "prefix-tuning", "qlora", "full"
    ] = Field(
        "lora", description="Which weights are trained: docs/methods.md has the table.", examples=["full"]
    )
    rank: Annotated[int, Field(ge=1, le=4096)] | None = Field(
        None,
        description="lora, rslora, dora, qlora: rank of the added matrices; 16 by default.",
        examples=[8],
    )
    alpha: Annotated[float, Field(gt=0)] | None = Field(
        None,
        description="lora, dora, qlora: the change is scaled by alpha / rank; twice the rank by default. "
        "rslora: by alpha / sqrt(rank); 8 by default.",
        examples=[32],
    )
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        None,
        description="lora, rslora, dora, qlora: dropout on the input of the matrices. oft: share of blocks left unturned. 0 by default.",
        examples=[0.05],
    )
    targets: Targets | None = Field(
        None,
        description="All adapters: which layers get one; all-linear, attention, mlp, gate-up (the MLP without its down projection), or "
        "a list of layer names. all-linear by default; for ia3 what suits the architecture.",
        examples=["attention"],
    )
    block_size: Annotated[int, Field(ge=2, le=4096)] | None = Field(
        None, description="oft: inputs that are turned together; 32 by default.", examples=[64]
    )
    virtual_tokens: Annotated[int, Field(ge=1, le=4096)] | None = Field(
        None,
        description="prompt-tuning, prefix-tuning: trained tokens before every row; 20 by default.",
        examples=[50],
        json_schema_extra=unit("tokens"),
    )
    freeze: Annotated[tuple[Text, ...], Field(min_length=1)] | None = Field(
        None,
        description="full: weights that are not trained, as patterns of their names.",
        examples=[["model.embed_tokens.*"]],
    )
    train_last: Annotated[int, Field(ge=1)] | None = Field(
        None,
        description="full: train only this many layers at the end, and what comes after them.",
        examples=[4],
        json_schema_extra=unit("layers"),
    )


class Tune(Objective, TrainingSettings, MethodSettings):
    """How the model is tuned."""

    epochs: float = Field(
        2.0,
        gt=0,
        le=10_000,
        description="How often every training row is trained on.",
        examples=[3],
        json_schema_extra=unit("epochs"),
    )
    steps: Annotated[int, Field(ge=1)] | None = Field(
        None,
        description="Stop after this many optimizer steps, if the epochs have more.",
        examples=[200],
        json_schema_extra=unit("steps"),
    )
    learning_rate: LearningRate | None = Field(
        None,
        description="The highest learning rate; by default that of the method (docs/methods.md).",
        examples=[1e-4],
    )
    validate_every: float = Field(
        0.5,
        gt=0,
        description="Epochs between measurements of the validation loss.",
        examples=[1],
        json_schema_extra=unit("epochs"),
    )
    max_length: int = Field(
        1024,
        ge=8,
        description="Longest row in tokens; a prompt that is too long is truncated.",
        examples=[2048],
        json_schema_extra=unit("tokens"),
    )
    truncate: Truncate = Field(
        default_factory=Truncate,
        description="Which part of a prompt that is too long is cut.",
        examples=[{"field": "dialogue", "side": "start"}],
    )
    too_long: Literal["cut-prompt", "cut", "drop"] = Field(
        "cut-prompt",
        description="What becomes of a training row with more than max_length tokens. cut-prompt: its prompt is cut, and an answer that "
        "fits nowhere is a mistake; cut: such an answer is cut at its end too; drop: the row is left out and listed in the data card. "
        "Test prompts are always cut.",
        examples=["drop"],
    )
    packing: bool = Field(
        False,
        description="Pack rows of neighbouring steps into sequences of max_length tokens, in which no row reads another.",
        examples=[True],
    )

    @property
    def rate(self) -> float:
        """The learning rate: the recipe's, or the method's default."""
        return methods.find(self.method).rate if self.learning_rate is None else self.learning_rate

    @property
    def options(self) -> dict[str, Any]:
        """The settings that this method reads: the recipe's, or the method's defaults."""
        names = methods.method_fields()
        return methods.find(self.method).options({name: getattr(self, name) for name in names})

    def method_identity(self) -> dict[str, Any]:
        """The method and its settings, as part of a tuning's identity."""
        always, defaults = field_history.first_fields(MethodSettings), methods.find(self.method).options({})
        options = self.options.items()
        identifying = {
            name: value for name, value in options if name in always or value != defaults.get(name)
        }
        return {"name": self.method, **identifying}

    @property
    def virtual(self) -> int:
        """Virtual tokens that the method puts before every row."""
        return int(self.options.get("virtual_tokens", 0))
