"""The data card for people: what was trained on, what was held out, what was left out and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tutelage.report import formatting
from tutelage.report.chart import Bars, bars
from tutelage.report.formatting import Text

MOST = 8  # places of one list
MOST_TASKS = 40
MOST_ROWS = 12  # rows with their tokens, over all tasks
ENDS = 200  # tokens at either end of a row that is shown
LENGTHS = ("min", "median", "p95", "max")
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class SplitRow:
    """One split's counts as they are shown; '' where the card has none."""

    name: str
    rows: str
    tokens: str
    loss_tokens: str
    loss_share: str
    truncated: str
    prompt: str
    completion: str


@dataclass(frozen=True, slots=True)
class Trained:
    """One row as the model met it: each token with whether the model is asked to learn it.

    `skipped` tokens are left out between `head` and `tail`; `learned` counts those of the whole row.
    """

    id: str
    head: tuple[tuple[str, bool], ...]
    skipped: int
    tail: tuple[tuple[str, bool], ...]
    learned: int
    total: int


@dataclass(frozen=True, slots=True)
class Histogram:
    """How long the training rows are: what was counted, the sentence, the bars."""

    title: str
    said: str
    bars: Bars


@dataclass(frozen=True, slots=True)
class TaskCard:
    """One task's card; `loss_percent` is the share of the training tokens that bear loss, in percent."""

    name: str
    source: tuple[tuple[str, str], ...]
    words: tuple[tuple[str, Text], ...]
    wordings: tuple[tuple[str, str], ...]
    shots: str
    splits: tuple[SplitRow, ...]
    loss_percent: float | None
    histograms: tuple[Histogram, ...]
    repeated: tuple[tuple[str, str], ...]
    near: tuple[tuple[str, str], ...]
    dropped: tuple[tuple[str, str], ...]
    dropped_count: int
    leaks: tuple[tuple[str, str], ...] | None
    leaks_count: int
    looked: str
    examples: tuple[Trained, ...]


@dataclass(frozen=True, slots=True)
class Overlap:
    """One watched benchmark: how many of its items were looked for, how many stand in training, the first of them."""

    name: str
    items: str
    found: int
    first: tuple[tuple[str, str, str], ...]


def overlaps(card: Mapping[str, Any]) -> list[Overlap]:
    """The watched benchmarks' items among the training rows."""
    told: Mapping[str, Mapping[str, Any]] = card.get("overlap") or {}
    return [
        Overlap(
            name=formatting.plain(name),
            items=_count(one["items"]),
            found=one["found"],
            first=tuple(
                (formatting.plain(hit["item"]), formatting.plain(hit["train"]), formatting.plain(hit["how"]))
                for hit in one["first"][:MOST]
            ),
        )
        for name, one in told.items()
    ]


def tasks(card: Mapping[str, Any]) -> list[TaskCard]:
    """The cards of the first 40 tasks."""
    told: Mapping[str, Mapping[str, Any]] = card.get("tasks") or {}
    rows = max(1, MOST_ROWS // max(1, len(told)))
    return [
        _task(name, one, rows if place * rows < MOST_ROWS else 0)
        for place, (name, one) in enumerate(list(told.items())[:MOST_TASKS])
    ]


def _task(name: str, told: Mapping[str, Any], rows: int) -> TaskCard:
    dropped: Sequence[Mapping[str, Any]] = told.get("dropped") or []
    train = (told.get("tokens") or {}).get("train") or {}
    leaks = told.get("leaks")
    pairs = [pair for found in (leaks or {}).values() for pair in found]
    return TaskCard(
        name=formatting.plain(name),
        source=tuple(
            (formatting.plain(key).replace("_", " "), formatting.plain(value))
            for key, value in {**(told.get("source") or {}), "rows": told.get("rows")}.items()
            if value not in (None, "", [], {})
        ),
        words=tuple(
            (key, formatting.text(told[key]))
            for key in ("template", "prompt", "completion")
            if isinstance(told.get(key), str)
        ),
        wordings=tuple(
            (split, ", ".join(f"{formatting.plain(name)} {_count(n)}" for name, n in counts.items()))
            for split, counts in (told.get("wordings") or {}).items()
        ),
        shots=", ".join(
            f"{formatting.plain(kept)} before {_count(n)} rows"
            for kept, n in (told.get("shots") or {}).items()
        ),
        splits=tuple(_split(split, told) for split in SPLITS if split in (told.get("splits") or {})),
        loss_percent=_percent(train),
        histograms=tuple(_histograms(train)),
        repeated=tuple((split, _count(n)) for split, n in (told.get("repeated") or {}).items() if n),
        near=tuple((split, _count(n)) for split, n in (told.get("near") or {}).items() if n),
        dropped=tuple(
            (formatting.plain(one.get("where")), formatting.plain(one.get("why"))) for one in dropped[:MOST]
        ),
        dropped_count=len(dropped),
        leaks=None
        if leaks is None
        else tuple(
            (formatting.plain(pair["test"]), formatting.plain(pair["train"])) for pair in pairs[:MOST]
        ),
        leaks_count=len(pairs),
        looked=_looked(told.get("looked") or {}),
        examples=tuple(_trained(one) for one in _examples(told)[:rows]),
    )


def _looked(told: Mapping[str, Any]) -> str:
    return f"{_count(told['rows'])}, first on {formatting.plain(told['first'])}" if told else ""


def _examples(told: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return list(told.get("examples") or [])


def _histograms(train: Mapping[str, Any]) -> Iterator[Histogram]:
    titles = {"prompt": "Prompt lengths", "completion": "Completion lengths"}
    for side, title in titles.items():
        found = (train.get("histograms") or {}).get(side)
        extent = train.get(side) or {}
        if found and extent:
            said = (
                f"{_count(extent['min'])} to {_count(extent['max'])} tokens, half of the rows at most "
                f"{_count(extent['median'])}, 95 of 100 at most {_count(extent['p95'])}"
            )
            yield Histogram(title, said, bars(found["start"], found["width"], found["bars"]))


def _percent(tokens: Mapping[str, Any]) -> float | None:
    whole = tokens.get("tokens")
    return round(100 * tokens["loss_tokens"] / whole, 1) if whole else None


def _split(name: str, told: Mapping[str, Any]) -> SplitRow:
    tokens = (told.get("tokens") or {}).get(name) or {}
    return SplitRow(
        name=name,
        rows=_count(told["splits"][name]),
        tokens=_count(tokens.get("tokens")),
        loss_tokens=_count(tokens.get("loss_tokens")),
        loss_share="" if _percent(tokens) is None else f"{_percent(tokens)} %",
        truncated=_count(tokens.get("truncated")),
        prompt=_lengths(tokens.get("prompt")),
        completion=_lengths(tokens.get("completion")),
    )


def _trained(one: Mapping[str, Any]) -> Trained:
    pairs = [
        (formatting.text(token).content, bool(learned))
        for token, learned in zip(one.get("tokens") or [], one.get("mask") or [], strict=False)
    ]
    cut = max(ENDS, len(pairs) - ENDS)
    return Trained(
        id=formatting.plain(one.get("origin") or one.get("id")),
        head=tuple(pairs[:ENDS]),
        skipped=len(pairs[ENDS:cut]),
        tail=tuple(pairs[cut:]),
        learned=sum(learned for _, learned in pairs),
        total=len(pairs),
    )


def _count(value: Any) -> str:
    return formatting.count(value).text if isinstance(value, int | float) else ""


def _lengths(told: Any) -> str:
    if not isinstance(told, Mapping) or not told:
        return ""
    return " / ".join(_count(told.get(key)) for key in LENGTHS)
