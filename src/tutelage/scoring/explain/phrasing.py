"""Explanations of scores in figures and sentences, the same for the terminal and the page."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tutelage.scoring.explain import Answers, Bleu, Explanation, Gram, Order, Overlap, Shares, Subsequence

MOST_GRAMS = 12
LONGEST_GRAM = 80
MEASURES = {"f": "F", "precision": "precision", "recall": "recall"}
# What a terminal might obey, and what would turn the direction of the text around it.
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def clean(text: str) -> str:
    """A text of data or model without what a terminal might obey; one sign stands for each such character."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))


def worth(told: Explanation) -> str:
    """The value in digits."""
    return "not counted" if told.value is None else f"{told.value:.4f}"


def shares(own: Shares) -> str:
    """Precision, recall and F with the counts they come from."""
    precision = f"precision {own.matches}/{own.predicted} = {own.precision:.4f}"
    recall = f"recall {own.matches}/{own.wanted} = {own.recall:.4f}"
    return f"{precision}, {recall}, F = {own.f:.4f}"


def choice(told: Overlap) -> str:
    """Why this reference, when there are several."""
    every = ", ".join(f"{own.f:.4f}" for own in told.shares)
    said = f"F by reference: {every}; the largest is shown"
    if told.averaged:
        return f"{said}, but the value is the jackknife's mean of the best {MEASURES[told.measure]} without each one"
    return said


def common(told: Subsequence) -> str:
    """How long the subsequence is and what kind of one."""
    number = f"{told.best.matches} word{'' if told.best.matches == 1 else 's'}"
    kind = (
        "in common, line by line" if told.by_lines else "in the same order in both texts, with gaps allowed"
    )
    return f"{number} {kind}"


def length(told: Bleu) -> str:
    """The brevity penalty and the lengths it comes from."""
    if told.predicted >= told.wanted:
        return f"1: {told.predicted} tokens, and the reference has {told.wanted}"
    if not told.predicted:
        return f"0: no tokens, and the reference has {told.wanted}"
    formula = f"exp(1 - {told.wanted}/{told.predicted}) = {told.penalty:.4f}"
    return f"{formula}: {told.predicted} tokens, fewer than the reference's {told.wanted}"


def product(told: Bleu) -> str:
    """The value as a product."""
    used = [order for order in told.orders if order.counts]
    inside = " x ".join(f"{order.precision:.2f}" for order in used)
    return f"{told.penalty:.4f} x ({inside})^(1/{len(used)}) = {worth(told)}"


def harm(told: Bleu) -> str:
    """What cost most, in a sentence."""
    if told.harm == "no match":
        return "No n-gram of any order matched, so BLEU is 0 whatever the smoothing."
    if told.harm == "length":
        return "The length did most harm: no precision costs as much as the brevity penalty."
    if told.worst is None:
        return "Nothing was lost: every n-gram matched, and the length suffices."
    return _killer(told, told.worst)


def _killer(told: Bleu, worst: Order) -> str:
    if not worst.total and not worst.precision:
        return f"Order {worst.n} killed it: there is no {worst.n}-gram, and a corpus needs every order."
    if not worst.precision:
        return (
            f"Order {worst.n} killed it: none of its {worst.total} matched, and without smoothing BLEU is 0."
        )
    said = f"Order {worst.n} did most harm: it alone multiplies BLEU by {worst.factor:.4f}."
    empty = [str(order.n) for order in told.orders if order.counts and not order.matches]
    if not empty:
        return said
    several = f"{', '.join(empty[:-1])} and {empty[-1]}" if len(empty) > 1 else empty[0]
    orders = f"order{'s' if len(empty) > 1 else ''} {several}"
    return f"{said} Nothing of {orders} matched: without smoothing ({told.smooth}) BLEU would be 0."


def said_of(order: Order) -> str:
    """What is to be known of an order beside its numbers."""
    if not order.counts:
        return "too short for it: left out"
    return "smoothed" if order.smoothed else ""


def parted(told: Answers) -> str:
    """Whether the texts are equal, and where the first reference and the prediction part."""
    if told.equal is not None:
        return "equal" if len(told.references) == 1 else f"equal to reference {told.equal + 1}"
    if not told.references:
        return "there is no reference"
    reference = told.references[0]
    pairs = zip(told.prediction, reference, strict=False)
    at = next((place for place, (own, other) in enumerate(pairs) if own != other), None)
    if at is None:
        at = min(len(told.prediction), len(reference))
    ends = [clean(text[at : at + 12]).replace("\n", "\\n") for text in (told.prediction, reference)]
    sides = [f'"{end}"' if end else "the end" for end in ends]
    whose = "the reference" if len(told.references) == 1 else "reference 1"
    return f"not equal: from character {at + 1} on {sides[0]} stands for {sides[1]} of {whose}"


def listed(items: Iterable[str]) -> str:
    """The first twelve and how many more there are."""
    every = list(items)
    more = len(every) - MOST_GRAMS
    shown = ", ".join(every[:MOST_GRAMS])
    return f"{shown}, and {more} more" if more > 0 else shown or "nothing"


def matched(gram: Gram) -> str:
    """A gram that both sides have, how often it counted, and what clipping cut."""
    if not gram.cut:
        return times(gram, gram.counted)
    counts = f"{gram.prediction} in the prediction, {gram.reference} in the reference: {gram.cut} cut"
    return f"{times(gram, gram.counted)} ({counts})"


def times(gram: Gram, count: int) -> str:
    """A gram in all its forms, and how often."""
    return forms(gram) if count == 1 else f"{forms(gram)} x{count}"


def forms(gram: Gram) -> str:
    """How a gram stands in the texts, each form cut where it is longer than anyone reads."""
    told = [clean(form) for form in gram.forms]
    return " = ".join(form if len(form) <= LONGEST_GRAM else f"{form[:LONGEST_GRAM]}..." for form in told)
