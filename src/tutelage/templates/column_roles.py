"""Guesses which column of a table is the prompt and which the completion, by the words of their names, then by their order."""

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
# Ranks in roles.yaml: up to _INPUT_RANK a column is a prompt whatever the others are called; a context is never the answer.
_INPUT_RANK, _CONTEXT_RANK = 1, 4


@dataclass(frozen=True, slots=True)
class ColumnRole:
    """What a column's name says about its role.

    Attributes:
        prompt_rank, completion_rank: how strongly the name says prompt or completion, 0 for most; None if it does not.
        is_ignored: whether it is neither, such as an identifier or a rejected answer.
    """

    prompt_rank: int | None = None
    completion_rank: int | None = None
    is_ignored: bool = False


@dataclass(frozen=True, slots=True)
class ColumnGuess:
    """The columns guessed to be prompt and completion.

    Attributes:
        prompt, completion: the columns' names.
        is_by_name: whether both names say so; otherwise the order of the columns decided.
        rejected: columns with rejected answers, which are left out.
    """

    prompt: str
    completion: str
    is_by_name: bool
    rejected: tuple[str, ...] = ()

    @property
    def note(self) -> str:
        """How the two were chosen, in one line."""
        basis = "by the columns' names" if self.is_by_name else "a guess: check which column is which"
        return basis + (f"; left out: {', '.join(self.rejected)}" if self.rejected else "")


def name_words(name: str) -> tuple[str, ...]:
    """The words of a column name, in lower case and without accents."""
    decomposed = unicodedata.normalize("NFKD", _CAMEL.sub(" ", name))
    letters = "".join(c for c in decomposed if not unicodedata.category(c).startswith("M"))
    return tuple(_WORD.findall(letters.casefold()))


def column_role(name: str) -> ColumnRole:
    """What a column's name says about it."""
    table = _table()
    parts = name_words(name)
    if not parts:
        return ColumnRole()
    excluded = table["never"].intersection(parts)
    if "system" in parts or (excluded and len(parts) > 1 and table["asks"].get(parts[-1]) == 0):
        return ColumnRole(prompt_rank=_CONTEXT_RANK)
    if excluded or parts[-1] in table["about"] or (len(parts) > 1 and table["measures"].intersection(parts)):
        return ColumnRole(is_ignored=True)
    joined = " ".join(parts)
    head_words = [part for part in parts if part not in table["beside"]] or list(parts)
    for word in (joined, *reversed(head_words), *reversed(parts)):
        for spelling in (word, word.removesuffix("s"), re.sub("ies$", "y", word)):
            asks, answers = table["asks"].get(spelling), table["answers"].get(spelling)
            if asks is not None or answers is not None:
                is_about = len(parts) > 1 and parts[-1] in table["about_suffix"]
                return ColumnRole(is_ignored=True) if is_about else ColumnRole(asks, answers)
    return ColumnRole()


def guess_columns(columns: Sequence[str], *, uninformative: Sequence[str] = ()) -> ColumnGuess | None:
    """Guess the prompt and the completion column.

    Args:
        columns: the names of the columns with texts, in order.
        uninformative: columns to use last if names do not decide: with numbers only, or the same text in every row.

    Returns:
        The guess; None if there are fewer than two candidates.
    """
    roles = {name: column_role(name) for name in columns}
    column_by_words = {name_words(name): name for name in columns}
    for pair in _table()["pairs"]:
        if all(word in column_by_words for word in pair):
            roles[column_by_words[pair[0]]], roles[column_by_words[pair[1]]] = (
                ColumnRole(prompt_rank=0),
                ColumnRole(completion_rank=0),
            )
    usable = [name for name in columns if not roles[name].is_ignored]
    prompt_candidates, completion_candidates = (
        _ranked(usable, roles, "prompt_rank"),
        _ranked(usable, roles, "completion_rank"),
    )
    # A weak prompt name decides only if some column is an answer: of a title and a body, either may be the answer.
    prompts = [
        name
        for name in prompt_candidates
        if completion_candidates or (roles[name].prompt_rank or 0) <= _INPUT_RANK
    ]
    prompt = next((name for name in prompts if name not in completion_candidates[:1]), None)
    completion = next((name for name in completion_candidates if name != prompt), None)
    by_name = _is_first(prompt, prompt_candidates, roles, "prompt_rank") and _is_first(
        completion, completion_candidates, roles, "completion_rank"
    )
    remaining = sorted(
        (name for name in usable if name not in (prompt, completion)), key=lambda name: name in uninformative
    )
    if prompt is None:
        prompt = next(iter(remaining), None)
    if completion is None:
        available = [
            name for name in remaining if name != prompt and roles[name].prompt_rank != _CONTEXT_RANK
        ]
        position = {name: n for n, name in enumerate(columns)}
        later = [name for name in available if prompt is not None and position[name] > position[prompt]]
        completion = next((name for name in later if name not in uninformative), next(iter(available), None))
    if prompt is None or completion is None:
        return None
    excluded = _table()["never"]
    rejected = tuple(name for name in columns if name != prompt and excluded.intersection(name_words(name)))
    return ColumnGuess(prompt, completion, by_name, rejected)


def _ranked(names: Sequence[str], roles: dict[str, ColumnRole], rank_field: str) -> list[str]:
    """The columns with a rank, by rank and then by order."""
    ranks = {name: rank for name in names if (rank := getattr(roles[name], rank_field)) is not None}
    return sorted(ranks, key=ranks.__getitem__)


def _is_first(name: str | None, ranked: Sequence[str], roles: dict[str, ColumnRole], rank_field: str) -> bool:
    """Whether this column alone has the best rank."""
    best = [
        column
        for column in ranked
        if getattr(roles[column], rank_field) == getattr(roles[ranked[0]], rank_field)
    ]
    return best == [name]


@cache
def _table() -> dict[str, Any]:
    """roles.yaml with its words normalized by `name_words`: ranks by word, sets of words, and pairs."""
    raw = yamltext.table("tutelage.templates", "roles.yaml")
    ranks = {
        section: {
            " ".join(name_words(word)): rank for rank, group in enumerate(raw[section]) for word in group
        }
        for section in ("asks", "answers")
    }
    sets = {
        section: {" ".join(name_words(word)) for word in raw[section]}
        for section in ("never", "about", "about_suffix", "measures", "beside")
    }
    return {**ranks, **sets, "pairs": [tuple(name_words(word) for word in pair) for pair in raw["pairs"]]}
