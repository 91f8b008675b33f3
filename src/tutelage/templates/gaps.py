"""Templates that only put fields into a text, such as `Summarize: {{ dialogue }}`: filled without running Jinja.

They compute nothing, so they are also safe to fill in this process, whoever wrote them. The outcome is `sandbox`'s to the
letter: what is not plain text or a number is left to it, and so is every mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

from jinja2 import nodes

from tutelage.core.limits import MAX_RENDERED_CHARACTERS
from tutelage.core.nouns import Json
from tutelage.templates import sandbox
from tutelage.templates.environment import ENVIRONMENT
from tutelage.templates.sandbox import NOTHING, Failure, Rendered, Span

_JINJA_OWN = frozenset({"self", "loop", "super", "caller", "varargs", "kwargs", sandbox.WHOLE_ROW})
_SCALARS = frozenset({str, int, float, bool, type(None)})


class Gap(NamedTuple):
    """A place in a text where a field stands."""

    name: str


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
def gaps(source: str) -> tuple[str | Gap, ...] | None:
    """The texts and gaps of a template; None when it does anything else. Raises jinja2's TemplateSyntaxError."""
    parts: list[str | Gap] = []
    for output in sandbox.parsed(source).body:
        if not isinstance(output, nodes.Output):
            return None
        for node in output.nodes:
            if isinstance(node, nodes.TemplateData):
                parts.append(node.data)
            elif isinstance(node, nodes.Name) and node.name not in _JINJA_OWN:
                parts.append(Gap(node.name))
            else:
                return None
    return tuple(parts)


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
        return (asked, answer) if said and short and (usual or (_fair(asked) and _fair(answer))) else None

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


def attempt(
    source: str, fields: Mapping[str, Json], extra: Mapping[str, Json] = NOTHING
) -> Rendered | Failure:
    """Render a template as `sandbox.attempt` does."""
    filled = fill(source, fields, extra)
    return sandbox.attempt(source, fields, extra) if filled is None else filled


def fill(source: str, fields: Mapping[str, Json], extra: Mapping[str, Json] = NOTHING) -> Rendered | None:
    """Fill a template's gaps; None when it has more than gaps, or a row that is not plain."""
    parts = gaps(source)
    if parts is None or not _plain(fields) or not _plain(extra):
        return None
    pieces: list[str] = []
    spans: list[Span] = []
    length = 0
    for part in parts:
        if type(part) is str:
            piece = part
        else:
            name = part[0]
            value = extra[name] if name in extra else fields.get(name)
            if type(value) is str:
                piece = value
                if piece and name not in extra:
                    spans.append((name, length, length + len(piece)))
            elif type(value) is int or type(value) is float:
                piece = str(value)
            else:
                return None
        length += len(piece)
        if length > MAX_RENDERED_CHARACTERS:
            return None
        pieces.append(piece)
    text = "".join(pieces)
    return Rendered(text, tuple(spans)) if _fair(text) else None


def _fair(text: str) -> bool:
    """Text that looks like Python's own, or holds half a character, is for the sandbox to judge."""
    return (text.isascii() or _whole(text)) and not ("<" in text and sandbox.may_be_python(text))


def _plain(values: Mapping[str, Json]) -> bool:
    """Whether all values are JSON's simple ones, and exactly these: the sandbox copies others, or refuses them."""
    return _SCALARS.issuperset(map(type, values.values()))


def _whole(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
