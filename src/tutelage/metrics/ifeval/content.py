"""Instructions about parts that a response must have: placeholders, a postscript."""

from __future__ import annotations

import re

_PLACEHOLDER = re.compile(r"\[.*?\]")
_POSTSCRIPTS = {"P.S.": r"p\.\s?s\.", "P.P.S": r"p\.\s?p\.\s?s"}


def placeholders(response: str, *, num_placeholders: int) -> bool:
    """`detectable_content:number_placeholders`: at least this many texts in square brackets, such as [name]."""
    return len(_PLACEHOLDER.findall(response)) >= num_placeholders


def postscript(response: str, *, postscript_marker: str) -> bool:
    """`detectable_content:postscript`: the mark of a postscript is there, in any letter case and anywhere."""
    pattern = _POSTSCRIPTS.get(postscript_marker, re.escape(postscript_marker.lower()))
    return re.search(pattern, response.lower()) is not None
