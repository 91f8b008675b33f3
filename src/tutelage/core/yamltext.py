"""YAML as recipes and benchmark specs need it: the safe part, read by YAML 1.2's rules, with the line of every key.

PyYAML's own loaders take the last of two equal keys and read `1e-3` as text and `no` as false (YAML 1.1). So only its
parser is used, which gives events; the values are made here. Tags, anchors and several documents have no use here and are
refused, so nothing in a file can name a Python object or grow when it is read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

from tutelage.core.errors import InputError, raise_all
from tutelage.core.limits import MAX_JSON_DEPTH
from tutelage.core.nouns import Json
from tutelage.core.strictjson import shorten

Path = tuple[str | int, ...]
UNUSED = "this part of YAML is not used here"
_INT = re.compile(r"[-+]?[0-9]{1,100}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, Json] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


class Document(NamedTuple):
    """A YAML document: its value, and the line of every key and list item by its path."""

    value: Json
    lines: dict[Path, int]


def read(text: str, *, file: str) -> Document:
    """Read one YAML document.

    Args:
        text: the document.
        file: its name, for errors.

    Raises:
        InputError: not YAML, or more of YAML than is used here; InputErrors for several.
    """
    try:
        return _Builder(text, file).build()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        lines = text.split("\n")
        raise InputError(
            f"not valid YAML: {error.problem or error.context}",
            where=f"{file}:{line}",
            found=shorten(lines[line - 1].strip()) if line <= len(lines) else "the end of the file",
            expected="key: value",
            fix="check the indentation (spaces, no tabs), and put a text with : or # or { in quotes",
        ) from None
    except yaml.reader.ReaderError as error:
        raise InputError(
            "a character that YAML does not allow",
            where=f"{file}:{text.count(chr(10), 0, error.position) + 1}",
            found=f"U+{error.character:04X}",
            fix="remove it; in double quotes it can be written as \\u....",
        ) from None


class _Builder:
    """Makes a value of the parser's events; mistakes that do not stop the reading are collected."""

    def __init__(self, text: str, file: str) -> None:
        self.events: Iterator[Any] = iter(yaml.parse(text, Loader=yaml.SafeLoader))
        self.file = file
        self.lines: dict[Path, int] = {}
        self.errors: list[InputError] = []

    def build(self) -> Document:
        value: Json = None
        documents = 0
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._refuse(event, "a second document", "one document", "remove the line ---")
                value = self._value(next(self.events), ())
        raise_all(self.file, self.errors)
        return Document(value, self.lines)

    def _value(self, event: Any, path: Path) -> Json:
        self.lines.setdefault(path, event.start_mark.line + 1)
        if len(path) > MAX_JSON_DEPTH:
            self._refuse(event, "deep nesting", f"at most {MAX_JSON_DEPTH} levels", "flatten it")
            raise_all(self.file, self.errors)
        if isinstance(event, yaml.AliasEvent):
            self._refuse(event, f"the alias *{event.anchor}", "the value itself", "write the value out")
            return None
        if event.anchor is not None:
            self._refuse(event, f"the anchor &{event.anchor}", "a value", "remove the anchor")
        if event.tag is not None:
            self._refuse(event, f"the tag {event.tag}", "a value", "remove the tag; put a text in quotes")
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(path)
        return self._scalar(event)

    def _mapping(self, path: Path) -> Json:
        made: dict[str, Json] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                self._refuse(
                    event, "a list or an object as a key", "a text as a key", "put the text in quotes"
                )
                raise_all(self.file, self.errors)
            key = str(event.value)
            inner = (*path, key)
            twice = key in made
            if twice:
                dotted = ".".join(map(str, inner))
                self._refuse(
                    event,
                    f"{dotted} a second time; the first is on line {self.lines[inner]}",
                    "every key once",
                    "keep one of them",
                    problem="the key stands twice",
                )
            else:
                self.lines[inner] = event.start_mark.line + 1
            value = self._value(next(self.events), inner)
            if not twice:
                made[key] = value
        return made

    def _list(self, path: Path) -> Json:
        made: list[Json] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            made.append(self._value(event, (*path, len(made))))
        return made

    def _scalar(self, event: Any) -> Json:
        text = str(event.value)
        if event.style is not None:
            return text
        if text in _WORDS:
            return _WORDS[text]
        if _INT.fullmatch(text):
            return int(text)
        if _FLOAT.fullmatch(text) and math.isfinite(float(text)):
            return float(text)
        return text

    def _refuse(self, event: Any, found: str, expected: str, fix: str, *, problem: str = UNUSED) -> None:
        where = f"{self.file}:{event.start_mark.line + 1}"
        self.errors.append(InputError(problem, where=where, found=found, expected=expected, fix=fix))
