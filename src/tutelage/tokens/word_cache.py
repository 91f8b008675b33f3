"""Texts to ids word by word, each word looked up: the same ids as the tokenizer gives, in less time.

A byte-level BPE tokenizer first cuts a text into pieces that no merge crosses. For the cutting rules below a single space
between two printed characters always begins a piece, and what comes before it has no say in what follows; the same holds
behind a single line break. So a text is cut there, and each stretch is encoded once and remembered. Texts with other
white space (doubled, or next to a line break) go to the tokenizer whole, and so does everything for other tokenizers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import chain
from typing import Any

MOST = 100_000
"""Words that are remembered; with more, all are forgotten and it begins anew."""
LONG = 32
"""Characters from which on a word is forgotten with its batch: it hardly comes again."""
RULES = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
)
"""Cutting rules, as tokenizer files write them (Llama 3's, Qwen 2's, GPT-2's), for which the above was shown."""
_LINE = re.compile(r"(?<=\S\n)(?=\S)")
_PROBES = (
    "a b  c\nd \n e",
    "It's 12 o'clock, isn't it?\nYES! (no)\n\n- 3.14\tx",
    " \N{GRINNING FACE} é\N{COMBINING DIAERESIS} 你好 12\n\n\n ",
    "\N{NO-BREAK SPACE}x \x1c y\u2028z",
)


def separable(tokenizer: Any) -> bool:
    """Whether a tokenizer is of the kind that this module knows, and its added tokens stand apart from any text."""
    backend = tokenizer.backend_tokenizer
    model = backend.model
    added = list(backend.get_added_tokens_decoder().values())
    return (
        type(model).__name__ == "BPE"
        and not (model.dropout or model.continuing_subword_prefix or model.end_of_word_suffix)
        and _state(backend.normalizer) in (None, {"type": "NFC"})
        and _cuts_before_spaces(_state(backend.pre_tokenizer))
        and not any(t.lstrip or t.rstrip or t.single_word or t.normalized for t in added)
        and not any(char.isspace() for t in added for char in t.content)
        and not _overlap({t.content for t in added})
        and all(_Words(tokenizer).of([text])[text] == encode_many(tokenizer, [text])[0] for text in _PROBES)
    )


def _state(part: Any) -> Any:
    return None if part is None else json.loads(part.__getstate__())


def _cuts_before_spaces(rule: Any) -> bool:
    parts = rule["pretokenizers"] if rule and rule["type"] == "Sequence" else [rule]
    if not parts or not parts[-1] or parts[-1]["type"] != "ByteLevel" or parts[-1]["add_prefix_space"]:
        return False
    *before, last = parts
    splits = [one for one in before if one["type"] == "Split"]
    known = all(
        one["pattern"].get("Regex") in RULES and one["behavior"] == "Isolated" and not one["invert"]
        for one in splits
    )
    digits = all(one["type"] == "Digits" for one in before if one not in splits)
    # One cutting rule: ByteLevel's own, or one of those above.
    return known and digits and len(splits) == (0 if last["use_regex"] else 1)


def _overlap(names: set[str]) -> bool:
    """Whether a token may begin inside another: then a text's end could take a part of the token that follows."""
    heads = {name[:size] for name in names for size in range(1, len(name))}
    return any(name[at:] in heads for name in names for at in range(len(name)))


def encode_many(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """The ids of texts as the tokenizer itself gives them: nothing added, without offsets and masks that nobody reads."""
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    backend.encode_special_tokens = False
    return [encoded.ids for encoded in backend.encode_batch_fast(texts, add_special_tokens=False)]


class Vocabulary:
    """Encodes texts for one tokenizer: by words where that is shown to be the same, else whole."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.separable = separable(tokenizer)
        self._words = _Words(tokenizer) if self.separable else None

    def of(self, texts: Sequence[str]) -> dict[str, list[int]]:
        """The ids of each text, in a batch of a bounded number of texts."""
        texts = list(dict.fromkeys(texts))
        if self._words is not None:
            return self._words.of(texts)
        return dict(zip(texts, encode_many(self._tokenizer, texts), strict=True))


class _Words:
    """The words met so far, with their ids."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._first: dict[str, list[int]] = {}  # a stretch as it stands
        self._later: dict[str, list[int]] = {}  # a word behind a space, without the space

    def of(self, texts: Sequence[str]) -> dict[str, list[int]]:
        """The ids of each text."""
        cut = [_cut(text) for text in texts]
        heads = {head for heads, _ in cut for head in heads}
        odd, made = self._learn(heads, set().union(*(one for _, words in cut for one in words)))
        first, later = self._first, self._later
        found: dict[str, list[int]] = {}
        whole = []
        for text, (heads_, words) in zip(texts, cut, strict=True):
            if not heads_ or (odd and not (odd.isdisjoint(heads_) and all(map(odd.isdisjoint, words)))):
                whole.append(text)
                continue
            ids: list[int] = []
            for head, one in zip(heads_, words, strict=True):
                ids += first[head]
                ids.extend(chain.from_iterable(map(later.__getitem__, one)))
            found[text] = ids
        found.update(zip(whole, encode_many(self._tokenizer, whole), strict=True))
        self._forget(made)
        return found

    def _learn(self, heads: set[str], words: set[str]) -> tuple[set[str], tuple[list[str], list[str]]]:
        """Encode what is not known yet; gives what cannot be encoded by itself, and what is new."""
        heads = heads - self._first.keys()
        words = words - self._later.keys()
        odd = {one for one in heads if one and not _good(one)} | {one for one in words if not _good(one)}
        firsts, laters = sorted(heads - odd), sorted(words - odd)
        made = encode_many(self._tokenizer, [*firsts, *(f" {word}" for word in laters)])
        self._first.update(zip(firsts, made, strict=False))
        self._later.update(zip(laters, made[len(firsts) :], strict=True))
        return odd, (firsts, laters)

    def _forget(self, made: tuple[list[str], list[str]]) -> None:
        for kept, names in zip((self._first, self._later), made, strict=True):
            for name in names:
                if len(name) > LONG:
                    del kept[name]
            if len(kept) > MOST:
                kept.clear()


def _cut(text: str) -> tuple[list[str], list[list[str]]]:
    """A text's lines, each as its first stretch and the words behind it; nothing where a line break meets a space."""
    if "\n" not in text:
        head, *words = text.split(" ")
        return [head], [words]
    if "\n " in text:
        return [], []
    lines = [line.split(" ") for line in _LINE.split(text)]
    return [one.pop(0) for one in lines], lines


def _good(word: str) -> bool:
    """Whether a word, without the line break that may end its line, neither begins nor ends with white space."""
    word = word.removesuffix("\n")
    return bool(word) and not word[0].isspace() and not word[-1].isspace()
