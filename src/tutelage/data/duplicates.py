"""Texts that say nearly the same: MinHash finds candidates, and each is checked by its exact similarity.

Two texts are near when the Jaccard similarity of their sets of five-character pieces, case and spaces folded, reaches the
threshold and their numbers are the same: rows that differ in a number ask different things, however alike they look. A. Z. Broder, "On the resemblance and containment of documents", 1997; the index is datasketch's.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt

PIECE = 5  # characters
RUN = 13  # words in a row that an item and a training row do not share by chance
FRAME = 10  # items; a run of words that more of them share is an instruction
LONGEST = 50_000  # characters of a text that are looked at
_PERMUTATIONS = 128
_FOR_RECALL = (0.1, 0.9)  # a candidate too many costs a comparison, one too few is a leak that nobody sees
_NUMBER = re.compile(r"\d+")
_PRIME = np.uint64(0x9E3779B97F4A7C15)

Pieces = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Match:
    """A text of one list that is near one of another: both places, and how similar they are (1.0 is the same)."""

    place: int
    other: int
    similarity: float


@dataclass(frozen=True, slots=True)
class ContaminatedItem:
    """A benchmark's item that stands in a training row: both places, and what they share."""

    item: int
    row: int
    how: str


def matches(known: Sequence[str], asked: Sequence[str], threshold: float) -> list[Match]:
    """For each asked text that is near a known one, the first of the nearest known ones."""
    index = _Index(known, threshold)
    found = []
    for place, text in enumerate(asked):
        near = max(index.near(text), key=lambda match: (match[1], -match[0]), default=None)
        if near is not None:
            found.append(Match(place, *near))
    return found


def clusters(texts: Iterable[str], threshold: float) -> list[int]:
    """For each text the first one that it belongs to: near ones belong together, and so do those near to these."""
    union = _Union()
    index = _Index((), threshold)
    for text in texts:
        place = union.add()
        for other, _ in index.near(text, skip=partial(union.same, place)):
            union.join(place, other)
        index.add(text)
    return [union.head(place) for place in range(len(union))]


def similarity(left: str, right: str) -> float:
    """The exact Jaccard similarity of two texts' pieces; 0.0 when their numbers differ."""
    one, other = _read(left), _read(right)
    return _jaccard(one.pieces, other.pieces) if one.numbers == other.numbers else 0.0


class _Union:
    """Places that were joined; the first of those that belong together is their head."""

    def __init__(self) -> None:
        self._parents: list[int] = []

    def __len__(self) -> int:
        return len(self._parents)

    def add(self) -> int:
        """One more place, which is its own head."""
        self._parents.append(len(self._parents))
        return len(self._parents) - 1

    def head(self, place: int) -> int:
        parents = self._parents
        while parents[place] != place:
            parents[place] = parents[parents[place]]
            place = parents[place]
        return place

    def same(self, left: int, right: int) -> bool:
        return self.head(left) == self.head(right)

    def join(self, left: int, right: int) -> None:
        first, second = sorted((self.head(left), self.head(right)))
        self._parents[second] = first


class _Index:
    """Texts by their pieces."""

    def __init__(self, texts: Sequence[str], threshold: float) -> None:
        from datasketch import MinHashLSH

        self._threshold = threshold
        # The index itself looks a little below the threshold: its own estimate errs by some hundredths.
        self._lsh = MinHashLSH(
            threshold=max(0.1, threshold - 0.05), num_perm=_PERMUTATIONS, weights=_FOR_RECALL
        )
        self._kept: list[_Text] = []
        self._same: dict[_Text, int] = {}
        for text in texts:
            self.add(text)

    def add(self, text: str) -> None:
        """Keep a text; its place is how many were kept before. Of equal ones only the first is looked up."""
        (own, signature), place = _signed(text), len(self._kept)
        self._kept.append(own)
        if self._same.setdefault(own, place) == place:
            self._lsh.insert(place, signature)

    def near(self, text: str, *, skip: Callable[[int], bool] | None = None) -> Iterator[tuple[int, float]]:
        """Kept texts near this one, in their order, each with its similarity."""
        own, signature = _signed(text)
        same = self._same.get(own)
        if same is not None:
            yield same, 1.0
            return
        for place in sorted(self._lsh.query(signature)):
            other = self._kept[place]
            if other.numbers != own.numbers or (skip is not None and skip(place)):
                continue
            shared = _jaccard(own.pieces, other.pieces)
            if shared >= self._threshold:
                yield place, shared


