"""Many tasks on the page: their means before and after, and what of each was really seen in training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tutelage.report import formatting
from tutelage.report.data_card import MOST_TASKS
from tutelage.report.formatting import Number


@dataclass(frozen=True, slots=True)
class Means:
    """Tasks summed up: means on a scale of 0 to 100, and the difference with its interval."""

    name: str
    tasks: int
    without: int
    base: Number
    tuned: Number
    difference: tuple[Number, Number, Number]
    p: Number
    items: Number
    moved: str


@dataclass(frozen=True, slots=True)
class Seen:
    """One task, template or style as it was seen: shares of rows in percent, and counts."""

    name: str
    asked: Number | None
    share: Number
    rows: Number
    tokens: Number
    loss_tokens: Number
    most: Number | None = None


@dataclass(frozen=True, slots=True)
class Mixture:
    """What was seen of all tasks, by style and by template, and what is to be said of it."""

    tasks: tuple[Seen, ...]
    styles: tuple[Seen, ...]
    templates: tuple[Seen, ...]
    more: int
    said: tuple[str, ...]


def means(results: Mapping[str, Any]) -> list[Means]:
    """The groups of tasks that were summed up."""
    return [_means(formatting.plain(name), told) for name, told in (results.get("groups") or {}).items()]


def _means(name: str, told: Mapping[str, Any]) -> Means:
    low, high = told["difference"]["low"], told["difference"]["high"]
    return Means(
        name=name,
        tasks=len(told["tasks"]),
        without=len(told["without"]),
        base=_hundred(told["base"]["value"]),
        tuned=_hundred(told["tuned"]["value"]),
        difference=(
            _hundred(told["difference"]["value"], sign=True),
            _hundred(low, sign=True),
            _hundred(high, sign=True),
        ),
        p=formatting.probability(told["difference"]["p"]),
        items=formatting.count(told["difference"]["n"]),
        moved="better" if low > 0 else "worse" if high < 0 else "",
    )


def seen(card: Mapping[str, Any]) -> Mixture | None:
    """What the training saw, by task, style and template; None where there is one task in one form."""
    told: Mapping[str, Mapping[str, Any]] = (card.get("training") or {}).get("tasks") or {}
    if not told:
        return None
    total = sum(one["rows"] for one in told.values())
    by: dict[str, dict[str, Counter[str]]] = {"styles": {}, "templates": {}}
    for one in told.values():
        for kind, names in by.items():
            for name, counts in one[kind].items():
                names.setdefault(name, Counter()).update(counts)
    mixture = card.get("mixture") or {}
    return Mixture(
        tasks=tuple(_seen(name, one, total) for name, one in list(told.items())[:MOST_TASKS]),
        styles=tuple(_seen(name, one, total) for name, one in sorted(by["styles"].items())),
        templates=tuple(
            _seen(name, one, total)
            for name, one in sorted(by["templates"].items(), key=lambda item: (-item[1]["rows"], item[0]))[
                :MOST_TASKS
            ]
        ),
        more=max(0, len(told) - MOST_TASKS),
        said=tuple(_said(mixture, told)),
    )


def _seen(name: str, told: Mapping[str, Any], total: int) -> Seen:
    return Seen(
        name=formatting.plain(name),
        asked=_hundred(told["asked"]) if "asked" in told else None,
        share=_hundred(told["rows"] / total),
        rows=formatting.count(told["rows"]),
        tokens=formatting.count(told["tokens"]),
        loss_tokens=formatting.count(told["loss_tokens"]),
        most=formatting.count(told["most"]) if "most" in told else None,
    )


def _said(mixture: Mapping[str, Any], told: Mapping[str, Mapping[str, Any]]) -> list[str]:
    found = [formatting.plain(line) for line in mixture.get("said") or []]
    replay = mixture.get("replay")
    if replay:
        tokens = sum(one["tokens"] for one in told.values())
        share = told[replay["from"]]["tokens"] / tokens
        found.append(
            f"Of all tokens {100 * share:.1f} % were replayed from {formatting.plain(replay['from'])}; "
            f"{100 * replay['token_share']:.1f} % were asked, which made {100 * replay['row_share']:.1f} % of the rows."
        )
    if left := mixture.get("left_out"):
        names = ", ".join(
            f"{formatting.plain(one['task'])} ({formatting.plain(one['cluster'])})" for one in left[:8]
        )
        more = f" and {len(left) - 8} more" if len(left) > 8 else ""
        found.append(f"Too near to what is held out, and neither taught nor asked: {names}{more}.")
    return found


def _hundred(value: float, *, sign: bool = False) -> Number:
    return Number(value, f"{100 * value:+.1f}" if sign else f"{100 * value:.1f}")
