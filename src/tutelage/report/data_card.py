"""The data card as the page shows it: what was trained on, what was held out, what was left out and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tutelage.report import formatting
from tutelage.report.chart import HistogramBars, bars

MAX_LISTED = 8  # entries of one list
MAX_TASKS = 40
MAX_ROWS = 12  # rows with their tokens, over all tasks
MAX_EDGE_TOKENS = 200  # at the beginning and at the end of a row
LENGTHS = ("min", "median", "p95", "max")
SPLITS = ("train", "validation", "test")

Card = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SplitRow:
    """One split's counts as text; '' if the card has none."""

    name: str
    rows: str
    tokens: str
    loss_tokens: str
    loss_share: str
    truncated: str
    prompt: str
    completion: str


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One row as the model met it: its tokens, each with whether it bears loss.

    `skipped` tokens are left out between `head` and `tail`; `learned` and `total` count the tokens of the whole row.
    """

    id: str
    head: tuple[tuple[str, bool], ...]
    skipped: int
    tail: tuple[tuple[str, bool], ...]
    learned: int
    total: int


@dataclass(frozen=True, slots=True)
class Histogram:
    """The lengths of the training rows: title, summary, bars."""

    title: str
    summary: str
    bars: HistogramBars


@dataclass(frozen=True, slots=True)
class TaskCard:
    """One task's card: its part of the data card as `content`, and what the page makes of it."""

    name: str
    content: Card
    source: tuple[tuple[str, str], ...]
    splits: tuple[SplitRow, ...]
    histograms: tuple[Histogram, ...]
    examples: tuple[TrainingRow, ...]


def tasks(card: Card) -> list[TaskCard]:
    """Make the cards of the first 40 tasks."""
    task_cards: Mapping[str, Card] = card.get("tasks") or {}
    rows = max(1, MAX_ROWS // max(1, len(task_cards)))
    return [
        _task(name, task_card, rows if place * rows < MAX_ROWS else 0)
        for place, (name, task_card) in enumerate(list(task_cards.items())[:MAX_TASKS])
    ]


def _task(name: str, card: Card, max_rows: int) -> TaskCard:
    train = (card.get("tokens") or {}).get("train") or {}
    return TaskCard(
        name=formatting.plain(name),
        content=card,
        source=tuple(
            (formatting.plain(key).replace("_", " "), formatting.plain(value))
            for key, value in {**(card.get("source") or {}), "rows": card.get("rows")}.items()
            if value not in (None, "", [], {})
        ),
        splits=tuple(_split(split, card) for split in SPLITS if split in (card.get("splits") or {})),
        histograms=tuple(_histograms(train)),
        examples=tuple(_training_row(row) for row in (card.get("examples") or [])[:max_rows]),
    )


def _histograms(train: Mapping[str, Any]) -> Iterator[Histogram]:
    titles = {"prompt": "Prompt lengths", "completion": "Completion lengths"}
    for side, title in titles.items():
        histogram = (train.get("histograms") or {}).get(side)
        lengths = train.get(side)
        if histogram and lengths:
            summary = (
                f"{_count(lengths['min'])} to {_count(lengths['max'])} tokens, half of the rows at most "
                f"{_count(lengths['median'])}, 95 of 100 at most {_count(lengths['p95'])}"
            )
            yield Histogram(title, summary, bars(histogram["start"], histogram["width"], histogram["bars"]))


def _split(name: str, card: Card) -> SplitRow:
    counts = (card.get("tokens") or {}).get(name) or {}
    total = counts.get("tokens")
    return SplitRow(
        name=name,
        rows=_count(card["splits"][name]),
        tokens=_count(counts.get("tokens")),
        loss_tokens=_count(counts.get("loss_tokens")),
        loss_share=f"{round(100 * counts['loss_tokens'] / total, 1)} %" if total else "",
        truncated=_count(counts.get("truncated")),
        prompt=_lengths(counts.get("prompt")),
        completion=_lengths(counts.get("completion")),
    )


def _training_row(row: Mapping[str, Any]) -> TrainingRow:
    tokens = [
        (formatting.text(token).content, bool(learned))
        for token, learned in zip(row.get("tokens") or [], row.get("mask") or [], strict=False)
    ]
    tail_start = max(MAX_EDGE_TOKENS, len(tokens) - MAX_EDGE_TOKENS)
    return TrainingRow(
        id=formatting.plain(row.get("origin") or row.get("id")),
        head=tuple(tokens[:MAX_EDGE_TOKENS]),
        skipped=len(tokens[MAX_EDGE_TOKENS:tail_start]),
        tail=tuple(tokens[tail_start:]),
        learned=sum(learned for _, learned in tokens),
        total=len(tokens),
    )


def _count(value: Any) -> str:
    return formatting.count(value).text if isinstance(value, int | float) else ""


def _lengths(lengths: Any) -> str:
    if not isinstance(lengths, Mapping) or not lengths:
        return ""
    return " / ".join(_count(lengths.get(key)) for key in LENGTHS)
