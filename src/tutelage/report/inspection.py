"""What a recipe will train on, as plain values for the terminal, for programs and for the page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Any, Literal

_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff\ufff9-\ufffb\ufffe\uffff]"
)


@dataclass(frozen=True, slots=True)
class Token:
    """One token's text, whether it bears loss, and whether it is a control token, which no text of the data can be."""

    text: str
    learned: bool
    special: bool = False


@dataclass(frozen=True, slots=True)
class TruncatedText:
    """What truncation cut from a prompt: the field, how many tokens, their text, and the side of the field."""

    field: str
    tokens: int
    text: str
    side: Literal["start", "end"]


@dataclass(frozen=True, slots=True)
class InspectedRow:
    """One row as the model meets it.

    Attributes:
        id, origin, task, split: which row it is.
        prompt, completion: the texts of the row before the chat template and before truncation.
        text: all tokens as text.
        tokens: of the whole row; a test row ends where the model begins to answer.
        source: how many of the tokens go to the encoder; 0 for decoder-only models.
        cut: what truncation cut, or None.
        notes: whether it repeats a row, or stands in training and test.
    """

    id: str
    origin: str
    task: str
    split: str
    prompt: str
    completion: str
    text: str
    tokens: tuple[Token, ...]
    source: int = 0
    cut: TruncatedText | None = None
    notes: tuple[str, ...] = ()

    @property
    def learned(self) -> int:
        """How many tokens bear loss."""
        return sum(token.learned for token in self.tokens)

    def as_json(self) -> dict[str, Any]:
        """The row as JSON values."""
        return {
            **{
                name: getattr(self, name)
                for name in ("id", "origin", "split", "text", "prompt", "completion")
            },
            "tokens": [token.text for token in self.tokens],
            "mask": [token.learned for token in self.tokens],
            "special": [token.special for token in self.tokens],
            "source_tokens": self.source,
            "dropped": self.cut.tokens if self.cut else 0,
            "cut": asdict(self.cut) if self.cut else None,
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that goes wrong silently, or is worth knowing.

    Attributes:
        kind: its short name, which stays the same between versions.
        level: `error` where no run starts, `warning`, or `note` if it does no harm here.
        problem: one sentence.
        where: the task or the part of the recipe.
        found, expected: what is there, and what should be.
        why: the consequence.
        fix: what to do.
        rows: the first rows that show it, as `--row` takes them.
    """

    kind: str
    level: Literal["error", "warning", "note"]
    problem: str
    where: str
    found: str
    expected: str
    why: str
    fix: str
    rows: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The finding as JSON values."""
        values = {("what" if name == "problem" else name): value for name, value in asdict(self).items()}
        return {**values, "rows": list(self.rows)}


@dataclass(frozen=True, slots=True)
class InspectedTask:
    """One task: the source of its rows, their splits, template and lengths.

    Attributes:
        name, source, splits, unused, template, prompt, completion: as the data card has them.
        tokens: lengths by split.
        repeated: by split, how many rows have the same content as an earlier row.
        near_duplicates: by split, how many more are nearly the same as an earlier row.
        repeats: the rows of `repeated` as {"row", "first", "split"}.
        leaks: test rows that stand in training as {"test", "train"}, with "similarity" for near duplicates.
        rows: the rows to show.
        columns: by use (system, history, unused) the columns that the template does not read.
        times: how often a training row comes in an epoch, on average: 1 without a mixture, 0 if the task is held out.
    """

    name: str
    source: Mapping[str, Any]
    splits: Mapping[str, int]
    tokens: Mapping[str, Mapping[str, Any]]
    repeated: Mapping[str, int]
    near_duplicates: Mapping[str, int]
    repeats: tuple[Mapping[str, str], ...]
    leaks: tuple[Mapping[str, Any], ...]
    unused: int
    template: str
    prompt: str
    completion: str
    rows: tuple[InspectedRow, ...]
    times: float = 1.0
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def rows_per_epoch(self) -> int:
        """Training rows in an epoch."""
        return round(self.times * self.splits["train"])

    @property
    def tokens_per_epoch(self) -> int:
        """Tokens in an epoch; with a mixture, estimated by the mean length of rows."""
        return round(self.times * int(self.tokens["train"]["tokens"]))

    @property
    def loss_tokens_per_epoch(self) -> int:
        """Tokens in an epoch that bear loss."""
        return round(self.times * int(self.tokens["train"]["loss_tokens"]))

    @property
    def loss_share(self) -> float:
        """The share of an epoch's tokens that bear loss, 0 to 1."""
        return self.loss_tokens_per_epoch / max(1, self.tokens_per_epoch)

    def as_json(self) -> dict[str, Any]:
        """The task as JSON values."""
        return {
            **{name: getattr(self, name) for name in ("source", "splits", "tokens", "repeated", "unused")},
            "near": self.near_duplicates,
            "repeats": list(self.repeats),
            "leaks": list(self.leaks),
            **{name: getattr(self, name) for name in ("template", "prompt", "completion")},
            "rows_per_epoch": self.rows_per_epoch,
            "tokens_per_epoch": self.tokens_per_epoch,
            "loss_share": self.loss_share,
            "columns": {use: list(names) for use, names in self.columns.items()},
            "rows": [row.as_json() for row in self.rows],
        }


@dataclass(frozen=True, slots=True)
class Inspection:
    """An inspected recipe: its tasks and findings.

    Attributes:
        recipe, model: their names.
        chat_template, template_text: the name of the chat template and its Jinja; None if there is none.
        max_length: the most tokens of a row.
        epochs: how often each row is trained on.
        tasks, findings: the tasks, and what is suspicious.
    """

    recipe: str
    model: str
    chat_template: str | None
    template_text: str | None
    max_length: int
    epochs: float
    tasks: tuple[InspectedTask, ...]
    findings: tuple[Finding, ...] = ()

    @property
    def tokens_per_epoch(self) -> int:
        """Tokens in an epoch, over all tasks."""
        return sum(task.tokens_per_epoch for task in self.tasks)

    @property
    def loss_tokens_per_epoch(self) -> int:
        """Tokens in an epoch that bear loss."""
        return sum(task.loss_tokens_per_epoch for task in self.tasks)

    @property
    def rows_per_epoch(self) -> int:
        """Training rows in an epoch, over all tasks."""
        return sum(task.rows_per_epoch for task in self.tasks)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The findings that are warnings."""
        return tuple(finding for finding in self.findings if finding.level == "warning")

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings with which no run starts."""
        return tuple(finding for finding in self.findings if finding.level == "error")

    def as_json(self) -> dict[str, Any]:
        """The document that `tutelage inspect --json` prints."""
        return {
            "schema": 1,
            "recipe": self.recipe,
            "model": self.model,
            "chat_template": self.chat_template,
            "max_length": self.max_length,
            "epochs": self.epochs,
            "rows_per_epoch": self.rows_per_epoch,
            "tokens_per_epoch": self.tokens_per_epoch,
            "loss_tokens_per_epoch": self.loss_tokens_per_epoch,
            "tasks": {task.name: task.as_json() for task in self.tasks},
            "warnings": [finding.as_json() for finding in self.findings],
        }


def token_runs(row: InspectedRow) -> list[tuple[str, list[Token]]]:
    """Split a row's tokens into runs: `source` for the encoder's, then alternating `read` and `learn`."""
    kinds = [
        "source" if n < row.source else "learn" if token.learned else "read"
        for n, token in enumerate(row.tokens)
    ]
    runs = groupby(zip(kinds, row.tokens, strict=True), key=itemgetter(0))
    return [(kind, [token for _, token in run]) for kind, run in runs]


def visible(text: str) -> str:
    """Replace invisible characters by their code points, such as <U+202E>; spaces and line breaks stay."""
    return _INVISIBLE.sub(lambda char: f"<U+{ord(char[0]):04X}>", text)


def share(part: float) -> str:
    """Format a share of 0 to 1 in percent; shares below 10 % get one decimal."""
    percent = 100 * part
    return f"{percent:.0f} %" if percent >= 10 or percent == 0 else f"{percent:.1f} %"
