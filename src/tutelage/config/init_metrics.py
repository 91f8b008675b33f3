"""Which metrics suit the answers of a data file: labels, short answers, translations, or texts in their script."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from tutelage.templates.column_contents import are_labels

Script = Literal["ascii", "spaced", "han", "unspaced", "none"]
_SHORT_WORDS = 4
_ACCENTED_SHARE = 0.003
"""Share of letters beyond ASCII from which ROUGE's own tokenizer, which drops them, is not used."""
_MIXED_SHARE = 0.1
_UNSPACED = ("THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN")
_HAN = ("CJK", "HIRAGANA", "KATAKANA")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class SuitableMetrics:
    """Metrics for a recipe, and what they are for.

    Attributes:
        names: as a recipe writes them; the first is the primary one.
        reason: the kind of answers.
        labels: the labels in order of frequency, if the answers are labels.
        is_other_script: whether the answers have letters beyond ASCII.
    """

    names: tuple[str, ...]
    reason: str
    labels: tuple[str, ...] = ()
    is_other_script: bool = False


def suitable_metrics(
    completions: Sequence[str],
    *,
    layout: str = "plain",
    is_translation: bool = False,
    may_be_labels: bool = True,
) -> SuitableMetrics:
    """Choose metrics that can tell right answers from wrong ones.

    Args:
        completions: the answers of all rows.
        layout: the layout of the rows.
        may_be_labels: whether answers that repeat are labels; in a long conversation they are phrases.
        is_translation: whether the answers translate the prompts.
    """
    if layout == "entities":
        return SuitableMetrics(("entity_f1:form=text",), "entities in words")
    script = script_of(completions)
    is_other_script = script not in ("ascii", "none")
    if may_be_labels and are_labels(completions):
        labels = tuple(label for label, _ in Counter(completions).most_common())
        return SuitableMetrics(("accuracy",), f"{len(labels)} labels", labels, is_other_script)
    words = sorted(map(_word_count, completions))
    names, reason = _texts(script), _DESCRIPTIONS[script]
    if is_translation:
        tokenizer = {"han": ":tokenize=zh", "unspaced": ":tokenize=char"}.get(script, "")
        names, reason = ("chrf", f"bleu{tokenizer}"), "translations"
    elif words[len(words) // 2] <= _SHORT_WORDS:
        names, reason = ("exact_match", names[0]), "short answers"
    return SuitableMetrics(names, reason, is_other_script=is_other_script)


_DESCRIPTIONS = {
    "ascii": "longer texts",
    "spaced": "longer texts beyond ASCII",
    "han": "longer texts in Han or kana",
    "unspaced": "longer texts in a script without spaces",
    "none": "texts without letters",
}


def _texts(script: Script) -> tuple[str, ...]:
    """Metrics of longer texts that give the reference itself full marks."""
    if script in ("unspaced", "none"):
        return ("chrf",)
    tokenizer = {"spaced": ":tokenizer=unicode", "han": ":tokenizer=cjk"}.get(script, "")
    names = tuple(f"{name}{tokenizer}" for name in ("rougeL", "rouge1", "rouge2"))
    return names if script == "ascii" else (*names[:2], "chrf")


def script_of(texts: Iterable[str]) -> Script:
    """The script of texts, as far as it decides how they are parted into words."""
    counts = Counter(char for text in texts for char in text)
    letters = {char: n for char, n in counts.items() if char.isalnum()}
    total = sum(letters.values())
    if not total:
        return "none"
    names = {char: unicodedata.name(char, "") for char in letters if not char.isascii()}
    shares = {
        group: sum(letters[char] for char, name in names.items() if name.startswith(group)) / total
        for group in (_HAN, _UNSPACED)
    }
    if max(shares.values()) > _MIXED_SHARE:
        return "han" if shares[_HAN] >= shares[_UNSPACED] else "unspaced"
    return "spaced" if sum(letters[char] for char in names) / total > _ACCENTED_SHARE else "ascii"


def _word_count(text: str) -> float:
    """About how many words a text has: two characters a word where words stand without spaces."""
    joined = sum(
        unicodedata.name(char, "").startswith((*_HAN, *_UNSPACED)) for char in text if not char.isascii()
    )
    return len(_WORD.findall(text)) if not joined else joined / 2
