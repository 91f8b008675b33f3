"""The texts of a tokenizer's special tokens."""

from __future__ import annotations

from typing import Any


def special_spellings(tokenizer: Any) -> dict[int, str]:
    """The text of every special token by its id, with a role such as eos or without."""
    spellings = {i: str(t) for i, t in tokenizer.added_tokens_decoder.items() if t.special}
    with_role = zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True)
    spellings.update((i, str(t)) for i, t in with_role if i is not None)
    return spellings
