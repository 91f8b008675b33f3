"""A task file of lm-evaluation-harness as it was read, and what in it is not supported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tutelage.core.errors import InputError
from tutelage.core.strictjson import shorten
from tutelage.core.validation import Places

FIELDS = (
    "task", "task_alias", "tag", "dataset_path", "dataset_name", "dataset_kwargs", "training_split", "validation_split", "test_split",
    "fewshot_split", "fewshot_config", "num_fewshot", "doc_to_text", "doc_to_target", "doc_to_choice", "description", "target_delimiter",
    "fewshot_delimiter", "output_type", "generation_kwargs", "filter_list", "metric_list", "repeats", "should_decontaminate",
    "doc_to_decontamination_query", "metadata", "unsafe_code",
)  # fmt: skip
"""Fields that are read, or that change no score."""
USE_HARNESS = (
    "run the file as it is with `tutelage harness MODEL --tasks FILE`, or write a spec (docs/benchmarks.md)"
)


@dataclass(frozen=True)
class HarnessTask:
    """A task file, its includes merged.

    Attributes:
        fields: the values by name.
        places: where they are written.
        folder: the folder of the file.
        mistakes: what was found wrong with it.
    """

    fields: Mapping[str, Any]
    places: Places
    folder: Path
    mistakes: list[InputError] = field(default_factory=list)

    def refuse(self, name: str, expected: str, *, value: Any = None) -> None:
        """Note that a field has a value that is not supported."""
        value = self.fields.get(name.partition(".")[0]) if value is None else value
        self.mistakes.append(
            InputError(
                "this part of lm-evaluation-harness's tasks is not supported",
                where=self.places(tuple(name.split("."))),
                found=shorten(str(value)),
                expected=expected,
                fix=USE_HARNESS,
            )
        )
