"""How a generated answer is read where no named rule does it: a regular expression, and what is ignored in the comparison.

It is what lm-evaluation-harness's filters `regex` and `remove_whitespace` and the options of its `exact_match` do
(lm_eval/filters/extraction.py, lm_eval/api/metrics.py). Unlike named rules it leaves right answers as they are but for what is ignored.
"""

from __future__ import annotations

import string
from typing import Annotated, Literal

from pydantic import Field

from tutelage.core.patterns import Pattern
from tutelage.core.validation import Block, checked_by

PatternText = Annotated[str, checked_by(lambda text: Pattern(text).check())]
"""A regular expression in Python's syntax."""
_IGNORED = {"punctuation": string.punctuation, "numbers": string.digits}


class AnswerReading(Block):
    """What of a generated text is the answer, and what does not count when it is compared with the right one."""

    pattern: PatternText = Field(
        "",
        description="A regular expression; the answer is the first group of a match that is not empty, or the match where there "
        "are no groups. The whole text when not given.",
    )
    take: Literal["first", "last"] = Field("first", description="Which match.")
    missing: str = Field("[invalid]", description="The answer where nothing matches.")
    strip: bool = Field(
        False, description="Whether space around the whole text is removed; around a match it always is."
    )
    remove: tuple[PatternText, ...] = Field(
        (), description="Regular expressions whose matches are removed from the answer and the right answers."
    )
    ignore: tuple[Literal["case", "punctuation", "numbers"], ...] = Field(
        (), description="What does not count: letter case, ASCII punctuation, digits."
    )

    def answer(self, text: str) -> str:
        """Read the answer in a generated text, in the form in which it is compared."""
        if self.pattern:
            captures = Pattern(self.pattern, "reading.pattern").captures(text)
            capture = captures[0 if self.take == "first" else -1] if captures else None
            text = self.missing if capture is None else capture.strip()
        return self.reference(text.strip() if self.strip else text)

    def reference(self, text: str) -> str:
        """Put a right answer into the form in which it is compared.

        It stands in brackets: metrics ignore the space around a text, and here it counts.
        """
        for pattern in self.remove:
            text = Pattern(pattern, "reading.remove").replaced("", text)
        if "case" in self.ignore:
            text = text.lower()
        for name, characters in _IGNORED.items():
            if name in self.ignore:
                text = text.translate(str.maketrans("", "", characters))
        return f"[{text}]"
