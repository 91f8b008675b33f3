"""Answers with what agrees with the reference marked, and why the metric gave them their value, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tutelage.comparison import wording
from tutelage.core.errors import InputError
from tutelage.metrics import Row
from tutelage.report import formatting
from tutelage.scoring.explain import (
    Answers,
    Bleu,
    Explanation,
    Facts,
    Marked,
    NGrams,
    Overlap,
    explain,
    phrasing,
)
from tutelage.scoring.explain import explainable_metrics as have_explanation

# What marks the common words where the task's own metrics mark none. It takes letters of any script.
COMMON = "rougeL:stemmer=false:tokenizer=unicode"
FEWEST = 2  # words of a reference: in one word there is nothing to mark
MOST_GRAMS = 8


@dataclass(frozen=True, slots=True)
class Pieces:
    """A text in pieces, each with whether it is marked; `cut` is how many characters it had when it was longer."""

    parts: tuple[tuple[bool, str], ...]
    cut: int | None = None

    @property
    def weight(self) -> int:
        """About how many characters of the page it takes."""
        return sum(len(text) + 13 * marked for marked, text in self.parts)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to read in it."""
        return not any(text.strip() for _, text in self.parts)


@dataclass(frozen=True, slots=True)
class Why:
    """One answer explained.

    Attributes:
        prediction: the answer, marked.
        reference: the reference that it was marked against, None where nothing is marked.
        chosen: which of the references that is.
        sentences: each metric's label and what its value is made of.
    """

    prediction: Pieces
    reference: Pieces | None
    chosen: int
    sentences: tuple[tuple[str, str], ...]


def marking(metrics: Sequence[str]) -> tuple[str, ...]:
    """The metrics that explain an answer: those of a task that can, and one that marks words in common."""
    able = [metric for metric in metrics if _explainable(metric)]
    overlapping = any(metric.partition(":")[0].startswith("rouge") for metric in able)
    return (*able, *(() if overlapping else (COMMON,)))


def why(metrics: Sequence[str], row: Row) -> Why:
    """Explain one answer by the metrics of `marking`."""
    told = [explain(metric, row) for metric in metrics if metric != COMMON or _worth_marking(row)]
    overlap = next((one for one in told if isinstance(one, Overlap) and _as_written(one)), None)
    return Why(
        prediction=plain(row.prediction) if overlap is None else _pieces(overlap.prediction),
        reference=None if overlap is None else _pieces(overlap.reference),
        chosen=0 if overlap is None else overlap.chosen,
        sentences=tuple((_label(one), said) for one in told for said in _sentences(one)),
    )


def plain(text: str) -> Pieces:
    """A text with nothing marked."""
    return _pieces(Marked(text))


def _explainable(metric: str) -> bool:
    try:
        return len(have_explanation([metric])) == 1
    except InputError:
        return False


def _worth_marking(row: Row) -> bool:
    return any(len(reference.split()) >= FEWEST for reference in row.references)


def _as_written(told: Overlap) -> bool:
    """Whether the marked texts are those of the row, not normalised ones."""
    return not told.metric.startswith("token_f1")


def _label(told: Explanation) -> str:
    return "Words in common" if told.metric == COMMON else wording.metric_wording(told.metric).label


def _pieces(marked: Marked) -> Pieces:
    parts: list[tuple[bool, str]] = []
    room = formatting.LONGEST
    for kind, piece in marked.pieces():
        if room > 0:
            parts.append((kind == "counted", formatting.text(piece[:room]).content))
        room -= len(piece)
    return Pieces(tuple(parts), len(marked.text) if room < 0 else None)


def _sentences(told: Explanation) -> Iterator[str]:
    match told:
        case Overlap():
            yield f"{phrasing.shares(told.best)}."
            if isinstance(told, NGrams):
                cut = [phrasing.matched(gram) for gram in told.grams if gram.cut]
                if cut:
                    yield f"Clipped: {', '.join(cut[:MOST_GRAMS])}."
        case Bleu():
            yield f"{phrasing.product(told)}."
            yield phrasing.harm(told)
        case Answers():
            yield f"Compared: {told.form}; {phrasing.parted(told)}."
        case Facts():
            yield from _phrases(told)
        case _:
            pass


def _phrases(told: Facts) -> Iterator[str]:
    if told.value is None:
        return
    groups = ("must have", told.must), ("must not have", told.must_not), ("marks a refusal", told.refusals)
    for title, phrases in groups:
        found = [phrase.text for phrase in phrases if phrase.found]
        missing = [phrase.text for phrase in phrases if not phrase.found]
        if phrases and title == "marks a refusal":
            yield f"{'; '.join(map(_quoted, found)) or 'No phrase that marks a refusal'}: {'found' if found else 'none found'}."
        elif phrases:
            told_of = [
                *(f"{_quoted(one)} found" for one in found),
                *(f"{_quoted(one)} not found" for one in missing),
            ]
            yield f"{title.capitalize()}: {'; '.join(told_of[:MOST_GRAMS])}."


def _quoted(text: str) -> str:
    return f"“{phrasing.clean(text)}”"
