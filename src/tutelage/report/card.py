"""The data card for people: what was trained on, what was held out, what was left out and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tutelage.report import shown
from tutelage.report.shown import Text

MOST = 8
MOST_TOKENS = 400
LENGTHS = ("min", "median", "p95", "max")
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class SplitRow:
    """One split's counts as they are shown; '' where the card has none."""

    name: str
    rows: str
    tokens: str
    loss_tokens: str
    truncated: str
    prompt: str
    completion: str


@dataclass(frozen=True, slots=True)
class Trained:
    """One row as the model met it: each token with whether the model is asked to learn it."""

    id: str
    tokens: tuple[tuple[str, bool], ...]
    more: int


@dataclass(frozen=True, slots=True)
class TaskCard:
    """One task's card."""

    name: str
    source: tuple[tuple[str, str], ...]
    words: tuple[tuple[str, Text], ...]
    splits: tuple[SplitRow, ...]
    dropped: tuple[tuple[str, str], ...]
    dropped_count: int
    leaks: tuple[tuple[str, int], ...]
    examples: tuple[Trained, ...]


def tasks(card: Mapping[str, Any]) -> list[TaskCard]:
    """The cards of all tasks."""
    return [_task(name, told) for name, told in (card.get("tasks") or {}).items()]


def _task(name: str, told: Mapping[str, Any]) -> TaskCard:
    dropped: Sequence[Mapping[str, Any]] = told.get("dropped") or []
    return TaskCard(
        name=shown.plain(name),
        source=tuple(
            (shown.plain(key).replace("_", " "), shown.plain(value))
            for key, value in {**(told.get("source") or {}), "rows": told.get("rows")}.items()
            if value not in (None, "", [], {})
        ),
        words=tuple(
            (key, shown.text(told[key]))
            for key in ("template", "prompt", "completion")
            if isinstance(told.get(key), str)
        ),
        splits=tuple(_split(split, told) for split in SPLITS if split in (told.get("splits") or {})),
        dropped=tuple((shown.plain(one.get("where")), shown.plain(one.get("why"))) for one in dropped[:MOST]),
        dropped_count=len(dropped),
        leaks=tuple((shown.plain(kind), len(found)) for kind, found in (told.get("leaks") or {}).items()),
        examples=tuple(_trained(one) for one in _examples(told)),
    )


def _examples(told: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Two rows, wherever the card has put them."""
    found = told.get("examples") or (told.get("tokens") or {}).get("examples") or []
    return list(found)[:2]


def _split(name: str, told: Mapping[str, Any]) -> SplitRow:
    tokens = (told.get("tokens") or {}).get(name) or {}
    return SplitRow(
        name=name,
        rows=_count(told["splits"][name]),
        tokens=_count(tokens.get("tokens")),
        loss_tokens=_count(tokens.get("loss_tokens")),
        truncated=_count(tokens.get("truncated")),
        prompt=_lengths(tokens.get("prompt")),
        completion=_lengths(tokens.get("completion")),
    )


def _trained(one: Mapping[str, Any]) -> Trained:
    pairs = list(zip(one.get("tokens") or [], one.get("mask") or [], strict=False))
    return Trained(
        id=shown.plain(one.get("id")),
        tokens=tuple((shown.text(token).content, bool(learned)) for token, learned in pairs[:MOST_TOKENS]),
        more=max(0, len(pairs) - MOST_TOKENS),
    )


def _count(value: Any) -> str:
    return shown.count(value).text if isinstance(value, int | float) else ""


def _lengths(told: Any) -> str:
    if not isinstance(told, Mapping) or not told:
        return ""
    return " / ".join(_count(told.get(key)) for key in LENGTHS)
