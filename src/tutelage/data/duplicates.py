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

SHINGLE_LENGTH = 5  # characters
NGRAM_LENGTH = 13  # words in a row that an item and a training row do not share by chance
MAX_SHARING_ITEMS = 10  # items; a run of words that more of them share is an instruction
MAX_TEXT_LENGTH = 50_000  # characters of a text that are looked at
_PERMUTATIONS = 128
_RECALL_WEIGHTS = (0.1, 0.9)
"""Weights of false positives and false negatives: a false candidate costs a comparison, a missed one is an unseen leak."""
_NUMBER = re.compile(r"\d+")
_PRIME = np.uint64(0x9E3779B97F4A7C15)

Shingles = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Match:
    """A text of one list that is near one of another: both places, and how similar they are (1.0 is the same)."""

    index: int
    match_index: int
    similarity: float


@dataclass(frozen=True, slots=True)
class ContaminatedItem:
    """A benchmark's item that stands in a training row: both places, and what they share."""

    item: int
    row: int
    evidence: str


def near_matches(references: Sequence[str], queries: Sequence[str], threshold: float) -> list[Match]:
    """For each asked text that is near a known one, the first of the nearest known ones."""
    references_index = _ShingleIndex(references, threshold)
    nearest = []
    for index, text in enumerate(queries):
        best = max(references_index.near(text), key=lambda match: (match[1], -match[0]), default=None)
        if best is not None:
            nearest.append(Match(index, *best))
    return nearest


def near_duplicate_groups(texts: Iterable[str], threshold: float) -> list[int]:
    """For each text the first one that it belongs to: near ones belong together, and so do those near to these."""
    groups = _UnionFind()
    earlier = _ShingleIndex((), threshold)
    for text in texts:
        index = groups.add()
        for near_index, _ in earlier.near(text, skip=partial(groups.same, index)):
            groups.join(index, near_index)
        earlier.add(text)
    return [groups.head(index) for index in range(len(groups))]


def similarity(first: str, second: str) -> float:
    """The exact Jaccard similarity of two texts' pieces; 0.0 when their numbers differ."""
    first_text, second_text = _shingle(first), _shingle(second)
    return (
        _jaccard(first_text.shingles, second_text.shingles)
        if first_text.numbers == second_text.numbers
        else 0.0
    )


class _UnionFind:
    """Places that were joined; the first of those that belong together is their head."""

    def __init__(self) -> None:
        self._parents: list[int] = []

    def __len__(self) -> int:
        return len(self._parents)

    def add(self) -> int:
        """One more place, which is its own head."""
        self._parents.append(len(self._parents))
        return len(self._parents) - 1

    def head(self, index: int) -> int:
        parents = self._parents
        while parents[index] != index:
            parents[index] = parents[parents[index]]
            index = parents[index]
        return index

    def same(self, first: int, second: int) -> bool:
        return self.head(first) == self.head(second)

    def join(self, first: int, second: int) -> None:
        smaller, larger = sorted((self.head(first), self.head(second)))
        self._parents[larger] = smaller


class _ShingleIndex:
    """Texts by their pieces."""

    def __init__(self, texts: Sequence[str], threshold: float) -> None:
        from datasketch import MinHashLSH

        self._threshold = threshold
        # The index itself looks a little below the threshold: its own estimate errs by some hundredths.
        self._lsh = MinHashLSH(
            threshold=max(0.1, threshold - 0.05), num_perm=_PERMUTATIONS, weights=_RECALL_WEIGHTS
        )
        self._texts: list[_ShingledText] = []
        self._first_equal: dict[_ShingledText, int] = {}
        for text in texts:
            self.add(text)

    def add(self, text: str) -> None:
        """Keep a text; its place is how many were kept before. Of equal ones only the first is looked up."""
        (shingled, signature), index = _shingle_and_sign(text), len(self._texts)
        self._texts.append(shingled)
        if self._first_equal.setdefault(shingled, index) == index:
            self._lsh.insert(index, signature)

    def near(self, text: str, *, skip: Callable[[int], bool] | None = None) -> Iterator[tuple[int, float]]:
        """Kept texts near this one, in their order, each with its similarity."""
        shingled, signature = _shingle_and_sign(text)
        equal = self._first_equal.get(shingled)
        if equal is not None:
            yield equal, 1.0
            return
        for index in sorted(self._lsh.query(signature)):
            candidate = self._texts[index]
            if candidate.numbers != shingled.numbers or (skip is not None and skip(index)):
                continue
            overlap = _jaccard(shingled.shingles, candidate.shingles)
            if overlap >= self._threshold:
                yield index, overlap


