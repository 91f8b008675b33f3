"""Patterns of file names: what they fit, and that no pattern and no loop of links takes long."""

from __future__ import annotations

import fnmatch
import random
import re

import pytest

from tutelage.core import globs
from tutelage.core.errors import InputError
from tutelage.core.globs import Glob


def as_regex(pattern: str) -> re.Pattern[str]:
    """The same pattern as a regular expression: right, and exponential in the number of stars."""
    signs = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    return re.compile("".join(signs.get(part, re.escape(part)) for part in parts))


def test_random_patterns_fit_the_names_that_their_regular_expressions_fit():
    draw = random.Random(0)
    fitted = 0
    for _ in range(5000):
        pattern = "".join(draw.choices(["a", "b", "/", "*", "**", "**/", "?"], k=draw.randint(0, 6)))
        name = "".join(draw.choices("aab/", k=draw.randint(0, 7)))
        if "***" not in pattern:
            matches = Glob(pattern, where="").matches(name)
            assert matches == bool(as_regex(pattern).fullmatch(name)), (pattern, name)
            fitted += matches
    assert fitted > 100


@pytest.mark.parametrize(
    "pattern", ["[abc]x", "[!abc]x", "[a-c]x", "[]x]", "[!]]", "[x", "a[-]b", "[a-]", "[[]"]
)
def test_classes_of_characters_are_those_of_fnmatch(pattern):
    glob = Glob(pattern, where="")
    for character in "abcdx][-!":
        for name in (character, character + "x", f"a{character}b"):
            assert glob.matches(name) == fnmatch.fnmatchcase(name, pattern), name


def test_a_pattern_of_many_stars_is_matched_at_once_and_a_longer_one_refused():
    assert not Glob("*a" * 400 + "b", where="").matches("a" * 400)
    assert not Glob("**/a" * 200 + "b", where="").matches("a/" * 400)
    with pytest.raises(InputError, match="the pattern is too long") as caught:
        Glob("*" * 1001, where="data.path")
    assert caught.value.where == "data.path"


def test_files_below_a_folder_are_found_as_the_shell_finds_them(tmp_path):
    for name in ("a.jsonl", "x/b.jsonl", "x/y/c.jsonl", "x/y/.d.jsonl", ".h/e.jsonl", "x/f.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to(tmp_path / "x" / "y")

    def found(pattern: str) -> list[str]:
        paths = globs.matching(tmp_path, pattern, where="")
        return [path.relative_to(tmp_path).as_posix() for path in paths]

    assert found("*.jsonl") == ["a.jsonl"]
    assert found("**/*.jsonl") == ["a.jsonl", "link/c.jsonl", "x/b.jsonl", "x/y/c.jsonl"]
    assert found("x/*") == ["x/b.jsonl", "x/f.csv"]
    assert found("x**/*.csv") == ["x/f.csv"]
    assert found("./x/[a-b].jsonl") == ["x/b.jsonl"]
    assert found(".h/*") == [".h/e.jsonl"]
    assert found("x/y/.*") == ["x/y/.d.jsonl"]
    assert found("no/*") == []
    assert [p.name for p in globs.matching(tmp_path / "x", "../*.jsonl", where="")] == ["a.jsonl"]
    assert [p.name for p in globs.matching(tmp_path, f"{tmp_path}/x/*.csv", where="")] == ["f.csv"]


def test_loops_of_links_end_and_so_does_a_folder_of_too_many_files(tmp_path, monkeypatch):
    for name in ("one", "two", "three"):
        (tmp_path / name).symlink_to(tmp_path)
    (tmp_path / "a.jsonl").touch()
    paths = globs.matching(tmp_path, "**/**/*/**/*.jsonl", where="")
    assert paths == []
    assert [path.name for path in globs.matching(tmp_path, "**/*.jsonl", where="")] == ["a.jsonl"]
    monkeypatch.setattr(globs, "MAX_FILES", 2)
    with pytest.raises(InputError, match="too many files") as caught:
        list(globs.entries(tmp_path))
    assert caught.value.found == "at least 3 files and folders"
