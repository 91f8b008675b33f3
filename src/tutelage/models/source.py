"""A model on this disk, found by name and not loaded yet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tutelage.models import folders

SourceKind = Literal["bundled", "hub", "folder", "run", "gguf"]


@dataclass(frozen=True, slots=True)
class ModelSource:
    """The files of a model or an adapter, which were checked to be complete and safe to read.

    Attributes:
        name: a hub id, a bundled name, or the path that the user gave.
        kind: where it came from.
        folder: config.json, tokenizer and weights; for an adapter, the adapter's files.
        revision: the commit, for a model of the hub.
        base: for an adapter, its base model.
        notes: what the user should know, such as code in the model's folder that is not run.
    """

    name: str
    kind: SourceKind
    folder: Path
    revision: str | None = None
    base: ModelSource | None = None
    notes: tuple[str, ...] = ()

    @property
    def weights(self) -> Path:
        """The folder with config.json and the full weights."""
        return self.base.weights if self.base else self.folder

    @property
    def tokenizer(self) -> Path:
        """The folder with the tokenizer: the adapter's where it has one, else the base's."""
        has_own = (self.folder / "tokenizer_config.json").is_file() and folders.has_tokenizer(self.folder)
        return self.base.tokenizer if self.base and not has_own else self.folder

    def config(self) -> dict[str, Any]:
        """Read config.json: sizes, layers, context."""
        return folders.read_json(self.weights / "config.json")