class _ShingledText:
    """A text as it is compared: its different five-character pieces, each as a number, sorted; and its numbers."""

    __slots__ = ("hash", "numbers", "shingles")

    def __init__(self, shingles: Shingles, numbers: tuple[str, ...]) -> None:
        self.shingles = shingles
        self.numbers = numbers
        self.hash = hash((shingles.tobytes(), numbers))

    def __hash__(self) -> int:
        return self.hash

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, _ShingledText)
            and self.numbers == other.numbers
            and np.array_equal(self.shingles, other.shingles)
        )


def _shingle(text: str) -> _ShingledText:
    folded = " ".join(text[:MAX_TEXT_LENGTH].casefold().split())
    codes = np.frombuffer(folded.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    if len(codes) < SHINGLE_LENGTH:
        codes = np.concatenate((codes, np.full(SHINGLE_LENGTH - len(codes), 0x110000, np.uint64)))
    count = len(codes) - SHINGLE_LENGTH + 1
    shingles = np.zeros(count, np.uint64)
    for offset in range(SHINGLE_LENGTH):
        shingles = (shingles ^ codes[offset : offset + count]) * _PRIME
        shingles ^= shingles >> np.uint64(29)
    return _ShingledText(np.unique(shingles), tuple(sorted(_NUMBER.findall(folded))))


def _jaccard(first: Shingles, second: Shingles) -> float:
    shared = len(np.intersect1d(first, second, assume_unique=True))
    return shared / (len(first) + len(second) - shared)


@lru_cache(maxsize=1)
def _empty_minhash() -> Any:
    """A signature of nothing: copies share the permutations, which the library would draw anew for every text."""
    from datasketch import MinHash

    return MinHash(num_perm=_PERMUTATIONS, hashfunc=int)


def _minhash(shingles: Shingles) -> Any:
    minhash = _empty_minhash().copy()
    minhash.update_batch(shingles >> np.uint64(32))  # the library takes numbers of 32 bits
    return minhash


@lru_cache(maxsize=2)
def _shingle_and_sign(text: str) -> tuple[_ShingledText, Any]:
    """A text with its signature; a text that is looked for is often added next."""
    shingled = _shingle(text)
    return shingled, _minhash(shingled.shingles)


def contaminated_items(items: Sequence[str], rows: Sequence[str], threshold: float) -> list[ContaminatedItem]:
    """The items of a benchmark that stand in training rows, each with the first such row.

    An item stands in a row when they share a run of 13 words (T. Brown et al., "Language models are few-shot learners",
    2020, appendix C), or when they are near. Runs that many items share are the benchmark's own words and say nothing.
    """
    near_items = {match.index: match for match in near_matches(rows, items, threshold)}
    items_by_ngram: dict[int, list[int]] = {}
    for index, item in enumerate(items):
        for ngram in ngram_hashes(item, NGRAM_LENGTH):
            items_by_ngram.setdefault(ngram, []).append(index)
    items_by_ngram = {
        ngram: item_indices
        for ngram, item_indices in items_by_ngram.items()
        if len(item_indices) <= MAX_SHARING_ITEMS
    }
    row_by_item: dict[int, int] = {}
    for index, row in enumerate(rows if items_by_ngram else ()):
        for ngram in ngram_hashes(row, NGRAM_LENGTH) & items_by_ngram.keys():
            for item_index in items_by_ngram[ngram]:
                row_by_item.setdefault(item_index, index)
    return [
        ContaminatedItem(index, row_by_item[index], "13 words")
        if index in row_by_item
        else ContaminatedItem(
            index, near_items[index].match_index, f"{near_items[index].similarity:.2f} alike"
        )
        for index in sorted({*row_by_item, *near_items})
    ]


def ngram_hashes(text: str, length: int) -> set[int]:
    """Hashes of the runs of so many words of a text, case folded, signs left out."""
    tokens = "".join(char if char.isalnum() else " " for char in text.casefold()).split()
    starts = range(len(tokens) - length + 1)
    return {_hash(" ".join(tokens[start : start + length])) for start in starts}


def _hash(text: str) -> int:
    """A number of 64 bits that depends on the text alone."""
    return int.from_bytes(
        hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big"
    )
