"""What an explanation of a score holds: the counts that the value is made of, and where in the texts they come from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

MarkKind = Literal["counted", "cut"]

_JSON_KEYS = {"reference_total": "wanted", "reference_length": "wanted", "present": "found"}
"""Keys of the JSON document that differ from the field's name."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A part of a text that matched: it counted, or clipping cut it."""

    start: int
    end: int
    kind: MarkKind


@dataclass(frozen=True, slots=True)
class MarkedText:
    """A text and the marks in it, in order and without overlap."""

    text: str
    marks: tuple[Mark, ...] = ()

    def pieces(self) -> Iterator[tuple[MarkKind | None, str]]:
        """The whole text in pieces, each with its mark's kind; None between the marks."""
        position = 0
        for mark in self.marks:
            if mark.start > position:
                yield None, self.text[position : mark.start]
            yield mark.kind, self.text[mark.start : mark.end]
            position = mark.end
        if position < len(self.text):
            yield None, self.text[position:]


@dataclass(frozen=True, slots=True)
class NGramCount:
    """An n-gram and how often each side has it.

    Attributes:
        forms: how it is written in the texts, in lower case; several when the stemmer made them one.
        prediction: how often the prediction has it.
        reference: how often the reference has it; with BLEU's several references, where it is most frequent.
    """

    forms: tuple[str, ...]
    prediction: int
    reference: int

    @property
    def matched(self) -> int:
        """How often it counts as matched: the smaller count. That minimum is the clipping."""
        return min(self.prediction, self.reference)

    @property
    def clipped(self) -> int:
        """How many of the prediction's occurrences clipping cut, of an n-gram that the reference has too."""
        return max(0, self.prediction - self.reference) if self.reference else 0


@dataclass(frozen=True, slots=True)
class PrecisionRecall:
    """Matches, the two totals that they are a share of, and the shares."""

    matches: int
    predicted: int
    reference_total: int
    precision: float
    recall: float
    f: float

    @classmethod
    def of(cls, matches: int, predicted: int, reference_total: int) -> PrecisionRecall:
        """Precision, recall and F of counts; an empty side gives 0."""
        precision, recall = matches / max(predicted, 1), matches / max(reference_total, 1)
        total = precision + recall
        f = 2 * precision * recall / total if total else 0.0
        return cls(matches, predicted, reference_total, precision, recall, f)


def best(shares: Sequence[PrecisionRecall]) -> int:
    """The index of the largest F, the first of equals."""
    return max(range(len(shares)), key=lambda index: shares[index].f)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a row has its value.

    Attributes:
        metric: the metric with its options, as the user wrote it.
        value: what `score_rows` gives for this row alone, None when the metric does not count the row.
    """

    kind: ClassVar[str]

    metric: str
    value: float | None

    def as_json(self) -> dict[str, Any]:
        """`kind` and all fields as JSON values."""
        renamed = asdict(self, dict_factory=lambda items: {_JSON_KEYS.get(key, key): v for key, v in items})
        return {"kind": self.kind, **renamed}


@dataclass(frozen=True, slots=True)
class OverlapExplanation(Explanation):
    """A value that is a share of what both texts have.

    Attributes:
        measure: which share the value is: `f`, `precision` or `recall`.
        prediction: the prediction with its marks.
        reference: the chosen reference with its marks.
        chosen: which reference that is, from 0: the first of those with the largest F.
        shares: the counts and shares of each reference.
        averaged: whether the value is ROUGE-1.5.5's mean over leaving each reference out, not the chosen one's.
    """

    measure: str
    prediction: MarkedText
    reference: MarkedText
    chosen: int
    shares: tuple[PrecisionRecall, ...]
    averaged: bool = False

    @property
    def best(self) -> PrecisionRecall:
        """The shares of the chosen reference."""
        return self.shares[self.chosen]


@dataclass(frozen=True, slots=True)
class NGramExplanation(OverlapExplanation):
    """ROUGE-1 to ROUGE-9. `grams` has every n-gram of either side, the prediction's first, each in order."""

    kind: ClassVar[str] = "ngrams"

    n: int = 1
    grams: tuple[NGramCount, ...] = ()


