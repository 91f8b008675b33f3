"""Instructions about how a response begins and ends."""

from __future__ import annotations


def ends_with(response: str, *, end_phrase: str) -> bool:
    """`startend:end_checker`: the response ends with a phrase, letter case and quotation marks around it aside."""
    return response.strip().strip('"').lower().endswith(end_phrase.lower())


def quoted(response: str) -> bool:
    """`startend:quotation`: the whole response is in double quotation marks."""
    text = response.strip()
    return len(text) > 1 and text[0] == text[-1] == '"'
