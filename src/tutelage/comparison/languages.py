"""Whether an answer is in another language than what it answers: by script, and for Latin script by langdetect where it is installed."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec

from tutelage.metrics.ifeval.language import language_of

MIN_LETTERS = 40
"""Texts with fewer letters are too short for langdetect to accuse an answer, or to be compared with alone."""
MIN_EXCUSING = 20
"""A text with so many letters can excuse an answer: it is of the answer's language, as far as langdetect can tell."""
MIN_SHARE = 0.5
"""A text is in the script that has more than this share of its letters."""
_ONE_WRITING = {"HIRAGANA": "CJK", "KATAKANA": "CJK"}
"""Scripts that one language mixes."""


@cache
def detector_is_installed() -> bool:
    """Whether langdetect is installed, without which languages of one script are not told apart."""
    return find_spec("langdetect") is not None


def differs(text: str, others: Sequence[str]) -> bool:
    """Whether a text is in a script or language in which none of the others is.

    Scripts are compared whatever the length, languages of Latin script only in texts of `MIN_LETTERS` letters or more, and only if
    langdetect is installed. Where the others have no script or language to compare with, nothing differs.

    Args:
        text: an answer.
        others: the question, the right answers, an earlier answer.
    """
    script, expected = script_of(text), {script_of(other) for other in others} - {""}
    if not script or not expected:
        return False
    if script not in expected:
        return True
    if script != "LATIN" or not detector_is_installed():
        return False
    if _letters(text) < MIN_LETTERS or not any(_letters(other) >= MIN_LETTERS for other in others):
        return False
    language = language_of(text)
    expected_languages = {language_of(other) for other in others if _letters(other) >= MIN_EXCUSING}
    return language is not None and language not in expected_languages


def script_of(text: str) -> str:
    """The script of most of a text's letters, by the first word of their Unicode names; "" where no script has more than half."""
    scripts = Counter(
        unicodedata.name(letter, "").partition(" ")[0]
        for letter in unicodedata.normalize("NFKC", text)
        if letter.isalpha()
    )
    joined: Counter[str] = Counter()
    for script, count in scripts.items():
        joined[_ONE_WRITING.get(script, script)] += count
    if not joined:
        return ""
    script, count = joined.most_common(1)[0]
    return script if count > MIN_SHARE * joined.total() else ""


def _letters(text: str) -> int:
    return sum(map(str.isalpha, text))
