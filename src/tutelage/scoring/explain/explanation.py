"""What an explanation of a score holds: the counts that the value is made of, and where in the texts they come from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["counted", "cut"]


@dataclass(frozen=True, slots=True)
class Mark:
    """A part of a text: it counted, or it matched and clipping cut it."""

    start: int
    end: int
    kind: Kind


@dataclass(frozen=True, slots=True)
class Marked:
    """A text and what is marked in it; the marks are in order and do not overlap."""

    text: str
    marks: tuple[Mark, ...] = ()

    def pieces(self) -> Iterator[tuple[Kind | None, str]]:
        """The whole text in pieces, each with its mark's kind; None between the marks."""
        at = 0
        for mark in self.marks:
            if mark.start > at:
                yield None, self.text[at : mark.start]
            yield mark.kind, self.text[mark.start : mark.end]
            at = mark.end
        if at < len(self.text):
            yield None, self.text[at:]


@dataclass(frozen=True, slots=True)
class Gram:
    """A word or a run of words, and how often each side has it.

    Attributes:
        forms: how it stands in the texts, in lower case; several when the stemmer made them one.
        prediction: how often the prediction has it.
        reference: how often the reference has it; with BLEU's several references, where it is most frequent.
    """

    forms: tuple[str, ...]
    prediction: int
    reference: int

    @property
    def counted(self) -> int:
        """How often it counts as matched: the smaller count. That minimum is the clipping."""
        return min(self.prediction, self.reference)

    @property
    def cut(self) -> int:
        """How many of the prediction's occurrences clipping cut, of a gram that the reference has too."""
        return max(0, self.prediction - self.reference) if self.reference else 0


@dataclass(frozen=True, slots=True)
class Shares:
    """Matches, what they are a share of, and the three shares."""

    matches: int
    predicted: int
    wanted: int
    precision: float
    recall: float
    f: float

    @classmethod
    def of(cls, matches: int, predicted: int, wanted: int) -> Shares:
        """Precision, recall and F of counts; an empty side gives 0."""
        precision, recall = matches / max(predicted, 1), matches / max(wanted, 1)
        both = precision + recall
        return cls(
            matches, predicted, wanted, precision, recall, 2 * precision * recall / both if both else 0.0
        )


def best(shares: Sequence[Shares]) -> int:
    """The first of those with the largest F."""
    return max(range(len(shares)), key=lambda place: shares[place].f)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a row has its value.

    Attributes:
        metric: the metric with its options, as asked for.
        value: what `score_rows` gives for this row alone, None when the metric does not count the row.
    """

    metric: str
    value: float | None


@dataclass(frozen=True, slots=True)
class Overlap(Explanation):
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
    prediction: Marked
    reference: Marked
    chosen: int
    shares: tuple[Shares, ...]
    averaged: bool = False

    @property
    def best(self) -> Shares:
        """The chosen reference's."""
        return self.shares[self.chosen]


@dataclass(frozen=True, slots=True)
class NGrams(Overlap):
    """ROUGE-1 to ROUGE-9. `grams` has every n-gram of either side, the prediction's first, each in order."""

    n: int = 1
    grams: tuple[Gram, ...] = ()


@dataclass(frozen=True, slots=True)
class Subsequence(Overlap):
    """ROUGE-L, or with `by_lines` ROUGE-Lsum: the marks are the longest common subsequence, or the lines' union."""

    by_lines: bool = False


@dataclass(frozen=True, slots=True)
class Words(Overlap):
    """SQuAD's token F1. The texts are the normalised ones; `grams` has every word of either side."""

    grams: tuple[Gram, ...] = ()


@dataclass(frozen=True, slots=True)
class Order:
    """BLEU's n-grams of one order.

    Attributes:
        n: the order.
        matches: how many of the prediction's n-grams the references have too, clipped.
        total: how many n-grams the prediction has.
        precision: matches in 100, after smoothing.
        smoothed: whether smoothing gave this precision.
        counts: whether the order enters the mean; under effective order those the prediction is too short for do not.
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
    grams: tuple[Gram, ...] = ()


@dataclass(frozen=True, slots=True)
class Bleu(Explanation):
    """BLEU of one row, or of a whole corpus.

    Attributes:
        rows: how many rows the counts are of.
        orders: orders 1 to 4.
        penalty: the brevity penalty; 1 where the prediction is long enough.
        predicted: the prediction's length in BLEU's tokens.
        wanted: the reference's, with several the one closest in length.
        smooth: the smoothing asked for.
        effective: whether orders the prediction is too short for are left out.
        prediction: the prediction as BLEU's tokens, words marked; None for a corpus.
        references: the references as BLEU's tokens.
    """

    rows: int
    orders: tuple[Order, ...]
    penalty: float
    predicted: int
    wanted: int
    smooth: str
    effective: bool
    prediction: Marked | None = None
    references: tuple[str, ...] = ()

    @property
    def worst(self) -> Order | None:
        """The order that did most harm: the lowest precision, the first of equal ones; None when all are 100."""
        counted = [order for order in self.orders if order.counts and order.precision < 100]
        return min(counted, key=lambda order: order.precision, default=None)

    @property
    def harm(self) -> Literal["nothing", "no match", "length", "order"]:
        """What did most harm: no match of any order, the brevity penalty, or the worst order."""
        if not any(order.matches for order in self.orders):
            return "no match"
        if self.penalty < (1.0 if self.worst is None else self.worst.factor):
            return "length"
        return "nothing" if self.worst is None else "order"


@dataclass(frozen=True, slots=True)
class Answers(Explanation):
    """Right or wrong by equality.

    Attributes:
        form: what was done to the texts before they were compared.
        prediction: the prediction in that form.
        references: the references in that form.
        equal: the first reference that is equal, None when none is.
    """

    form: str
    prediction: str
    references: tuple[str, ...]
    equal: int | None


@dataclass(frozen=True, slots=True)
class Phrase:
    """A phrase that was looked for in a prediction."""

    text: str
    found: bool


@dataclass(frozen=True, slots=True)
class Facts(Explanation):
    """Phrases that a prediction must have and must not have; for the refusal metrics, those that mark a refusal."""

    prediction: str
    must: tuple[Phrase, ...] = ()
    must_not: tuple[Phrase, ...] = ()
    refusals: tuple[Phrase, ...] = ()
