"""Rows' texts without the rows: a prompt and a completion straight out of the few values that two templates read.

For who needs many texts and no more, as a mixture of millions of rows does. What comes out is what the whole template makes of the
row, or nothing: then the whole template has to be asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

from jinja2 import nodes

from tutelage.core.limits import MAX_RENDERED_CHARACTERS
from tutelage.core.types import Json
from tutelage.templates import sandbox
from tutelage.templates.environment import ENVIRONMENT
from tutelage.templates.placeholders import Gap, attempt, fair, gaps
from tutelage.templates.sandbox import Failure


class Filling(NamedTuple):
    """Puts a row's values into its prompt and its completion, and nothing else of the row.

    Attributes:
        fields: the fields that are read, each once.
        fill: (prompt, completion) of the values of `fields`; None where anything is unusual or wrong with the row: then it is
            for the whole template, which makes the same of the others.
    """

    fields: tuple[str, ...]
    fill: Callable[[Sequence[Json]], tuple[str, str] | None]


@lru_cache(maxsize=4096)
def filling(prompt: str, completion: str) -> Filling | None:
    """What fills two templates, row after row, in this process.

    Returns:
        The quick way where both have gaps alone; otherwise they are run, over the fields that they name. None where that could
        give another text.

    Raises:
        TemplateSyntaxError: as `gaps`.
    """
    first, second = gaps(prompt), gaps(completion)
    if first is None or second is None:
        return _running(prompt, completion)
    fields = tuple(dict.fromkeys(part.name for part in (*first, *second) if isinstance(part, Gap)))
    own = ("", *(part for part in (*first, *second) if isinstance(part, str)))
    asking, answering = (_picking(parts, fields, own) for parts in (first, second))
    times = max(parts.count(Gap(name)) for parts in (first, second) for name in fields) if fields else 0

    def fill(values: Sequence[Json]) -> tuple[str, str] | None:
        if times > 1 and times * sum(len(str(one)) for one in values) > MAX_RENDERED_CHARACTERS:
            return None  # a field that stands there many times could fill the memory
        pieces: tuple[Any, ...] = (*values, *own)
        try:
            asked, answer = "".join(asking(pieces)), "".join(answering(pieces))
        except TypeError:  # one of them is no text
            texts = [str(one) if type(one) is int or type(one) is float else one for one in values]
            return fill(texts) if all(type(one) is str for one in texts) else None
        said = asked and answer and not asked.isspace() and not answer.isspace()
        short = len(asked) <= MAX_RENDERED_CHARACTERS and len(answer) <= MAX_RENDERED_CHARACTERS
        usual = asked.isascii() and answer.isascii() and "<" not in asked and "<" not in answer
        return (asked, answer) if said and short and (usual or (fair(asked) and fair(answer))) else None

    return Filling(fields, fill)


def _running(prompt: str, completion: str) -> Filling | None:
    sources = prompt, completion
    if any(map(_means_others, sources)):
        return None
    fields = tuple(dict.fromkeys(name for source in sources for name in sandbox.reads(source)))

    def fill(values: Sequence[Json]) -> tuple[str, str] | None:
        row = dict(zip(fields, values, strict=True))
        asked, answer = attempt(prompt, row), attempt(completion, row)
        if isinstance(asked, Failure) or isinstance(answer, Failure):
            return None
        return (asked.text, answer.text) if asked.text.strip() and answer.text.strip() else None

    return Filling(fields, fill)


def _means_others(source: str) -> bool:
    """Whether a name may mean another thing in a row with more fields: the whole row, or a function that a field hides."""
    hidden = {sandbox.WHOLE_ROW, *ENVIRONMENT.globals}
    return any(node.name in hidden for node in sandbox.parsed(source).find_all(nodes.Name))


def _picking(parts: Sequence[str | Gap], fields: Sequence[str], own: Sequence[str]) -> itemgetter[Any]:
    """What picks a template's parts, in order, out of the values of `fields` and then the templates' `own` texts."""
    pool = [*map(Gap, fields), *own]
    return itemgetter(*map(pool.index, parts), pool.index(""))  # with an empty text they are always several
