"""The compiled core (`c/`), where it was built: the results of numpy and Python without it, faster.

It is optional: where an installation finds no C compiler or no headers of Python, `BUILT` is False.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tutelage.metrics.stats.arrays import Ints

Ids = npt.NDArray[np.int32]

try:
    from tutelage.metrics.rouge import _core
except ImportError:
    BUILT = False
else:
    BUILT = _core.REVISION == 1  # another one was left behind by another version


def intern(texts: Sequence[str], *, stemmer: bool) -> tuple[Ids, Ints, int]:
    """Ids, starts and size, as `tokens.Corpus` has them; `reference` tokenizer."""
    ids, starts, size = _core.intern([text if text.isascii() else _utf8(text) for text in texts], stemmer)
    return np.frombuffer(ids, np.int32), np.frombuffer(starts, np.int64), size


def _utf8(text: str) -> bytes:
    """The text with the two characters beyond ASCII in lower case that have a letter of ASCII there."""
    return text.replace("\N{KELVIN SIGN}", "k").replace("\u0130", "i ").encode("utf-8", "replace")


def stem(word: str) -> str:
    """The stem of a lower-case ASCII word, as NLTK's `PorterStemmer().stem` gives it."""
    return _core.stem(word.encode("ascii")).decode("ascii")


def overlaps(ids: Ids, starts: Ints, size: int, orders: int) -> Ints:
    """Matches of each pair for the orders 1 to `orders`, int64 of shape (orders, pairs); see `counts.overlaps`."""
    ids, starts = np.ascontiguousarray(ids, np.int32), np.ascontiguousarray(starts, np.int64)
    return np.frombuffer(_core.overlaps(ids, starts, size, orders), np.int64).reshape(
        orders, len(starts) // 2
    )


def lcs(ids: Ids, starts: Ints, size: int) -> Ints:
    """Lengths of longest common subsequences, int64 of shape (pairs,), of sides as `counts.overlaps` takes them."""
    ids, starts = np.ascontiguousarray(ids, np.int32), np.ascontiguousarray(starts, np.int64)
    return np.frombuffer(_core.lcs(ids, starts, size), np.int64)
