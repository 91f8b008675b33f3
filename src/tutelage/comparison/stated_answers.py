"""Whether a wrong answer states the right one in a form that its benchmark does not accept. Lenient: a form is not judged twice."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal

from tutelage.metrics.answers import normalise_squad
from tutelage.metrics.facts import contains
from tutelage.results.store import Item

MOST_CLOSED = 8
"""A part whose items have at most so many different right answers chooses between them, such as yes and no."""
_IN_WORDS = re.compile(r"[\w\s.,;:!?'\"()-]+")
"""Answers with other signs, such as a hashtag, are a form: they are looked for as they are."""
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_BEHIND_HASHES = re.compile(r"#### *(\S+)\s*$")


def closed_sets(items: Sequence[Item]) -> dict[str, tuple[str, ...]]:
    """The answers between which the items of a part choose, by part: of parts with few different right answers, each given often.

    Args:
        items: all items of a benchmark.
    """
    by_part: dict[str, list[str]] = {}
    for item in items:
        by_part.setdefault(item.part, []).extend(item.references[:1])
    return {
        part: tuple(dict.fromkeys(references))
        for part, references in by_part.items()
        if 1 < len(set(references)) <= MOST_CLOSED and 2 * len(set(references)) <= len(references)
    }


def is_misformatted(item: Item, text: str, rivals: Sequence[str] = ()) -> bool:
    """Whether a wrong answer states the right one, and no other of those to choose from; or none of the item's choices at all.

    Args:
        item: its field `choices` or `labels` lists what it chooses from, if anything does.
        text: the answer.
        rivals: what it chooses from where its fields do not list it.
    """
    if not text.strip():
        return False
    listed = choices_of(item)
    right = [reference for reference in item.references if states(text, reference)]
    others = [
        choice
        for choice in listed or rivals
        if not any(states(reference, choice) for reference in item.references) and states(text, choice)
    ]
    if listed and not right and not others:
        return True
    return bool(right) and not others


def choices_of(item: Item) -> tuple[str, ...]:
    """The choices or labels that an item lists; nothing where it lists none."""
    for name in ("choices", "labels"):
        listed = item.fields.get(name)
        if isinstance(listed, list) and listed and all(isinstance(choice, str) for choice in listed):
            return tuple(str(choice) for choice in listed)
    return ()


def states(text: str, answer: str) -> bool:
    """Whether a text has an answer in it: a number by its value, a letter as a capital that stands alone, words in SQuAD's normal form.

    Of a worked solution that ends with `#### 12` the answer is what stands behind the hashes.
    """
    if match := _BEHIND_HASHES.search(answer):
        answer = match[1]
    answer = answer.strip()
    if (number := _value(answer)) is not None:
        return any(_value(digits) == number for digits in _NUMBER.findall(_THOUSANDS.sub("", text)))
    if len(answer) == 1 and answer.isupper():
        # A and I are words too, and then go before another word.
        return re.search(rf"(?<![\w']){answer}(?![\w'])(?! [a-z])", text) is not None
    if contains(text, answer):
        return bool(answer)
    normal = normalise_squad(answer) if _IN_WORDS.fullmatch(answer) else ""
    return bool(normal) and f" {normal} " in f" {normalise_squad(text)} "


def _value(text: str) -> Decimal | None:
    """The value of a text that is a number and nothing else."""
    digits = _THOUSANDS.sub("", text)
    return Decimal(digits) if _NUMBER.fullmatch(digits) else None
