"""What of a generated text is the answer of a BIG-bench task: up to a stop string, then the first match of a pattern."""

from __future__ import annotations

from dataclasses import dataclass

from tutelage.core.patterns import Pattern

DEFAULT_PATTERN = r"[^\.\?\!\;\n]+"


@dataclass(frozen=True, slots=True)
class OutputCut:
    """How the answer is cut out of a generated text, as `bigbench` 1.0.0 does it (`models/model_utils.py`).

    Attributes:
        stop: the text ends with this string, if it is in it and not at its beginning; "" for none.
        pattern: the answer is the first match of this regular expression, or of its group; "" for none.
    """

    stop: str = ""
    pattern: str = ""

    def answer(self, text: str) -> str:
        """The answer in a generated text; "" where the pattern does not match. Raises InputError when the pattern takes too long."""
        if self.stop and (place := text.find(self.stop)) > 0:
            text = text[: place + len(self.stop)]
        if not self.pattern:
            return text
        captures = Pattern(self.pattern, "output_regex").captures(text)
        return (captures[0] or "") if captures else ""

    def reference(self, text: str) -> str:
        """A right answer in the form in which it is compared: as it is."""
        return text
