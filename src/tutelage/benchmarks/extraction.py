"""Named rules that take an answer out of a generated text; the table is `extraction.yaml`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from tutelage.core import yamltext
from tutelage.core.suggestions import unknown_name

_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3})")


@dataclass(frozen=True, slots=True)
class Rule:
    """An extraction rule: takes the group `answer` of the pattern's first or last match.

    `fold` ignores letter case, `strip` removes the space around the answer.
    """

    name: str
    summary: str
    pattern: re.Pattern[str]
    take: Literal["first", "last"]
    fold: bool
    strip: bool = True

    def answer(self, text: str) -> str:
        """The answer in a text, or "" when there is none."""
        answers = [match["answer"] for match in self.pattern.finditer(text)]
        if not answers:
            return ""
        answer = answers[0 if self.take == "first" else -1]
        if self.strip:
            answer = answer.strip()
        if self.name.endswith("-number"):
            answer = _THOUSANDS.sub("", answer)
        return answer.casefold() if self.fold else answer

    def reference(self, text: str) -> str:
        """A right answer in the form in which it is compared: what the rule takes from it."""
        return self.answer(text)


@cache
def rules() -> Mapping[str, Rule]:
    """All rules by name."""
    table: dict[str, dict[str, Any]] = yamltext.table("tutelage.benchmarks", "extraction.yaml")
    return {
        name: Rule(
            name, row["summary"], re.compile(row["pattern"]), row["take"], row["fold"], row.get("strip", True)
        )
        for name, row in table.items()
    }


def rule(name: str, *, where: str) -> Rule:
    """Find an extraction rule by name.

    Raises:
        InputError: there is no such rule; the nearest name is given.
    """
    table = rules()
    if name not in table:
        raise unknown_name("there is no such extraction rule", name, table, where=where)
    return table[name]
