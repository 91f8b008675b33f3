"""Answers out of generated text, and an audit of how that went."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tutelage.core.errors import InputError

_MARKER = "the answer is "
_OPTION = re.compile(r"\([A-Z]\)")


@dataclass(frozen=True, slots=True)
class Extracted:
    """An answer and how it was found.

    Attributes:
        answer: the text that is compared with the references.
        marked: whether the text said where its answer is; always true where no marker is asked for.
        ambiguous: whether it gave more than one answer, and they differ: two markers, two options, several lines.
        cut_off: whether the text seems to have ended before the answer.
    """

    answer: str
    marked: bool = True
    ambiguous: bool = False
    cut_off: bool = False


@dataclass(frozen=True, slots=True)
class Audit:
    """How many of `n` answers were extracted with doubt. One answer may count under several."""

    n: int
    unmarked: int
    ambiguous: int
    cut_off: int
    empty: int

    def as_json(self) -> dict[str, int]:
        """The counts by name."""
        return {
            "n": self.n,
            "unmarked": self.unmarked,
            "ambiguous": self.ambiguous,
            "cut_off": self.cut_off,
            "empty": self.empty,
        }


def bbh(text: str, mode: str = "cot", *, finish: str | None = None) -> Extracted:
    """BIG-bench Hard's answer in a generated text, as its authors extract it.

    M. Suzgun et al., "Challenging BIG-Bench tasks and whether chain-of-thought can solve them", 2022.

    Args:
        text: what the model generated.
        mode: `direct`: the whole text; `cot`: what follows "the answer is ", without a final full stop. A text that
            does not say so is its own answer (and counts as unmarked).
        finish: why generation ended, where that is known; `length` means cut off.
    """
    whole = text.strip()
    if mode == "direct":
        several = len(_lines(whole)) > 1 or len(set(_OPTION.findall(whole))) > 1
        return Extracted(whole, cut_off=finish == "length", ambiguous=several)
    if mode != "cot":
        raise InputError("there is no such way to extract", found=mode, expected="cot or direct")
    _, *found = whole.split(_MARKER)
    if not found:
        unfinished = bool(whole) and whole[-1] not in ".!?)\"'"
        return Extracted(
            _plain(whole), marked=False, cut_off=finish == "length" or (finish is None and unfinished)
        )
    answer = _plain(found[0])
    answers = {_plain((_lines(own) or [""])[0]) for own in found}
    several = len(answers) > 1 or len(set(_OPTION.findall(answer))) > 1
    return Extracted(answer, ambiguous=several, cut_off=finish == "length" or not answer)


def audit(answers: Iterable[Extracted]) -> Audit:
    """Count the doubts."""
    told: Sequence[Extracted] = list(answers)
    return Audit(
        n=len(told),
        unmarked=sum(not own.marked for own in told),
        ambiguous=sum(own.ambiguous for own in told),
        cut_off=sum(own.cut_off for own in told),
        empty=sum(not own.answer for own in told),
    )


def _plain(text: str) -> str:
    stripped = text.strip()
    return stripped[:-1].strip() if stripped.endswith(".") else stripped


def _lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.strip()]
