from __future__ import annotations

import re

import pytest

from tutelage.core import patterns
from tutelage.core.errors import InputError
from tutelage.core.patterns import Pattern


def test_a_pattern_matches_replaces_and_splits_as_pythons_own_do():
    for text, by in [(r"\n\n+", ""), (r"(\d+)", r"<\1>"), (r"a|", "-"), (r"(?i)ab", "x"), (r"\b", "|")]:
        for value in ["", "aB 12 ab\n\n\n3", "a1b22", "äöü a"]:
            pattern = Pattern(text)
            assert pattern.matches(value) == bool(re.fullmatch(text, value))
            assert pattern.replaced(by, value) == re.sub(text, by, value)
            assert pattern.split(value) == re.split(text, value)


def test_a_pattern_that_would_never_end_is_stopped_and_named(monkeypatch):
    monkeypatch.setattr(patterns, "MAX_PATTERN_SECONDS", 0.05)
    for use in (Pattern.matches, Pattern.split, lambda one, text: one.replaced("", text)):
        with pytest.raises(InputError, match="takes too long") as caught:
            use(Pattern(r"(a|a)+$", "spec.yaml:3"), "a" * 60 + "b")
        assert caught.value.where == "spec.yaml:3"


@pytest.mark.parametrize("text", ["(", "a{999999999999}", "\\p{L}", "x" * 10_001])
def test_what_is_no_pattern_of_pythons_is_refused(text):
    with pytest.raises(InputError, match="the pattern is"):
        Pattern(text).check()
