"""What a recipe will train on, as plain values: for the terminal, for programs, and as one page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from itertools import pairwise
from typing import Any, Literal

from jinja2 import Environment

from tutelage.core.version import __version__
from tutelage.report import data_card, formatting
from tutelage.report.data_card import TaskCard
from tutelage.report.environment import environment, style

MOST_TOKENS = 4000  # of one row on the page
MOST_PAIRS = 12  # of repeated rows or leaks
_SHAPELESS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff\ufff9-\ufffb\ufffe\uffff]"
)


@dataclass(frozen=True, slots=True)
class Token:
    """One token's own text; `special` where it is a control token and not what somebody wrote."""

    text: str
    learned: bool
    special: bool = False


@dataclass(frozen=True, slots=True)
class Cut:
    """What truncation took from a prompt: the field, how many tokens, their words, and from which side of the field."""

    field: str
    tokens: int
    text: str
    side: Literal["start", "end"]


@dataclass(frozen=True, slots=True)
class InspectedRow:
    """One row as the model meets it.

    Attributes:
        id, origin, task, split: which row.
        prompt, completion: the row in words, before the chat template, with nothing cut.
        text: all tokens as text.
        tokens: of the whole row; a test row ends where the model begins to answer.
        source: how many of the tokens go to an encoder of their own; 0 for decoder-only models.
        cut: what truncation took, or None.
        notes: that it repeats a row, or stands in training and test.
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
    cut: Cut | None = None
    notes: tuple[str, ...] = ()

    @property
    def learned(self) -> int:
        """How many tokens bear loss."""
        return sum(token.learned for token in self.tokens)

    def as_json(self) -> dict[str, Any]:
        """The row for programs."""
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
    """Something that goes wrong without a word, or is worth knowing.

    Attributes:
        kind: its short name, which does not change.
        level: `warning`, or `note` where it does no harm here.
        what: one sentence.
        where: the task or the part of the recipe.
        found, expected: what is there, and what should be.
        why: what comes of it.
        fix: what to do.
        rows: the first rows that show it, as `--row` takes them.
    """

    kind: str
    level: Literal["warning", "note"]
    what: str
    where: str
    found: str
    expected: str
    why: str
    fix: str
    rows: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InspectedTask:
    """One task: where its rows come from, how they were split and put into words, how long they are.

    Attributes:
        name, source, splits, unused, template, prompt, completion: as the data card has them.
        tokens: lengths by split.
        repeated: how many rows of a split say the same as an earlier one of it.
        near: how many more are nearly the same as an earlier one.
        repeats: those of `repeated` as {"row", "first", "split"}.
        leaks: test rows that stand in training as {"test", "train"}, and "similarity" where only nearly.
        rows: the ones to look at.
        times: how often each training row comes in an epoch, on the average: 1 without a mixture, 0 when it is held out.
    """

    name: str
    source: Mapping[str, Any]
    splits: Mapping[str, int]
    tokens: Mapping[str, Mapping[str, Any]]
    repeated: Mapping[str, int]
    near: Mapping[str, int]
    repeats: tuple[Mapping[str, str], ...]
    leaks: tuple[Mapping[str, Any], ...]
    unused: int
    template: str
    prompt: str
    completion: str
    rows: tuple[InspectedRow, ...]
    times: float = 1.0

    @property
    def rows_per_epoch(self) -> int:
        """Training rows in an epoch."""
        return round(self.times * self.splits["train"])

    @property
    def tokens_per_epoch(self) -> int:
        """Tokens that go through the model in an epoch; with a mixture, as the rows' mean length has it."""
        return round(self.times * int(self.tokens["train"]["tokens"]))

    @property
    def loss_tokens_per_epoch(self) -> int:
        """How many of them are learned."""
        return round(self.times * int(self.tokens["train"]["loss_tokens"]))

    @property
    def loss_share(self) -> float:
        """The learned share of an epoch's tokens, 0 to 1."""
        return self.loss_tokens_per_epoch / max(1, self.tokens_per_epoch)

    def as_json(self) -> dict[str, Any]:
        """The task for programs."""
        told = {
            name: getattr(self, name) for name in ("source", "splits", "tokens", "repeated", "near", "unused")
        }
        return {
            **told,
            "repeats": list(self.repeats),
            "leaks": list(self.leaks),
            **{name: getattr(self, name) for name in ("template", "prompt", "completion")},
            "rows_per_epoch": self.rows_per_epoch,
            "tokens_per_epoch": self.tokens_per_epoch,
            "loss_share": self.loss_share,
            "rows": [row.as_json() for row in self.rows],
        }


