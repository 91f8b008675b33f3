"""Which of a table's columns asks and which answers: by the words of their names, then by their order."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from tutelage.core import yamltext

_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORD = re.compile(r"[^\W\d_]+")
# Ranks of roles.yaml: inputs are the last that ask whatever the other columns are called; contexts never answer.
_INPUT, _CONTEXT = 1, 4


@dataclass(frozen=True, slots=True)
class Role:
    """What a column's name says.

    Attributes:
        asks, answers: how well it says so, 0 for best; None where it does not.
        skipped: whether it is neither: an identifier, a rejected answer.
    """

    asks: int | None = None
    answers: int | None = None
    skipped: bool = False


@dataclass(frozen=True, slots=True)
class Guess:
    """Two columns of a table.

    Attributes:
        prompt, completion: their names.
        by_name: whether both names say it; else it is a guess from the order of the columns.
        rejected: columns with answers that should not be given, and are left out.
    """

    prompt: str
    completion: str
    by_name: bool
    rejected: tuple[str, ...] = ()

    @property
    def note(self) -> str:
        """How the two were chosen, in one line."""
        how = "by the columns' names" if self.by_name else "a guess: check which column is which"
        return how + (f"; left out: {', '.join(self.rejected)}" if self.rejected else "")


def words(name: str) -> tuple[str, ...]:
    """The words of a name, without case and accents."""
    plain = unicodedata.normalize("NFKD", _CAMEL.sub(" ", name))
    letters = "".join(c for c in plain if not unicodedata.category(c).startswith("M"))
    return tuple(_WORD.findall(letters.casefold()))


def role(name: str) -> Role:
    """What a column's name says about it."""
    table = _table()
    parts = words(name)
    if not parts:
        return Role()
    never = table["never"].intersection(parts)
    if "system" in parts or (never and len(parts) > 1 and table["asks"].get(parts[-1]) == 0):
        return Role(asks=_CONTEXT)
    if never or parts[-1] in table["about"] or (len(parts) > 1 and table["measures"].intersection(parts)):
        return Role(skipped=True)
    joined = " ".join(parts)
    heads = [part for part in parts if part not in table["beside"]] or list(parts)
    for word in (joined, *reversed(heads), *reversed(parts)):
        for form in (word, word.removesuffix("s"), re.sub("ies$", "y", word)):
            asks, answers = table["asks"].get(form), table["answers"].get(form)
            if asks is not None or answers is not None:
                about = len(parts) > 1 and parts[-1] in table["about_suffix"]
                return Role(skipped=True) if about else Role(asks, answers)
    return Role()


def guess(texts: Sequence[str], *, poor: Sequence[str] = ()) -> Guess | None:
    """The column that asks and the column that answers.

    Args:
        texts: the names of the columns that hold texts, in their order.
        poor: those of them that are taken last where names say nothing: numbers, the same text in every row.

    Returns:
        None where fewer than two columns could be it.
    """
    roles = {name: role(name) for name in texts}
    names = {words(name): name for name in texts}
    for pair in _table()["pairs"]:
        if all(word in names for word in pair):
            roles[names[pair[0]]], roles[names[pair[1]]] = Role(asks=0), Role(answers=0)
    usable = [name for name in texts if not roles[name].skipped]
    asking, answering = _ranked(usable, roles, "asks"), _ranked(usable, roles, "answers")
    # What is only asked about does not ask where nothing answers: of a title and a body, either may be the answer.
    strong = [name for name in asking if answering or (roles[name].asks or 0) <= _INPUT]
    prompt = next((name for name in strong if name not in answering[:1]), None)
    completion = next((name for name in answering if name != prompt), None)
    by_name = _is_first(prompt, asking, roles, "asks") and _is_first(completion, answering, roles, "answers")
    rest = sorted(
        (name for name in usable if name not in (prompt, completion)), key=lambda name: name in poor
    )
    if prompt is None:
        prompt = next(iter(rest), None)
    if completion is None:
        free = [name for name in rest if name != prompt and roles[name].asks != _CONTEXT]
        place = {name: n for n, name in enumerate(texts)}
        after = [name for name in free if prompt is not None and place[name] > place[prompt]]
        good = [name for name in after if name not in poor]
        completion = next(iter(good or free), None)
    if prompt is None or completion is None:
        return None
    never = _table()["never"]
    rejected = tuple(name for name in texts if name != prompt and never.intersection(words(name)))
    return Guess(prompt, completion, by_name, rejected)


def _ranked(names: Sequence[str], roles: dict[str, Role], what: str) -> list[str]:
    """The columns that ask or answer by their names, the surest first, else in their order."""
    ranks = {name: rank for name in names if (rank := getattr(roles[name], what)) is not None}
    return sorted(ranks, key=ranks.__getitem__)


def _is_first(name: str | None, ranked: Sequence[str], roles: dict[str, Role], what: str) -> bool:
    """Whether no other column says the same of itself as well as this one does."""
    best = [one for one in ranked if getattr(roles[one], what) == getattr(roles[ranked[0]], what)]
    return best == [name]


@cache
def _table() -> dict[str, Any]:
    """roles.yaml with its words as `words` gives them: ranks by word, sets and pairs."""
    raw = yamltext.table("tutelage.templates", "roles.yaml")
    ranks = {
        what: {" ".join(words(word)): rank for rank, group in enumerate(raw[what]) for word in group}
        for what in ("asks", "answers")
    }
    sets = {
        what: {" ".join(words(word)) for word in raw[what]}
        for what in ("never", "about", "about_suffix", "measures", "beside")
    }
    return {**ranks, **sets, "pairs": [tuple(words(word) for word in pair) for pair in raw["pairs"]]}
