"""Finds near-duplicate texts: MinHash proposes candidates, and the exact Jaccard similarity decides.

Two texts are near duplicates if the Jaccard similarity of their sets of five-character shingles (case and spaces folded) reaches
the threshold and they contain the same numbers: rows that differ in a number ask different questions, however similar they look.
A. Z. Broder, "On the resemblance and containment of documents", 1997. The LSH index is datasketch's.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

SHINGLE_LENGTH = 5  # characters
NGRAM_LENGTH = 13  # words; an item and a training row hardly share so many by chance
MAX_SHARING_ITEMS = 10  # an n-gram that more items share is part of the benchmark's instruction
MAX_TEXT_LENGTH = 50_000  # characters; the rest of a longer text is ignored
_PERMUTATIONS = 128
_RECALL_WEIGHTS = (0.1, 0.9)
"""Weights of false positives and false negatives: a false candidate costs a comparison, a missed one is an unseen leak."""
_NUMBER = re.compile(r"\d+")
_PRIME = np.uint64(0x9E3779B97F4A7C15)

Shingles = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Match:
    """A text and its nearest near duplicate in another list: their indices and their Jaccard similarity (0 to 1)."""

    index: int
    match_index: int
    similarity: float


@dataclass(frozen=True, slots=True)
class ContaminatedItem:
    """A benchmark item that also occurs in a training row: both indices, and the evidence (13 words or a similarity)."""

    item: int
    row: int
    evidence: str


def near_matches(references: Sequence[str], queries: Sequence[str], threshold: float) -> list[Match]:
    """For each query with near duplicates among the references, the most similar one; of equally similar ones the first."""
    references_index = _ShingleIndex(references, threshold)
    nearest = []
    for index, text in enumerate(queries):
        best = max(references_index.near(text), key=lambda match: (match[1], -match[0]), default=None)
        if best is not None:
            nearest.append(Match(index, *best))
    return nearest


def near_duplicate_groups(texts: Iterable[str], threshold: float) -> list[int]:
    """Group near duplicates transitively: for each text the index of the first text of its group."""
    parents: list[int] = []  # disjoint sets of indices; the smallest index of a set represents it

    def head(index: int) -> int:
        while parents[index] != index:
            parents[index] = parents[parents[index]]
            index = parents[index]
        return index

    def are_grouped(first: int, second: int) -> bool:
        return head(first) == head(second)

    earlier = _ShingleIndex((), threshold)
    for index, text in enumerate(texts):
        parents.append(index)
        for near_index, _ in earlier.near(text, skip=partial(are_grouped, index)):
            smaller, larger = sorted((head(index), head(near_index)))
            parents[larger] = smaller
        earlier.add(text)
    return [head(index) for index in range(len(parents))]


class _ShingleIndex:
    """An LSH index of texts by their shingles."""

    def __init__(self, texts: Sequence[str], threshold: float) -> None:
        from datasketch import MinHashLSH

        self._threshold = threshold
        # MinHash estimates the similarity with an error of some hundredths, so it searches a little below the threshold.
        self._lsh = MinHashLSH(
            threshold=max(0.1, threshold - 0.05), num_perm=_PERMUTATIONS, weights=_RECALL_WEIGHTS
        )
        self._texts: list[_ShingledText] = []
        self._first_equal: dict[_ShingledText, int] = {}
        for text in texts:
            self.add(text)

    def add(self, text: str) -> None:
        """Add a text under the next index. Of equal texts only the first is searched."""
        (shingled, signature), index = _shingle_and_sign(text), len(self._texts)
        self._texts.append(shingled)
        if self._first_equal.setdefault(shingled, index) == index:
            self._lsh.insert(index, signature)

    def near(self, text: str, *, skip: Callable[[int], bool] | None = None) -> Iterator[tuple[int, float]]:
        """The (index, similarity) of the near duplicates of a text, in order; the first equal text alone if there is one."""
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


class _ShingledText(NamedTuple):
    """A text prepared for comparison: hashes of its distinct shingles, sorted, as bytes; and the numbers that it contains."""

    shingles: bytes
    numbers: tuple[str, ...]


def _shingles(text: str) -> Shingles:
    """The hashes of a text's distinct shingles, sorted."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    if len(codes) < SHINGLE_LENGTH:
        codes = np.concatenate((codes, np.full(SHINGLE_LENGTH - len(codes), 0x110000, np.uint64)))
    count = len(codes) - SHINGLE_LENGTH + 1
    shingles = np.zeros(count, np.uint64)
    for offset in range(SHINGLE_LENGTH):
        shingles = (shingles ^ codes[offset : offset + count]) * _PRIME
        shingles ^= shingles >> np.uint64(29)
    return np.unique(shingles)


def _jaccard(first: bytes, second: bytes) -> float:
    sets = np.frombuffer(first, np.uint64), np.frombuffer(second, np.uint64)
    shared = len(np.intersect1d(*sets, assume_unique=True))
    return shared / (len(sets[0]) + len(sets[1]) - shared)


@lru_cache(maxsize=1)
def _empty_minhash() -> Any:
    """An empty MinHash to copy: copies share its permutations, which the library would otherwise draw for every text."""
    from datasketch import MinHash

    return MinHash(num_perm=_PERMUTATIONS, hashfunc=int)


@lru_cache(maxsize=2)
def _shingle_and_sign(text: str) -> tuple[_ShingledText, Any]:
    """A text's shingles and MinHash; cached because a text that was just searched is often added next."""
    folded = " ".join(text[:MAX_TEXT_LENGTH].casefold().split())
    shingles = _shingles(folded)
    minhash = _empty_minhash().copy()
    minhash.update_batch(shingles >> np.uint64(32))  # the library takes 32-bit hashes
    return _ShingledText(shingles.tobytes(), tuple(sorted(_NUMBER.findall(folded)))), minhash


def contaminated_items(items: Sequence[str], rows: Sequence[str], threshold: float) -> list[ContaminatedItem]:
    """The benchmark items that occur in training rows, each with the first such row.

    An item occurs in a row if they share 13 consecutive words (T. Brown et al., "Language models are few-shot learners", 2020,
    appendix C) or are near duplicates. N-grams that many items share belong to the benchmark's instruction and are ignored.

    Args:
        items: the items' texts.
        rows: the training rows' texts.
        threshold: the similarity from which an item and a row are near duplicates.
    """
    near_items = {match.index: match for match in near_matches(rows, items, threshold)}
    items_by_ngram: dict[int, list[int]] = defaultdict(list)
    for index, item in enumerate(items):
        for ngram in _ngram_hashes(item):
            items_by_ngram[ngram].append(index)
    items_by_ngram = {
        ngram: indices for ngram, indices in items_by_ngram.items() if len(indices) <= MAX_SHARING_ITEMS
    }
    row_by_item: dict[int, int] = {}
    for index, row in enumerate(rows if items_by_ngram else ()):
        for ngram in _ngram_hashes(row) & items_by_ngram.keys():
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


def _ngram_hashes(text: str) -> set[int]:
    """Hashes of a text's n-grams, with case folded and punctuation removed."""
    words = "".join(char if char.isalnum() else " " for char in text.casefold()).split()
    return {hash(tuple(words[at : at + NGRAM_LENGTH])) for at in range(len(words) - NGRAM_LENGTH + 1)}
