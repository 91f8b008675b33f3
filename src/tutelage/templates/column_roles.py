"""Says by the words of a column's name what it may be: a prompt, a completion, something beside them, or none of these."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from tutelage.core import yamltext

_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORD = re.compile(r"[^\W\d_]+")
_NUMBER_AT_END = re.compile(r"[ _.-]*\d+$|[ _.-][aAbB]$")
# Ranks in roles.yaml. A prompt of rank 0 or 1 is one whatever the others are called; completions of these ranks are answers, the
# others are labels, summaries and speakers, for which the values must fit too.
STRONG_RANK, TEXT_RANK, CONTEXT_RANK = 1, 2, 4
_COMPOUND_LETTERS = 5
"""Shorter words are not looked for inside compounds: `text` also ends `context`."""


@dataclass(frozen=True, slots=True)
class ColumnRole:
    """What a column's name says about its role.

    Attributes:
        prompt_rank, completion_rank: how strongly the name says prompt or completion, 0 for most; None if it does not.
        is_ignored: whether it is neither, such as an identifier or a rejected answer.
        is_about: whether it says who, where or how much, so that its values are no labels.
    """

    prompt_rank: int | None = None
    completion_rank: int | None = None
    is_ignored: bool = False
    is_about: bool = False


@lru_cache(maxsize=4096)
def name_words(name: str) -> tuple[str, ...]:
    """The words of a column name, in lower case and without accents."""
    decomposed = unicodedata.normalize("NFKD", _CAMEL.sub(" ", name))
    letters = "".join(c for c in decomposed if not unicodedata.category(c).startswith("M"))
    return tuple(_WORD.findall(letters.casefold()))


def name_stem(name: str) -> str:
    """A column's name without a number or letter at its end: `question1` and `question2`, `text_a` and `text_b` have one stem."""
    return _NUMBER_AT_END.sub("", name) or name


def column_role(name: str) -> ColumnRole:
    """What a column's name says about it."""
    table = role_table()
    parts = name_words(name)
    if not parts:
        return ColumnRole()
    excluded = table["never"].intersection(parts)
    if "system" in parts or (excluded and len(parts) > 1 and table["asks"].get(parts[-1]) == 0):
        return ColumnRole(prompt_rank=CONTEXT_RANK)
    if len(parts) > 1 and parts[0] in table["flag_prefixes"]:
        return ColumnRole(completion_rank=TEXT_RANK)
    if excluded or parts[-1] in table["about"] or (len(parts) > 1 and table["measures"].intersection(parts)):
        return ColumnRole(is_ignored=True)
    return _role_by_words(parts)


def _role_by_words(parts: Sequence[str]) -> ColumnRole:
    """The role of a name by the first of its words that has one."""
    table = role_table()
    if parts[-1] in table["meta"] and " ".join(parts) not in table["asks"]:
        return ColumnRole(is_about=True)
    for spelling in _spellings(parts):
        asks, answers = table["asks"].get(spelling), table["answers"].get(spelling)
        if asks is not None or answers is not None:
            is_about_text = len(parts) > 1 and parts[-1] in table["about_suffix"]
            return ColumnRole(is_ignored=True) if is_about_text else ColumnRole(asks, answers)
    return ColumnRole()


def _spellings(parts: Sequence[str]) -> Iterator[str]:
    """The forms under which a name is looked up: whole, its head words, the other words, the ends of compounds."""
    beside = role_table()["beside"]
    head_words = [part for part in parts if part not in beside] or list(parts)
    for word in (" ".join(parts), *reversed(head_words), *reversed(parts)):
        yield from (word, word.removesuffix("s"), re.sub("ies$", "y", word))
    for part in reversed(parts):
        yield from _ends_of_compound(part)


def _ends_of_compound(word: str) -> Iterator[str]:
    """Words that a compound is made of, the longest first: Kundenanfrage ends in anfrage, 用户问题 in 问题."""
    is_spaced = word[0].isascii() or len(word) > 2 * _COMPOUND_LETTERS or not _has_ideographs(word)
    shortest = _COMPOUND_LETTERS if is_spaced else 2
    yield from (word[start:] for start in range(1, len(word) - shortest + 1))
    if is_spaced and word.endswith("text"):
        yield word.removesuffix("text")


def _has_ideographs(word: str) -> bool:
    """Whether a word has Han, kana or Hangul (decomposed), whose words stand without spaces."""
    return any("ᄀ" <= char <= "ᇿ" or "\u3040" <= char <= "鿿" for char in word)


@cache
def role_table() -> dict[str, Any]:
    """roles.yaml with its words normalized by `name_words`: ranks by word, sets of words, and lists of columns."""
    raw = yamltext.table("tutelage.templates", "roles.yaml")

    def joined(word: str) -> str:
        return " ".join(name_words(word))

    ranks = {
        section: {joined(word): rank for rank, group in enumerate(raw[section]) for word in group}
        for section in ("asks", "answers")
    }
    sets = {
        section: {joined(word) for word in raw[section]}
        for section in (
            "never", "about", "about_suffix", "measures", "beside", "meta", "flag_prefixes", "marks", "languages", "summaries", "passages", "choices",
        )
    }  # fmt: skip
    return {
        **ranks,
        **sets,
        "pairs": [tuple(name_words(word) for word in pair) for pair in raw["pairs"]],
        "options": [[joined(word) for word in group] for group in raw["options"]],
        "together": [[{joined(word) for word in group} for group in groups] for groups in raw["together"]],
    }
