"""Where ROUGE's tokens stand in the texts they were made of, and marks on them."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from tutelage.metrics.rouge.tokens import Tokenizer, intern
from tutelage.scoring.explain.explanation import Gram, Kind, Mark, Marked

Place = tuple[int, int]
Run = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Side:
    """A text as tokens: the numbers that are compared, and where each stands in the text (start, end)."""

    text: str
    ids: tuple[int, ...]
    places: tuple[Place, ...]

    def form(self, start: int, count: int) -> str:
        """How `count` tokens from `start` on stand in the text, in lower case, one space between."""
        return " ".join(self.text[a:b].lower() for a, b in self.places[start : start + count])

    def runs(self, n: int) -> list[Run]:
        """All n-grams in order."""
        return [self.ids[start : start + n] for start in range(len(self.ids) - n + 1)]


def sides(texts: Sequence[str], *, stemmer: bool, tokenizer: Tokenizer) -> list[Side]:
    """Texts as the metric tokenises them; equal tokens have equal numbers across the texts."""
    corpus = intern(texts, stemmer=stemmer, tokenizer=tokenizer)
    ids, starts = corpus.ids.tolist(), corpus.starts.tolist()
    made = []
    for text, (start, end) in zip(texts, pairwise(starts), strict=True):
        found = places(text, tokenizer)
        if len(found) != end - start:
            raise AssertionError(f"{len(found)} places for {end - start} tokens")
        made.append(Side(text, tuple(ids[start:end]), tuple(found)))
    return made


def word_sides(texts: Sequence[str]) -> list[Side]:
    """Texts with one space between their words, as those words."""
    numbers: dict[str, int] = {}
    made = []
    for text in texts:
        words, found, at = text.split(), [], 0
        for word in words:
            found.append((at, at + len(word)))
            at += len(word) + 1
        ids = tuple(numbers.setdefault(word, len(numbers)) for word in words)
        made.append(Side(text, ids, tuple(found)))
    return made


def places(text: str, tokenizer: Tokenizer) -> list[Place]:
    """Where each token stands, (start, end). Two tokens of one character (as of ½) have the same place."""
    found: list[Place] = []
    inside = False
    for start, end, folded in _characters(text) if tokenizer == "reference" else _segments(text):
        for char in folded:
            tokens = _tokens_of_two(char, tokenizer)
            if tokens == 1 and inside:
                found[-1] = (found[-1][0], end)
            elif tokens:
                found.append((start, end))
            inside = tokens == 1
    return found


@lru_cache(maxsize=65536)
def _tokens_of_two(char: str, tokenizer: Tokenizer) -> int:
    """A character twice makes no token (it separates), one (it belongs to a word) or two (it stands alone).

    The tokenizer itself is asked, so that marks and scores cannot disagree.
    """
    return len(intern([char * 2], stemmer=False, tokenizer=tokenizer).ids)


def _characters(text: str) -> Iterator[tuple[int, int, str]]:
    for at, char in enumerate(text):
        yield at, at + 1, char.lower()


def _segments(text: str) -> Iterator[tuple[int, int, str]]:
    """The shortest pieces that can be normalised one by one, with their normalised and case-folded form."""
    start = 0
    for end in range(1, len(text) + 1):
        if end == len(text) or _begins(text, start, end):
            yield start, end, unicodedata.normalize("NFKC", text[start:end]).casefold()
            start = end


def _begins(text: str, start: int, at: int) -> bool:
    """Whether normalisation leaves the piece before `at` alone whatever follows."""
    char = text[at]
    if char.isascii():
        return True
    if unicodedata.combining(unicodedata.normalize("NFKD", char)[0]):
        return False
    before, apart = text[start:at], unicodedata.normalize("NFKC", char)
    return unicodedata.normalize("NFKC", before + char) == unicodedata.normalize("NFKC", before) + apart


def grams(prediction: Side, reference: Side, n: int) -> tuple[Gram, ...]:
    """Every n-gram of either side with its two counts, the prediction's first."""
    counts = [Counter(side.runs(n)) for side in (prediction, reference)]
    forms: dict[Run, dict[str, None]] = {}
    for side in (prediction, reference):
        for start, run in enumerate(side.runs(n)):
            forms.setdefault(run, {})[side.form(start, n)] = None
    return tuple(Gram(tuple(told), counts[0][run], counts[1][run]) for run, told in forms.items())


def mark_grams(prediction: Side, reference: Side, n: int) -> tuple[Marked, Marked]:
    """Both texts with the n-grams that counted marked, and in the prediction those that clipping cut."""
    left, right = Counter(prediction.runs(n)), Counter(reference.runs(n))
    both = left & right
    return _mark_runs(prediction, n, both, cut=set(both)), _mark_runs(reference, n, both, cut=set())


def _mark_runs(side: Side, n: int, counted: Counter[Run], *, cut: set[Run]) -> Marked:
    """The first occurrences of a gram are taken for the ones that count."""
    room = Counter(counted)
    kinds: list[Kind | None] = [None] * len(side.ids)
    goes_on = [n == 1] * len(side.ids)
    for start, run in enumerate(side.runs(n)):
        if room[run] <= 0 and run not in cut:
            continue
        kind: Kind = "counted" if room[run] > 0 else "cut"
        room[run] -= 1
        for place in range(start, start + n):
            kinds[place] = kind if kind == "counted" else kinds[place] or kind
            goes_on[place] = goes_on[place] or place > start
    return Marked(side.text, marks(side.places, kinds, goes_on))


def mark_tokens(side: Side, counted: set[int]) -> Marked:
    """The text with some tokens marked, neighbours as one."""
    kinds: list[Kind | None] = ["counted" if place in counted else None for place in range(len(side.ids))]
    return Marked(side.text, marks(side.places, kinds, [True] * len(kinds)))


def marks(at: Sequence[Place], kinds: Sequence[Kind | None], goes_on: Sequence[bool]) -> tuple[Mark, ...]:
    """Marks on tokens; a token that goes on with the one before and is of its kind has one mark with it."""
    found: list[Mark] = []
    before: Kind | None = None
    for (start, end), kind, joined in zip(at, kinds, goes_on, strict=True):
        if kind is not None and found and start < found[-1].end:  # the same character as the token before
            own: Kind = "counted" if "counted" in (kind, found[-1].kind) else "cut"
            found[-1] = Mark(found[-1].start, max(end, found[-1].end), own)
        elif kind is not None and found and joined and kind == before:
            found[-1] = Mark(found[-1].start, end, kind)
        elif kind is not None:
            found.append(Mark(start, end, kind))
        before = kind
    return tuple(found)
