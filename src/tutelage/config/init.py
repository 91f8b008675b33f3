"""Write a recipe to start from for a data file."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tutelage import templates
from tutelage.config.fields import slug
from tutelage.config.tune_block import Tune
from tutelage.core.errors import InputError
from tutelage.core.limits import MAX_RECIPE_BYTES
from tutelage.core.strictjson import json_kind
from tutelage.core.types import Example
from tutelage.data import SPLITS, DataSource, LoadedData, load
from tutelage.templates import columns

CHARACTERS_PER_TOKEN = 3
"""A low estimate for European languages, so that lengths come out high; the data card of a run counts real tokens."""
LABEL_WORDS = 4
"""Repeated completions of at most this many words are taken for labels."""
_DEFAULT_LENGTH: int = Tune.model_fields["max_length"].default
COLUMNS_SHOWN = 20
CONVERSATIONS = ("messages", "sharegpt")


@dataclass(frozen=True, slots=True)
class _Summary:
    """What a data file holds: the template that fits it, and the lengths of its prompts and completions."""

    template: templates.TaskTemplate
    note: str
    layout: str
    split_column: str | None
    prompt_lengths: tuple[int, ...]
    completions: tuple[str, ...]

    @property
    def metrics(self) -> tuple[str, list[str]]:
        """The reason for the metrics, and their names."""
        words = sorted(len(text.split()) for text in self.completions)
        kinds = len(set(self.completions))
        if self.layout == "entities":
            return "entities in words", ["entity_f1:form=text"]
        if words[-1] <= LABEL_WORDS and kinds <= len(words) / 2:
            return f"{kinds} labels", ["accuracy"]
        if words[len(words) // 2] <= LABEL_WORDS:
            return "short answers", ["exact_match", "rougeL"]
        return "longer texts", ["rougeL", "rouge1", "rouge2"]


def init(file: Path, *, folder: Path | None = None) -> str:
    """Write a recipe for a data file, with defaults that suit its rows.

    Args:
        file: a data file of any kind that a recipe's `path` may name.
        folder: the recipe's folder, to which the data's path is written relative; the current one by default.

    Returns:
        The recipe's YAML with comments; `config.load` reads it as it is.

    Raises:
        InputError: a row is wrong, or there are no two columns of text.
    """
    loaded = load(DataSource(path=str(file)), root=Path())
    summary = _summarise(loaded, file)
    text = _write(
        summary, file, folder or Path(), len(loaded.examples), templates.common_columns(loaded.examples)
    )
    if len(text.encode()) > MAX_RECIPE_BYTES:
        raise InputError(
            "the columns' names are too long for a recipe",
            where=str(file),
            found=f"{len(text.encode()):,} bytes of a recipe",
            expected=f"at most {MAX_RECIPE_BYTES:,}",
            fix="give the columns short names",
        )
    return text


def _summarise(loaded: LoadedData, file: Path) -> _Summary:
    examples = loaded.examples
    names = templates.common_columns(examples)
    if loaded.template is None:
        columns.refuse_unlearnable_rows(examples, where="init")
    fits = columns.matching_templates(names)
    name = loaded.template or (fits[0].name if len(fits) == 1 else None)
    if name is not None:
        template = templates.column_template(name)
        note = f"the template {name} fits them"
    else:
        guess = templates.guess_columns(examples)
        if guess is None:
            raise InputError(
                "the rows have no two columns of text, one that asks and one that answers",
                where=str(file),
                found=", ".join(f"{name}: {json_kind(examples[0].fields[name])}" for name in names)
                or "no common column",
                expected="such as prompt and completion, or question and answer",
                fix="bring rows with two text fields, or write a recipe with a template over the fields there are",
            )
        note = guess.note
        template = templates.TaskTemplate(
            templates.reference(guess.prompt), templates.reference(guess.completion)
        )
    rendered = template.render_all(examples, file.stem)
    return _Summary(
        template=template,
        note=note,
        layout=str(loaded.source["layout"]),
        split_column=_split_column(examples, names),
        prompt_lengths=tuple(len(row.prompt) for row in rendered),
        completions=tuple(row.completion for row in rendered),
    )


def _split_column(examples: Sequence[Example], names: Sequence[str]) -> str | None:
    for name in names:
        values = {value if isinstance(value := row.fields[name], str) else None for row in examples}
        if {"train", "test"} <= values <= set(SPLITS):
            return name
    return None


def _write(summary: _Summary, file: Path, folder: Path, rows: int, names: Sequence[str]) -> str:
    path = Path(os.path.relpath(file, folder)).as_posix()
    name = slug(file.stem) or "task"
    longest = _tokens(max(summary.prompt_lengths)) + _tokens(max(map(len, summary.completions))) + 64
    reason, metrics = summary.metrics
    split = (
        f"    split: {{column: {_quoted(summary.split_column)}}} # this column says train, validation or test"
        if summary.split_column
        else "    split: {train: 0.8, validation: 0.1, test: 0.1, seed: 0} # "
        + ("the turns of a conversation" if summary.layout in CONVERSATIONS else "rows with equal prompts")
        + " stay together"
    )
    shape = f" ({summary.layout})" if summary.layout != "plain" else ""
    lines = [
        f"# Made from {_in_comment(file.name)}{shape}: {rows:,} rows with the columns {_listed(names)}.",
        "# Next: tutelage inspect, then tutelage run, with the name of this file.",
        "model: smollm2-135m-instruct # or a hub id, a folder, a .gguf file",
        "tasks:",
        f"  - name: {_quoted(name)}",
        f"    data: {{path: {_quoted(path)}}}",
        f"    # {_in_comment(summary.note)}",
        f"    prompt: {_quoted(summary.template.prompt)}",
        f"    completion: {_quoted(summary.template.completion)}",
        *([f"    references: {_quoted(references)}"] if (references := summary.template.references) else []),
        split,
        f"    metrics: [{', '.join(metrics)}] # for {reason}; the first one decides whether the model has learned",
        f"    max_new_tokens: {_answer_tokens(summary)} # of an answer",
        "tune:",
        "  method: lora # or full: all weights, more memory",
        "  epochs: 2",
        "  batch_size: 8",
        f"  max_length: {_length(longest)} # tokens of a row; the longest here may have about {longest:,}",
        "watch: # what the model could do before and shall not forget",
        "  - {benchmark: general-probe}",
        "# retain: {general-probe: 5.0} # points that may be lost at most; more gives exit code 1",
    ]
    return "\n".join(lines) + "\n"


def _quoted(text: str | None) -> str:
    """A text as YAML: a JSON string is one."""
    return json.dumps(text, ensure_ascii=True)


def _listed(names: Sequence[str]) -> str:
    """The names of columns for a comment; of many, the first ones."""
    more = f" and {len(names) - COLUMNS_SHOWN:,} more" if len(names) > COLUMNS_SHOWN else ""
    return _in_comment(", ".join(names[:COLUMNS_SHOWN])) + more


def _in_comment(text: str) -> str:
    """A text for a comment: on one line, without control characters."""
    return _quoted(text)[1:-1]


def _tokens(characters: int) -> int:
    return -(-characters // CHARACTERS_PER_TOKEN)


def _answer_tokens(summary: _Summary) -> int:
    """Tokens of an answer: the 95th percentile of the completions' lengths, up to a multiple of 8."""
    lengths = sorted(_tokens(len(text)) for text in summary.completions)
    percentile = lengths[min(len(lengths) - 1, int(0.95 * len(lengths)))]
    return min(512, max(8, -(-percentile // 8) * 8))


def _length(longest: int) -> int:
    """The smallest power of two that holds the longest row, up to the default of `max_length`."""
    return min(_DEFAULT_LENGTH, max(128, 1 << (longest - 1).bit_length()))
