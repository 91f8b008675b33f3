"""Answers out of generated text, and an audit of how that went."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tutelage.core.errors import InputError

_MARKER = "the answer is "
_OPTION = re.compile(r"\([A-Z]\)")


@dataclass(frozen=True, slots=True)
class ExtractedAnswer:
    """An answer and the doubts about it.

    Attributes:
        answer: the text that is compared with the references.
        marked: whether the text said where its answer is; always true where no marker is required.
        ambiguous: whether it gave several different answers: two markers, two options, several lines.
        cut_off: whether the text seems to have ended before the answer.
    """

    answer: str
    marked: bool = True
    ambiguous: bool = False
    cut_off: bool = False


@dataclass(frozen=True, slots=True)
class ExtractionAudit:
    """How many of `n` answers were extracted with doubt. One answer may count under several."""

    n: int
    unmarked: int
    ambiguous: int
    cut_off: int
    empty: int


def extract_bbh(text: str, mode: str = "cot", *, finish: str | None = None) -> ExtractedAnswer:
    """Extract BIG-bench Hard's answer from a generated text, as its authors do.

    M. Suzgun et al., "Challenging BIG-Bench tasks and whether chain-of-thought can solve them", 2022.

    Args:
        text: what the model generated.
        mode: `direct`: the whole text; `cot`: what follows "the answer is ", without a final full stop. A text that
            does not say so is its own answer (and counts as unmarked).
        finish: why generation ended, None when that is not recorded; `length` means cut off.
    """
    whole = text.strip()
    if mode == "direct":
        ambiguous = len(_lines(whole)) > 1 or len(set(_OPTION.findall(whole))) > 1
        return ExtractedAnswer(whole, cut_off=finish == "length", ambiguous=ambiguous)
    if mode != "cot":
        raise InputError("there is no such way to extract", found=mode, expected="cot or direct")
    _, *after_markers = whole.split(_MARKER)
    if not after_markers:
        unfinished = finish is None and bool(whole) and whole[-1] not in ".!?)\"'"
        cut_off = finish == "length" or unfinished
        return ExtractedAnswer(_without_full_stop(whole), marked=False, cut_off=cut_off)
    answer = _without_full_stop(after_markers[0])
    answers = {_without_full_stop((_lines(part) or [""])[0]) for part in after_markers}
    ambiguous = len(answers) > 1 or len(set(_OPTION.findall(answer))) > 1
    return ExtractedAnswer(answer, ambiguous=ambiguous, cut_off=finish == "length" or not answer)


def audit_extraction(answers: Sequence[ExtractedAnswer]) -> ExtractionAudit:
    """Count the answers that were extracted with doubt, by the kind of doubt."""
    return ExtractionAudit(
        n=len(answers),
        unmarked=sum(not extracted.marked for extracted in answers),
        ambiguous=sum(extracted.ambiguous for extracted in answers),
        cut_off=sum(extracted.cut_off for extracted in answers),
        empty=sum(not extracted.answer for extracted in answers),
    )


def _without_full_stop(text: str) -> str:
    stripped = text.strip()
    return stripped[:-1].strip() if stripped.endswith(".") else stripped


def _lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.strip()]
