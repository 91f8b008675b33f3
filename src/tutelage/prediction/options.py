"""The options of `predict`, declared once: for Python, for the command line and for their documentation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, get_type_hints

from tutelage.core.errors import InputError, raise_all
from tutelage.core.types import Sampling

ALL_COLUMNS = "all"
"""As a column to keep: all columns of the rows."""
DEFAULT_NEW_TOKENS = 256
"""Most tokens of an answer of a model that is no run's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """How answers are generated. A run's own limit of new tokens counts where none is stated."""

    max_new_tokens: Annotated[
        int | None,
        f"Most tokens of an answer; by default the recipe's, or {DEFAULT_NEW_TOKENS} for a model that is no run.",
    ] = None
    temperature: Annotated[float, "0 takes the likeliest token; above 0, tokens are sampled."] = 0.0
    top_p: Annotated[
        float, "Sample from the likeliest tokens that together have this share of the probability."
    ] = 1.0
    n: Annotated[int, "Answers to each row, each a row of the output; needs a temperature."] = 1
    seed: Annotated[int, "Seed of the sampling."] = 0

    @property
    def sampling(self) -> Sampling | None:
        """How tokens are drawn; None where the likeliest are taken."""
        return Sampling(self.temperature, self.top_p, self.seed) if self.temperature else None

    def check(self) -> None:
        """Refuse settings that contradict one another.

        Raises:
            InputError: one is out of bounds or has no effect; InputErrors for several.
        """
        errors = []
        if self.max_new_tokens is not None and self.max_new_tokens < 1:
            errors.append(_bound("max_new_tokens", self.max_new_tokens, "at least 1"))
        if self.n < 1:
            errors.append(_bound("n", self.n, "at least 1"))
        if not self.temperature:
            for name, value, default in (("n", self.n, 1), ("top_p", self.top_p, 1.0)):
                if value > 1 or value != default:
                    errors.append(
                        InputError(
                            "nothing is sampled at temperature 0",
                            where=name,
                            found=f"{value:g}",
                            expected="a temperature above 0 with it",
                            fix=f"set a temperature such as 0.7, or leave {name} out",
                        )
                    )
        else:
            try:
                _ = self.sampling
            except InputError as error:
                errors.append(error)
        raise_all("the sampling", errors)


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionOptions(Decoding):
    """What is answered by which model, and what is written."""

    model: Annotated[str, "A run, hub id, folder, .gguf file, adapter, or bundled name."]
    task: Annotated[str | None, "Of a run with several tasks, the one whose prompt is used."] = None
    prompt: Annotated[
        str | None,
        "Jinja template over the rows' columns, such as 'Translate: {{ text }}'; by default the run's own, else by the columns' names.",
    ] = None
    chat_template: Annotated[
        str | None, "A bundled chat template's name or a file; by default the model's own."
    ] = None
    keep: Annotated[tuple[str, ...], "Columns of the rows to carry along, or all."] = ()
    recipe: Annotated[
        Path | None,
        "The file of the run's recipe, where the command that made the run named it relative to another folder.",
    ] = None
    data_dir: Annotated[Path | None, "Where `local` rows of a run with shots are."] = None
    out: Annotated[Path | None, "The file to write: .jsonl, .csv, .tsv or .parquet."] = None


def meaning(field: str) -> str:
    """What an option means, in a sentence."""
    text: str = get_type_hints(PredictionOptions, include_extras=True)[field].__metadata__[0]
    return text


def _bound(where: str, value: int, expected: str) -> InputError:
    return InputError("the number is out of bounds", where=where, found=str(value), expected=expected)
