"""Tokenizes texts word by word with a cache: the ids that the tokenizer gives for the whole text, in less time.

A byte-level BPE tokenizer first splits a text into pieces that no merge crosses. Under the split rules below, a single
space between two printed characters always begins a piece, and what comes before it has no influence on what follows; the
same holds behind a single line break. So a text may be split there, and each part is tokenized once and remembered. Texts
with other white space (doubled, or next to a line break) go to the tokenizer whole, and so do all texts of other tokenizers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import chain
from typing import Any

MAX_WORDS = 100_000
"""Words in the cache; when it holds more, it is emptied."""
LONG_WORD = 32
"""Characters from which on a word is dropped after its batch, as it is unlikely to come again."""
SPLIT_RULES = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
)
"""Split rules of pre-tokenizers, as tokenizer files write them (Llama 3's, Qwen 2's, GPT-2's), for which the above holds."""
_LINE_START = re.compile(r"(?<=\S\n)(?=\S)")
_PROBES = (
    "a b  c\nd \n e",
    "It's 12 o'clock, isn't it?\nYES! (no)\n\n- 3.14\tx",
    " \N{GRINNING FACE} é\N{COMBINING DIAERESIS} 你好 12\n\n\n ",
    "\N{NO-BREAK SPACE}x \x1c y\u2028z",
)


def tokenize_batch(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """The ids of texts as the tokenizer itself gives them: nothing added; offsets and masks are not computed."""
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    backend.encode_special_tokens = False
    return [encoding.ids for encoding in backend.encode_batch_fast(texts, add_special_tokens=False)]


class WordCache:
    """Tokenizes texts for one tokenizer, by words where that gives the same ids.

    Attributes:
        by_words: whether it does: the tokenizer is of a kind for which it was shown, and agrees on some probes.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        # The ids of a line's first word, and of a word behind a space, without that space. A line break belongs to the
        # last word of its line.
        self._line_starts: dict[str, list[int]] = {}
        self._words: dict[str, list[int]] = {}
        self.by_words = _is_separable(tokenizer.backend_tokenizer) and all(
            self._encode_by_words([text])[text] == tokenize_batch(tokenizer, [text])[0] for text in _PROBES
        )

    def encode(self, texts: Sequence[str]) -> dict[str, list[int]]:
        """The ids of each text of a batch; special tokens that it spells are read as such."""
        texts = list(dict.fromkeys(texts))
        if self.by_words:
            return self._encode_by_words(texts)
        return dict(zip(texts, tokenize_batch(self._tokenizer, texts), strict=True))

    def _encode_by_words(self, texts: Sequence[str]) -> dict[str, list[int]]:
        """Tokenize the words that are not cached, then join each text's ids; texts with inseparable words go whole.

        Each line is joined once for a batch: chat templates write the same lines into every prompt.
        """
        lines_of = {text: _lines(text) for text in texts}
        lines = {line: line.split(" ") for line in dict.fromkeys(chain.from_iterable(lines_of.values()))}
        new_starts = {start for start, *_ in lines.values()} - self._line_starts.keys()
        new_words = set().union(*(words[1:] for words in lines.values())) - self._words.keys()
        inseparable = {start for start in new_starts if start and not _is_separate(start)}
        inseparable |= {word for word in new_words if not _is_separate(word)}
        self._add(new_starts - inseparable, new_words - inseparable)
        line_ids: dict[str, list[int]] = {}
        for line, (start, *words) in lines.items():
            if not inseparable or (start not in inseparable and inseparable.isdisjoint(words)):
                line_ids[line] = [*self._line_starts[start]]
                line_ids[line].extend(chain.from_iterable(map(self._words.__getitem__, words)))
        by_words = {text: of for text, of in lines_of.items() if of and line_ids.keys() >= set(of)}
        ids = {
            text: list(chain.from_iterable(map(line_ids.__getitem__, of))) for text, of in by_words.items()
        }
        whole = [text for text in texts if text not in ids]
        ids.update(zip(whole, tokenize_batch(self._tokenizer, whole), strict=True))
        self._trim(self._line_starts, new_starts)
        self._trim(self._words, new_words)
        return ids

    def _add(self, starts: set[str], words: set[str]) -> None:
        """Tokenize new words, those behind a space with that space."""
        texts = [*starts, *(f" {word}" for word in words)]
        ids = tokenize_batch(self._tokenizer, texts)
        self._line_starts.update(zip(starts, ids, strict=False))
        self._words.update(zip(words, ids[len(starts) :], strict=True))

    @staticmethod
    def _trim(cache: dict[str, list[int]], new: set[str]) -> None:
        """Drop long new words, and everything where the cache is too large."""
        for word in new:
            if len(word) > LONG_WORD:
                cache.pop(word, None)
        if len(cache) > MAX_WORDS:
            cache.clear()


def _is_separable(backend: Any) -> bool:
    """Whether a tokenizer is of a kind that may be split, and no text takes a part of its added tokens."""
    model = backend.model
    added = list(backend.get_added_tokens_decoder().values())
    return (
        type(model).__name__ == "BPE"
        and not (model.dropout or model.continuing_subword_prefix or model.end_of_word_suffix)
        and _state(backend.normalizer) in (None, {"type": "NFC"})
        and _splits_before_spaces(_state(backend.pre_tokenizer))
        and not any(t.lstrip or t.rstrip or t.single_word or t.normalized for t in added)
        and not any(char.isspace() for t in added for char in t.content)
        and not _overlap({t.content for t in added})
    )


def _state(component: Any) -> Any:
    return None if component is None else json.loads(component.__getstate__())


def _splits_before_spaces(pre_tokenizer: Any) -> bool:
    is_sequence = pre_tokenizer and pre_tokenizer["type"] == "Sequence"
    steps = pre_tokenizer["pretokenizers"] if is_sequence else [pre_tokenizer]
    if not steps or not steps[-1] or steps[-1]["type"] != "ByteLevel" or steps[-1]["add_prefix_space"]:
        return False
    *first, byte_level = steps
    splits = [step for step in first if step["type"] == "Split"]
    known_rules = all(
        step["pattern"].get("Regex") in SPLIT_RULES and step["behavior"] == "Isolated" and not step["invert"]
        for step in splits
    )
    only_digits = all(step["type"] == "Digits" for step in first if step not in splits)
    # One split rule: ByteLevel's own, or one of those above.
    return known_rules and only_digits and len(splits) == (0 if byte_level["use_regex"] else 1)


def _overlap(tokens: set[str]) -> bool:
    """Whether a token may begin inside another: a text's end could then take a part of the token that follows it."""
    prefixes = {token[:size] for token in tokens for size in range(1, len(token))}
    return any(token[start:] in prefixes for token in tokens for start in range(len(token)))


def _lines(text: str) -> list[str]:
    """A text's lines, each with the line break that ends it; none where a space follows a line break."""
    if "\n" not in text:
        return [text]
    return [] if "\n " in text else _LINE_START.split(text)


def _is_separate(word: str) -> bool:
    """Whether a word, without the line break that may end its line, neither begins nor ends with white space."""
    word = word.removesuffix("\n")
    return bool(word) and not word[0].isspace() and not word[-1].isspace()