class _Text:
    """A text as it is compared: its different five-character pieces, each as a number, sorted; and its numbers."""

    __slots__ = ("hash", "numbers", "pieces")

    def __init__(self, pieces: Pieces, numbers: tuple[str, ...]) -> None:
        self.pieces = pieces
        self.numbers = numbers
        self.hash = hash((pieces.tobytes(), numbers))

    def __hash__(self) -> int:
        return self.hash

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, _Text)
            and self.numbers == other.numbers
            and np.array_equal(self.pieces, other.pieces)
        )


def _read(text: str) -> _Text:
    folded = " ".join(text[:LONGEST].casefold().split())
    codes = np.frombuffer(folded.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    if len(codes) < PIECE:
        codes = np.concatenate((codes, np.full(PIECE - len(codes), 0x110000, np.uint64)))
    last = len(codes) - PIECE + 1
    pieces = np.zeros(last, np.uint64)
    for offset in range(PIECE):
        pieces = (pieces ^ codes[offset : offset + last]) * _PRIME
        pieces ^= pieces >> np.uint64(29)
    return _Text(np.unique(pieces), tuple(sorted(_NUMBER.findall(folded))))


def _jaccard(left: Pieces, right: Pieces) -> float:
    shared = len(np.intersect1d(left, right, assume_unique=True))
    return shared / (len(left) + len(right) - shared)


@lru_cache(maxsize=1)
def _empty() -> Any:
    """A signature of nothing: copies share the permutations, which the library would draw anew for every text."""
    from datasketch import MinHash

    return MinHash(num_perm=_PERMUTATIONS, hashfunc=int)


def _signature(pieces: Pieces) -> Any:
    made = _empty().copy()
    made.update_batch(pieces >> np.uint64(32))  # the library takes numbers of 32 bits
    return made


@lru_cache(maxsize=2)
def _signed(text: str) -> tuple[_Text, Any]:
    """A text with its signature; a text that is looked for is often added next."""
    own = _read(text)
    return own, _signature(own.pieces)


def contaminated_items(items: Sequence[str], rows: Sequence[str], threshold: float) -> list[ContaminatedItem]:
    """The items of a benchmark that stand in training rows, each with the first such row.

    An item stands in a row when they share a run of 13 words (T. Brown et al., "Language models are few-shot learners",
    2020, appendix C), or when they are near. Runs that many items share are the benchmark's own words and say nothing.
    """
    near = {match.place: match for match in matches(rows, items, threshold)}
    wanted: dict[int, list[int]] = {}
    for place, item in enumerate(items):
        for gram in grams(item, RUN):
            wanted.setdefault(gram, []).append(place)
    wanted = {gram: own for gram, own in wanted.items() if len(own) <= FRAME}
    shared: dict[int, int] = {}
    for place, row in enumerate(rows if wanted else ()):
        for gram in grams(row, RUN) & wanted.keys():
            for item_place in wanted[gram]:
                shared.setdefault(item_place, place)
    return [
        ContaminatedItem(place, shared[place], "13 words")
        if place in shared
        else ContaminatedItem(place, near[place].other, f"{near[place].similarity:.2f} alike")
        for place in sorted({*shared, *near})
    ]


def grams(text: str, count: int) -> set[int]:
    """Hashes of the runs of so many words of a text, case folded, signs left out."""
    words = "".join(char if char.isalnum() else " " for char in text.casefold()).split()
    starts = range(len(words) - count + 1)
    return {_hash(" ".join(words[start : start + count])) for start in starts}


def _hash(text: str) -> int:
    """A number of 64 bits that depends on the text alone."""
    return int.from_bytes(
        hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big"
    )
