"""Explanations of scores in figures and sentences, the same for the terminal and the page."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tutelage.scoring.explain.explanation import (
    BleuExplanation,
    BleuOrder,
    EqualityExplanation,
    Explanation,
    NGramCount,
    OverlapExplanation,
    PrecisionRecall,
    SubsequenceExplanation,
)

MOST_GRAMS = 12
LONGEST_GRAM = 80
MEASURES = {"f": "F", "precision": "precision", "recall": "recall"}
# What a terminal might obey, and what would turn the direction of the text around it.
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def clean(text: str) -> str:
    """Replace each character that a terminal might obey in a text of data or model."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))


def format_value(explanation: Explanation) -> str:
    """The value in digits."""
    return "not counted" if explanation.value is None else f"{explanation.value:.4f}"


def shares(share: PrecisionRecall) -> str:
    """Precision, recall and F with the counts they come from."""
    precision = f"precision {share.matches}/{share.predicted} = {share.precision:.4f}"
    recall = f"recall {share.matches}/{share.reference_total} = {share.recall:.4f}"
    return f"{precision}, {recall}, F = {share.f:.4f}"


def reference_choice(overlap: OverlapExplanation) -> str:
    """Why this reference is shown, when there are several."""
    by_reference = ", ".join(f"{share.f:.4f}" for share in overlap.shares)
    sentence = f"F by reference: {by_reference}; the largest is shown"
    if overlap.averaged:
        measure = MEASURES[overlap.measure]
        return f"{sentence}, but the value is the jackknife's mean of the best {measure} without each one"
    return sentence


def subsequence_length(subsequence: SubsequenceExplanation) -> str:
    """How long the subsequence is and what kind of one."""
    words = subsequence.best.matches
    gaps = "in the same order in both texts, with gaps allowed"
    kind = "in common, line by line" if subsequence.by_lines else gaps
    return f"{words} word{'' if words == 1 else 's'} {kind}"


def brevity_penalty(bleu: BleuExplanation) -> str:
    """The brevity penalty and the lengths it comes from."""
    predicted, reference = bleu.predicted, bleu.reference_length
    if predicted >= reference:
        return f"1: {predicted} tokens, and the reference has {reference}"
    if not predicted:
        return f"0: no tokens, and the reference has {reference}"
    formula = f"exp(1 - {reference}/{predicted}) = {bleu.penalty:.4f}"
    return f"{formula}: {predicted} tokens, fewer than the reference's {reference}"


def bleu_product(bleu: BleuExplanation) -> str:
    """The value as a product of penalty and precisions."""
    used = [order for order in bleu.orders if order.counts]
    precisions = " x ".join(f"{order.precision:.2f}" for order in used)
    return f"{bleu.penalty:.4f} x ({precisions})^(1/{len(used)}) = {format_value(bleu)}"


def main_loss(bleu: BleuExplanation) -> str:
    """What costs most, in a sentence."""
    if bleu.main_loss == "no match":
        return "No n-gram of any order matched, so BLEU is 0 whatever the smoothing."
    if bleu.main_loss == "length":
        return "The length did most harm: no precision costs as much as the brevity penalty."
    if bleu.worst is None:
        return "Nothing was lost: every n-gram matched, and the length suffices."
    return _worst_order(bleu, bleu.worst)


def _worst_order(bleu: BleuExplanation, worst: BleuOrder) -> str:
    if not worst.total and not worst.precision:
        return f"Order {worst.n} killed it: there is no {worst.n}-gram, and a corpus needs every order."
    if not worst.precision:
        unmatched = f"none of its {worst.total} matched"
        return f"Order {worst.n} killed it: {unmatched}, and without smoothing BLEU is 0."
    sentence = f"Order {worst.n} did most harm: it alone multiplies BLEU by {worst.factor:.4f}."
    empty = [str(order.n) for order in bleu.orders if order.counts and not order.matches]
    if not empty:
        return sentence
    numbers = f"{', '.join(empty[:-1])} and {empty[-1]}" if len(empty) > 1 else empty[0]
    orders = f"order{'s' if len(empty) > 1 else ''} {numbers}"
    return f"{sentence} Nothing of {orders} matched: without smoothing ({bleu.smooth}) BLEU would be 0."


def order_note(order: BleuOrder) -> str:
    """Whether an order was left out or smoothed; empty when neither."""
    if not order.counts:
        return "too short for it: left out"
    return "smoothed" if order.smoothed else ""


def first_difference(equality: EqualityExplanation) -> str:
    """Whether the texts are equal, and where the first reference and the prediction begin to differ."""
    prediction, references = equality.prediction, equality.references
    if equality.equal is not None:
        return "equal" if len(references) == 1 else f"equal to reference {equality.equal + 1}"
    if not references:
        return "there is no reference"
    pairs = zip(prediction, references[0], strict=False)
    shorter = min(len(prediction), len(references[0]))
    at = next((place for place, (mine, theirs) in enumerate(pairs) if mine != theirs), shorter)
    ends = [clean(text[at : at + 12]).replace("\n", "\\n") for text in (prediction, references[0])]
    predicted, expected = (f'"{end}"' if end else "the end" for end in ends)
    reference = "the reference" if len(references) == 1 else "reference 1"
    return f"not equal: from character {at + 1} on {predicted} stands for {expected} of {reference}"


def short_list(items: Iterable[str]) -> str:
    """The first twelve and how many more there are."""
    texts = list(items)
    more = len(texts) - MOST_GRAMS
    shown = ", ".join(texts[:MOST_GRAMS])
    return f"{shown}, and {more} more" if more > 0 else shown or "nothing"


def matched(gram: NGramCount) -> str:
    """An n-gram that both sides have, how often it counted, and what clipping cut."""
    if not gram.clipped:
        return times(gram, gram.matched)
    counts = f"{gram.prediction} in the prediction, {gram.reference} in the reference: {gram.clipped} cut"
    return f"{times(gram, gram.matched)} ({counts})"


def times(gram: NGramCount, count: int) -> str:
    """An n-gram in all its forms, and how often."""
    return forms(gram) if count == 1 else f"{forms(gram)} x{count}"


def forms(gram: NGramCount) -> str:
    """How an n-gram is written in the texts, each form cut where it is longer than anyone reads."""
    cleaned = [clean(form) for form in gram.forms]
    return " = ".join(form if len(form) <= LONGEST_GRAM else f"{form[:LONGEST_GRAM]}..." for form in cleaned)