@dataclass(frozen=True, slots=True)
class Inspection:
    """A recipe looked at: its tasks and what is suspicious.

    Attributes:
        recipe, model: their names.
        chat_template, template_text: what the chat template is called and its Jinja; None where none is used.
        max_length: the most tokens of a row.
        epochs: how often each row is seen.
        tasks, findings: what was seen.
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
        """Tokens of an epoch, over all tasks."""
        return sum(task.tokens_per_epoch for task in self.tasks)

    @property
    def loss_tokens_per_epoch(self) -> int:
        """How many of them are learned."""
        return sum(task.loss_tokens_per_epoch for task in self.tasks)

    @property
    def rows_per_epoch(self) -> int:
        """Training rows, over all tasks."""
        return sum(task.rows_per_epoch for task in self.tasks)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The findings that are more than notes."""
        return tuple(one for one in self.findings if one.level == "warning")

    def as_json(self) -> dict[str, Any]:
        """The one document that `--json` prints."""
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
            "warnings": [{**asdict(one), "rows": list(one.rows)} for one in self.findings],
        }


def page_of(inspection: Inspection) -> str:
    """The inspection as one HTML page that needs no network and no script, every text in it escaped."""
    page = _environment().get_template("inspect.html.j2").render(
        style=style("style.css", "inspect.css"),
        it=inspection,
        version=__version__,
    )  # fmt: skip
    return page.lstrip()


def runs_of(row: InspectedRow) -> list[tuple[str, list[Token]]]:
    """A row's tokens in runs: `source` for the encoder's, then `read` and `learn` as they follow each other."""
    kinds = [
        "source" if n < row.source else "learn" if token.learned else "read"
        for n, token in enumerate(row.tokens)
    ]
    edges = [0, *(n for n, (a, b) in enumerate(pairwise(kinds), 1) if a != b), len(kinds)]
    return [(kinds[a], list(row.tokens[a:b])) for a, b in pairwise(edges) if a < b]


def visible(text: str) -> str:
    """A text in which what has no shape has a name, such as <U+202E>; spaces and line breaks stay."""
    return _SHAPELESS.sub(lambda char: f"<U+{ord(char[0]):04X}>", text)


def share(part: float) -> str:
    """A share of 0 to 1 in percent, with as many digits as say something."""
    percent = 100 * part
    return f"{percent:.0f} %" if percent >= 10 or percent == 0 else f"{percent:.1f} %"


@cache
def _environment() -> Environment:
    made = environment(plain=_plain, count=_count, share=share, card=_card, runs=runs_of, spell=_spell)
    made.globals.update(MOST_TOKENS=MOST_TOKENS, MOST_PAIRS=MOST_PAIRS)
    return made


def _card(task: InspectedTask) -> TaskCard:
    """The task's data card for people: the same figures, histograms and words as in a run's report."""
    told = {**task.as_json(), "rows": None, "leaks": None}
    (made,) = data_card.tasks({"tasks": {task.name: told}})
    return made


def _count(value: float) -> str:
    return formatting.count(value).text


def _plain(value: object) -> str:
    return visible("" if value is None else str(value))


def _spell(token: Token) -> str:
    """A token for the page: its spaces stay, for its box shows them; a line break is seen."""
    return visible(token.text).replace("\n", "\u21b5").replace("\t", "\u21e5")
