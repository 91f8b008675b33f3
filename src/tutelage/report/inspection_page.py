"""The page of an inspection: what a recipe will train on, as one HTML file without scripts."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment

from tutelage.core.version import __version__
from tutelage.report import data_card, formatting
from tutelage.report.data_card import TaskCard
from tutelage.report.environment import environment, static
from tutelage.report.inspection import InspectedTask, Inspection, Token, share, token_runs, visible

MAX_TOKENS = 4000  # of one row
MAX_PAIRS = 12  # of repeated rows or leaks


def render_inspection(inspection: Inspection) -> str:
    """Make an HTML page of an inspection that works without a network and without scripts, with every text escaped."""
    page = _environment().get_template("inspect.html.j2").render(
        style=static("style.css", "inspect.css"),
        inspection=inspection,
        version=__version__,
    )  # fmt: skip
    return page.lstrip()


@cache
def _environment() -> Environment:
    jinja = environment(plain=_plain, count=_count, share=share, card=_card, runs=token_runs, spell=_spell)
    jinja.globals.update(MAX_TOKENS=MAX_TOKENS, MAX_PAIRS=MAX_PAIRS)
    return jinja


def _card(task: InspectedTask) -> TaskCard:
    """The task's data card, as in the report of a run."""
    (card,) = data_card.tasks({"tasks": {task.name: {**task.as_json(), "rows": None, "leaks": None}}})
    return card


def _count(value: float) -> str:
    return formatting.count(value).text


def _plain(value: object) -> str:
    return visible("" if value is None else str(value))


def _spell(token: Token) -> str:
    """A token's text with line breaks and tabs made visible; its spaces are visible by the token's box."""
    return visible(token.text).replace("\n", "\u21b5").replace("\t", "\u21e5")