@dataclass(frozen=True, slots=True)
class SubsequenceExplanation(OverlapExplanation):
    """ROUGE-L, or with `by_lines` ROUGE-Lsum: the marks are the longest common subsequence, or the lines' union."""

    kind: ClassVar[str] = "subsequence"

    by_lines: bool = False


@dataclass(frozen=True, slots=True)
class TokenF1Explanation(OverlapExplanation):
    """SQuAD's token F1. The texts are the normalised ones; `grams` has every word of either side."""

    kind: ClassVar[str] = "words"

    grams: tuple[NGramCount, ...] = ()


@dataclass(frozen=True, slots=True)
class BleuOrder:
    """BLEU's n-grams of one order.

    Attributes:
        n: the order.
        matches: how many of the prediction's n-grams the references have too, clipped.
        total: how many n-grams the prediction has.
        precision: matches in 100, after smoothing.
        smoothed: whether smoothing gave this precision.
        counts: whether the order enters the mean; effective order leaves out those the prediction is too short for.
        factor: what the order multiplies the value by; 1 would be no loss.
        grams: the prediction's n-grams; empty for a whole corpus.
    """

    n: int
    matches: int
    total: int
    precision: float
    smoothed: bool
    counts: bool
    factor: float
    grams: tuple[NGramCount, ...] = ()


@dataclass(frozen=True, slots=True)
class BleuExplanation(Explanation):
    """BLEU of one row, or of a whole corpus.

    Attributes:
        rows: how many rows the counts are of.
        orders: orders 1 to 4.
        penalty: the brevity penalty; 1 where the prediction is long enough.
        predicted: the prediction's length in BLEU's tokens.
        reference_length: the reference's, with several the one closest in length.
        smooth: the smoothing method.
        effective: whether orders the prediction is too short for are left out.
        prediction: the prediction as BLEU's tokens, words marked; None for a corpus.
        references: the references as BLEU's tokens.
    """

    kind: ClassVar[str] = "bleu"

    rows: int
    orders: tuple[BleuOrder, ...]
    penalty: float
    predicted: int
    reference_length: int
    smooth: str
    effective: bool
    prediction: MarkedText | None = None
    references: tuple[str, ...] = ()

    @property
    def worst(self) -> BleuOrder | None:
        """The order that costs most: the lowest precision, the first of equal ones; None when all are 100."""
        imperfect = [order for order in self.orders if order.counts and order.precision < 100]
        return min(imperfect, key=lambda order: order.precision, default=None)

    @property
    def main_loss(self) -> Literal["nothing", "no match", "length", "order"]:
        """What costs most: no match of any order, the brevity penalty, or the worst order."""
        if not any(order.matches for order in self.orders):
            return "no match"
        if self.penalty < (1.0 if self.worst is None else self.worst.factor):
            return "length"
        return "nothing" if self.worst is None else "order"


@dataclass(frozen=True, slots=True)
class EqualityExplanation(Explanation):
    """Right or wrong by equality.

    Attributes:
        form: what was done to the texts before they were compared.
        prediction: the prediction in that form.
        references: the references in that form.
        equal: the first reference that is equal, None when none is.
    """

    kind: ClassVar[str] = "answers"

    form: str
    prediction: str
    references: tuple[str, ...]
    equal: int | None


@dataclass(frozen=True, slots=True)
class Phrase:
    """A phrase, and whether the prediction has it."""

    text: str
    present: bool


@dataclass(frozen=True, slots=True)
class InstructionVerdict:
    """An instruction in words, and whether the prediction follows it."""

    text: str
    followed: bool


@dataclass(frozen=True, slots=True)
class InstructionsExplanation(Explanation):
    """Verifiable instructions that a prediction follows or not, strictly or loosely as the metric says."""

    kind: ClassVar[str] = "instructions"

    prediction: str
    instructions: tuple[InstructionVerdict, ...]


@dataclass(frozen=True, slots=True)
class FactsExplanation(Explanation):
    """Phrases that a prediction must have and must not have; for the refusal metrics, those that mark a refusal."""

    kind: ClassVar[str] = "facts"

    prediction: str
    must: tuple[Phrase, ...] = ()
    must_not: tuple[Phrase, ...] = ()
    refusals: tuple[Phrase, ...] = ()
