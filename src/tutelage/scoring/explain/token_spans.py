"""Where ROUGE's tokens stand in the texts they were made of, and marks on them."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from tutelage.metrics.rouge.tokens import Tokenizer, intern
from tutelage.scoring.explain.explanation import Mark, MarkedText, MarkKind, NGramCount

Span = tuple[int, int]
NGram = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TokenizedText:
    """A text as tokens: the ids that are compared, and each token's span in the text (start, end)."""

    text: str
    ids: tuple[int, ...]
    spans: tuple[Span, ...]

    def form(self, start: int, count: int) -> str:
        """`count` tokens from `start` on as they are written in the text, in lower case, one space between."""
        return " ".join(self.text[a:b].lower() for a, b in self.spans[start : start + count])

    def ngrams(self, n: int) -> list[NGram]:
        """All n-grams in order."""
        return [self.ids[start : start + n] for start in range(len(self.ids) - n + 1)]


def tokenize_for_rouge(texts: Sequence[str], *, stemmer: bool, tokenizer: Tokenizer) -> list[TokenizedText]:
    """Tokenize texts as ROUGE does; equal tokens have equal ids across the texts."""
    tokenized = []
    for text, ids in zip(texts, intern(texts, stemmer=stemmer, tokenizer=tokenizer).texts(), strict=True):
        spans = token_spans(text, tokenizer)
        if len(spans) != len(ids):
            raise AssertionError(f"{len(spans)} spans for {len(ids)} tokens")
        tokenized.append(TokenizedText(text, tuple(ids), tuple(spans)))
    return tokenized


def tokenize_at_spaces(texts: Sequence[str]) -> list[TokenizedText]:
    """Tokenize texts that have space between their tokens; equal tokens have equal ids across the texts."""
    numbers: dict[str, int] = {}
    tokenized = []
    for text in texts:
        words = list(re.finditer(r"\S+", text))
        ids = tuple(numbers.setdefault(word[0], len(numbers)) for word in words)
        tokenized.append(TokenizedText(text, ids, tuple(word.span() for word in words)))
    return tokenized


def token_spans(text: str, tokenizer: Tokenizer) -> list[Span]:
    """Each token's span, (start, end). Two tokens of one character (as of ½) have the same span."""
    spans: list[Span] = []
    inside_word = False
    characters = ((index, index + 1, char.lower()) for index, char in enumerate(text))
    for start, end, folded in characters if tokenizer == "reference" else _segments(text):
        for char in folded:
            tokens = _tokens_of_doubled(char, tokenizer)
            if tokens == 1 and inside_word:
                spans[-1] = (spans[-1][0], end)
            elif tokens:
                spans.append((start, end))
            inside_word = tokens == 1
    return spans


@lru_cache(maxsize=65536)
def _tokens_of_doubled(char: str, tokenizer: Tokenizer) -> int:
    """A character twice makes no token (it separates), one (it belongs to a word) or two (it stands alone).

    The tokenizer itself answers, so that marks and scores cannot disagree.
    """
    return len(intern([char * 2], stemmer=False, tokenizer=tokenizer).ids)


def _segments(text: str) -> Iterator[tuple[int, int, str]]:
    """The shortest pieces that can be normalised one by one, with their normalised and case-folded form."""
    start = 0
    for end in range(1, len(text) + 1):
        if end == len(text) or _starts_segment(text, start, end):
            yield start, end, unicodedata.normalize("NFKC", text[start:end]).casefold()
            start = end


def _starts_segment(text: str, start: int, index: int) -> bool:
    """Whether normalisation leaves `text[start:index]` alone whatever follows."""
    char = text[index]
    if char.isascii():
        return True
    if unicodedata.combining(unicodedata.normalize("NFKD", char)[0]):
        return False
    preceding, alone = text[start:index], unicodedata.normalize("NFKC", char)
    return unicodedata.normalize("NFKC", preceding + char) == unicodedata.normalize("NFKC", preceding) + alone


def count_ngrams(prediction: TokenizedText, reference: TokenizedText, n: int) -> tuple[NGramCount, ...]:
    """Every n-gram of either side with its two counts, the prediction's first."""
    counts = [Counter(side.ngrams(n)) for side in (prediction, reference)]
    forms: dict[NGram, dict[str, None]] = {}
    for side in (prediction, reference):
        for start, ngram in enumerate(side.ngrams(n)):
            forms.setdefault(ngram, {})[side.form(start, n)] = None
    return tuple(
        NGramCount(tuple(written), counts[0][ngram], counts[1][ngram]) for ngram, written in forms.items()
    )


def mark_ngrams(prediction: TokenizedText, reference: TokenizedText, n: int) -> tuple[MarkedText, MarkedText]:
    """Both texts with the n-grams that counted marked, and in the prediction those that clipping cut."""
    matched = Counter(prediction.ngrams(n)) & Counter(reference.ngrams(n))
    return _mark(prediction, n, matched, clipped=set(matched)), _mark(reference, n, matched, clipped=set())


def _mark(side: TokenizedText, n: int, matched: Counter[NGram], *, clipped: set[NGram]) -> MarkedText:
    """Mark the first occurrences of an n-gram as those that count, and further ones of `clipped` as cut."""
    remaining = Counter(matched)
    kinds: list[MarkKind | None] = [None] * len(side.ids)
    continues = [n == 1] * len(side.ids)
    for start, ngram in enumerate(side.ngrams(n)):
        if remaining[ngram] <= 0 and ngram not in clipped:
            continue
        kind: MarkKind = "counted" if remaining[ngram] > 0 else "cut"
        remaining[ngram] -= 1
        for index in range(start, start + n):
            kinds[index] = kind if kind == "counted" else kinds[index] or kind
            continues[index] = continues[index] or index > start
    return MarkedText(side.text, _marks(side.spans, kinds, continues))


def mark_tokens(side: TokenizedText, counted: set[int]) -> MarkedText:
    """The text with some tokens marked, neighbours as one."""
    kinds: list[MarkKind | None] = ["counted" if index in counted else None for index in range(len(side.ids))]
    return MarkedText(side.text, _marks(side.spans, kinds, [True] * len(kinds)))


def _marks(
    spans: Sequence[Span], kinds: Sequence[MarkKind | None], continues: Sequence[bool]
) -> tuple[Mark, ...]:
    """Marks on tokens; a token that continues the one before it and is of its kind shares its mark."""
    marks: list[Mark] = []
    previous: MarkKind | None = None
    for (start, end), kind, continued in zip(spans, kinds, continues, strict=True):
        if kind is not None and marks and start < marks[-1].end:  # the same character as the previous token
            shared: MarkKind = "counted" if "counted" in (kind, marks[-1].kind) else "cut"
            marks[-1] = Mark(marks[-1].start, max(end, marks[-1].end), shared)
        elif kind is not None and marks and continued and kind == previous:
            marks[-1] = Mark(marks[-1].start, end, kind)
        elif kind is not None:
            marks.append(Mark(start, end, kind))
        previous = kind
    return tuple(marks)
