"""What says how rows are asked: a run's task, or a template."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from tutelage.core.clock import Instant
from tutelage.core.types import Prompted
from tutelage.data import DataSource, LoadedData
from tutelage.models import LoadedModel, LoadedTokenizer
from tutelage.tokens.encoder import Encoder


class PromptSource(Protocol):
    """How rows are read, asked and answered."""

    @property
    def name(self) -> str:
        """What the rows are called in the store and in errors."""

    @property
    def max_new_tokens(self) -> int:
        """Most tokens of an answer."""

    @property
    def chooses(self) -> bool:
        """Whether the answer is the likeliest of the row's choices, and no text is generated."""

    @property
    def four_bit(self) -> bool:
        """Whether the model is held in 4 bits."""

    @property
    def root(self) -> Path:
        """The folder to which paths are relative."""

    @property
    def instant(self) -> Instant | None:
        """The time that chat templates read; None for now."""

    def source(self, file: Path) -> DataSource:
        """How a file is read."""

    def prompts(self, rows: LoadedData) -> Sequence[Prompted]:
        """The prompts of rows."""

    def text_column(self) -> str:
        """The one column that the prompt reads."""

    def encoder(self, model: LoadedModel | LoadedTokenizer) -> Encoder:
        """The encoder of the prompts."""
