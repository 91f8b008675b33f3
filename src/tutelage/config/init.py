"""A recipe to start from, made by looking at a data file."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tutelage import templates
from tutelage.core.errors import InputError
from tutelage.core.limits import MAX_RECIPE_BYTES
from tutelage.core.strictjson import kind
from tutelage.core.types import Example
from tutelage.data import SPLITS, DataSource, LoadedData, load
from tutelage.templates import columns

CHARACTERS_A_TOKEN = 3
"""A low guess for European languages, so that the lengths come out high; the data card of a run counts real tokens."""
LABEL_WORDS = 4
"""Completions of at most so many words that come again and again are taken for labels."""
DEFAULT_LENGTH = 1024
COLUMNS_SHOWN = 20
CONVERSATIONS = ("messages", "sharegpt")


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a look at the rows found."""

    prompt: str
    completion: str
    references: str | None
    template: str | None
    note: str
    layout: str
    split_column: str | None
    prompts: tuple[int, ...]
    completions: tuple[str, ...]

    @property
    def labels(self) -> bool:
        """Whether the completions are a few short ones that come again."""
        short = max(len(text.split()) for text in self.completions) <= LABEL_WORDS
        return short and len(set(self.completions)) <= len(self.completions) / 2

    @property
    def short(self) -> bool:
        """Whether the usual completion is a few words."""
        return (
            sorted(len(text.split()) for text in self.completions)[len(self.completions) // 2] <= LABEL_WORDS
        )

    @property
    def metrics(self) -> tuple[str, list[str]]:
        """Why these metrics, and their names."""
        if self.layout == "entities":
            return "entities in words", ["entity_f1:form=text"]
        if self.labels:
            return f"{len(set(self.completions))} labels", ["accuracy"]
        if self.short:
            return "short answers", ["exact_match", "rougeL"]
        return "longer texts", ["rougeL", "rouge1", "rouge2"]


def init(file: Path, *, folder: Path | None = None) -> str:
    """Make a recipe for a data file.

    Args:
        file: a data file of any kind that a recipe's `path` may name.
        folder: where the recipe will lie; the data's path is written relative to it. The current one by default.

    Returns:
        The recipe's YAML with comments; `recipe.load` takes it as it is.

    Raises:
        InputError: the file is not as it should be, or it has no two columns of text.
    """
    loaded = load(DataSource(path=str(file)), root=Path())
    seen = _look(loaded, file)
    text = _write(
        seen, file, folder or Path(), len(loaded.examples), templates.common_columns(loaded.examples)
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


def _look(loaded: LoadedData, file: Path) -> _Seen:
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
                found=", ".join(f"{name}: {kind(examples[0].fields[name])}" for name in names)
                or "no common column",
                expected="such as prompt and completion, or question and answer",
                fix="bring rows with two text fields, or write a recipe with a template over the fields there are",
            )
        note = guess.note
        template = templates.TaskTemplate(
            templates.reference(guess.prompt), templates.reference(guess.completion)
        )
    rendered = template.render_all(examples, file.stem)
    return _Seen(
        prompt=template.prompt,
        completion=template.completion,
        references=template.references,
        template=name,
        note=note,
        layout=str(loaded.source["layout"]),
        split_column=_split_column(examples, names),
        prompts=tuple(len(row.prompt) for row in rendered),
        completions=tuple(row.completion for row in rendered),
    )


def _split_column(examples: Sequence[Example], names: Sequence[str]) -> str | None:
    for name in names:
        said = {value if isinstance(value := row.fields[name], str) else None for row in examples}
        if {"train", "test"} <= said <= set(SPLITS):
            return name
    return None


def _write(seen: _Seen, file: Path, folder: Path, rows: int, names: Sequence[str]) -> str:
    path = Path(os.path.relpath(file, folder)).as_posix()
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", file.stem).strip("-._") or "task"
    longest = _tokens(max(seen.prompts)) + _tokens(max(map(len, seen.completions))) + 64
    why, metrics = seen.metrics
    split = (
        f"    split: {{column: {_text(seen.split_column)}}} # this column says train, validation or test"
        if seen.split_column
        else "    split: {train: 0.8, validation: 0.1, test: 0.1, seed: 0} # "
        + ("the turns of a conversation" if seen.layout in CONVERSATIONS else "rows with equal prompts")
        + " stay together"
    )
    shape = f" ({seen.layout})" if seen.layout != "plain" else ""
    lines = [
        f"# Made from {_plain(file.name)}{shape}: {rows:,} rows with the columns {_listed(names)}.",
        f"# Then: tutelage run {_plain(name)}.yaml",
        "model: smollm2-135m-instruct # or a hub id, a folder, a .gguf file",
        "tasks:",
        f"  - name: {_text(name)}",
        f"    data: {{path: {_text(path)}}}",
        f"    # {_plain(seen.note)}",
        f"    prompt: {_text(seen.prompt)}",
        f"    completion: {_text(seen.completion)}",
        *([f"    references: {_text(seen.references)}"] if seen.references else []),
        split,
        f"    metrics: [{', '.join(metrics)}] # for {why}; the first one decides whether the model has learned",
        f"    max_new_tokens: {_answer_tokens(seen)} # of an answer",
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


def _text(text: str | None) -> str:
    """A text as YAML: a JSON string is one."""
    return json.dumps(text, ensure_ascii=True)


def _listed(names: Sequence[str]) -> str:
    """Columns for a comment: their names, of many the first ones."""
    more = f" and {len(names) - COLUMNS_SHOWN:,} more" if len(names) > COLUMNS_SHOWN else ""
    return _plain(", ".join(names[:COLUMNS_SHOWN])) + more


def _plain(text: str) -> str:
    """A text for a comment: on one line, without control characters."""
    return _text(text)[1:-1]


def _tokens(characters: int) -> int:
    return -(-characters // CHARACTERS_A_TOKEN)


def _answer_tokens(seen: _Seen) -> int:
    lengths = sorted(_tokens(len(text)) for text in seen.completions)
    wanted = lengths[min(len(lengths) - 1, int(0.95 * len(lengths)))]
    return min(512, max(8, -(-wanted // 8) * 8))


def _length(longest: int) -> int:
    """A power of two that holds the longest row, up to the default."""
    return min(DEFAULT_LENGTH, max(128, 1 << (longest - 1).bit_length()))
