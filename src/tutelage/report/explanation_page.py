"""The page of explanations: one file that needs no network and no script, every text in it escaped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby

from jinja2 import Environment

from tutelage.comparison import wording
from tutelage.core.version import __version__
from tutelage.report import formatting as shown
from tutelage.report.environment import environment, style
from tutelage.scoring.explain import Gram, Marked, phrasing
from tutelage.scoring.explain.terminal_text import RowExplanation

LONGEST = 20_000  # characters of one text
MOST = 60  # n-grams of one list


@dataclass(frozen=True, slots=True)
class Chip:
    """An n-gram in a list: its forms, how often it counts there, and how often clipping cut it."""

    text: str
    count: int
    cut: int = 0


@dataclass(frozen=True, slots=True)
class Chips:
    """The first of a list of n-grams, and how many more there are."""

    shown: tuple[Chip, ...]
    more: int


def page_of(explanations: Sequence[RowExplanation]) -> str:
    """The explanations as one HTML page, in the order given, rows under their line."""
    groups = [(title, list(own)) for title, own in groupby(explanations, key=lambda one: one.title)]
    page = _environment().get_template("explained.html.j2").render(
        style=style("style.css", "explained.css"),
        groups=groups,
        glossary=_glossary(explanations),
        version=__version__,
    )  # fmt: skip
    return page.lstrip()


@cache
def _environment() -> Environment:
    made = environment(clean=_clean, pieces=_pieces, kind=_kind, label=_label, sentence=_sentence)
    made.filters.update(matched=_matched, only=_only, missing=_missing)
    made.globals.update(reasons=phrasing, LONGEST=LONGEST)
    return made


def _kind(told: object) -> str:
    return type(told).__name__


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _clean(text: object) -> str:
    return shown.CONTROLS.sub("\N{REPLACEMENT CHARACTER}", phrasing.clean(str(text)))


def _label(metric: str) -> str:
    return _clean(wording.metric_wording(metric).label)


def _pieces(marked: Marked) -> Iterator[tuple[str | None, str]]:
    """The text's pieces as far as the page shows it."""
    room = LONGEST
    for kind, piece in marked.pieces():
        if room > 0:
            yield kind, _clean(piece[:room])
        room -= len(piece)


def _matched(grams: Iterable[Gram]) -> Chips:
    return _chips(Chip(_forms(gram), gram.counted, gram.cut) for gram in grams if gram.counted)


def _only(grams: Iterable[Gram]) -> Chips:
    return _chips(Chip(_forms(gram), gram.prediction) for gram in grams if not gram.reference)


def _missing(grams: Iterable[Gram]) -> Chips:
    return _chips(Chip(_forms(gram), gram.reference) for gram in grams if not gram.prediction)


def _chips(every: Iterable[Chip]) -> Chips:
    found = tuple(every)
    return Chips(found[:MOST], max(0, len(found) - MOST))


def _forms(gram: Gram) -> str:
    return shown.CONTROLS.sub("\N{REPLACEMENT CHARACTER}", phrasing.forms(gram))


def _glossary(explanations: Sequence[RowExplanation]) -> list[tuple[str, str]]:
    """Each metric's name for people and what it means, once."""
    told = dict.fromkeys(one.explanation.metric.partition(":")[0] for one in explanations)
    return [(wording.metric_wording(metric).label, wording.metric_wording(metric).explain) for metric in told]
