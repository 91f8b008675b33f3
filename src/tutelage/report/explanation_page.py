"""The page of explanations: one HTML file that works without a network and without scripts, with every text escaped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import groupby

from jinja2 import Environment

from tutelage.comparison import wording
from tutelage.core.version import __version__
from tutelage.report import formatting
from tutelage.report.environment import environment, static
from tutelage.scoring.explain import MarkedText, NGramCount, RowExplanation, phrasing

MAX_CHARACTERS = 20_000  # of one text
MAX_CHIPS = 60  # of one list


def render_explanations(explanations: Sequence[RowExplanation]) -> str:
    """Make an HTML page of explanations, in the order given, those of a row under one heading."""
    groups = [(title, list(members)) for title, members in groupby(explanations, key=lambda row: row.title)]
    page = _environment().get_template("explained.html.j2").render(
        style=static("style.css", "explained.css"),
        groups=groups,
        glossary=_glossary(explanations),
        version=__version__,
    )  # fmt: skip
    return page.lstrip()


@cache
def _environment() -> Environment:
    jinja = environment(clean=_clean, pieces=_pieces, label=_label, sentence=_sentence, forms=_forms)
    jinja.globals.update(phrasing=phrasing, MAX_CHARACTERS=MAX_CHARACTERS, MAX_CHIPS=MAX_CHIPS)
    return jinja


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _clean(text: object) -> str:
    return formatting.CONTROLS.sub("\N{REPLACEMENT CHARACTER}", phrasing.clean(str(text)))


def _label(metric: str) -> str:
    return _clean(wording.metric_wording(metric).label)


def _pieces(marked: MarkedText) -> Iterator[tuple[str | None, str]]:
    """The pieces of a text up to its longest length on the page."""
    room = MAX_CHARACTERS
    for kind, piece in marked.pieces():
        if room > 0:
            yield kind, _clean(piece[:room])
        room -= len(piece)


def _forms(gram: NGramCount) -> str:
    return formatting.CONTROLS.sub("\N{REPLACEMENT CHARACTER}", phrasing.forms(gram))


def _glossary(explanations: Sequence[RowExplanation]) -> list[tuple[str, str]]:
    """Each metric's label and what it means, once."""
    metrics = dict.fromkeys(row.explanation.metric.partition(":")[0] for row in explanations)
    wordings = map(wording.metric_wording, metrics)
    return [(each.label, each.explain) for each in wordings]
