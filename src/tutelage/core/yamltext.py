"""YAML for recipes, benchmark specs and templates: a safe subset, read by YAML 1.2's rules, with the line of every key.

PyYAML's loaders take the last of two equal keys and read `1e-3` as text and `no` as false (YAML 1.1). So only its parser is
used, which gives events, and the values are built here. Tags, anchors and several documents are refused, so nothing in a file can
name a Python object or grow when it is read. `read_foreign` is for files that other programs write, in which aliases are common:
they are resolved, up to a number of values. All YAML is read by this module.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tutelage.core import regular
from tutelage.core.errors import InputError, raise_all
from tutelage.core.limits import MAX_JSON_DEPTH, MAX_RUN_RECIPE_BYTES, MAX_YAML_VALUES
from tutelage.core.strictjson import shorten
from tutelage.core.types import Json

FieldPath = tuple[str | int, ...]
UNUSED = "this part of YAML is not used here"
_INT = re.compile(r"[-+]?[0-9]{1,100}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SURROGATE = re.compile("[\ud800-\udfff]")
_WORDS: dict[str, Json] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


_PLAIN_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float")}
_CSafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Document(NamedTuple):
    """A YAML document: its value, and the line of every key and list item by its path."""

    value: Json
    lines: dict[FieldPath, int]


def read(text: str, *, file: str) -> Document:
    """Read one YAML document.

    Args:
        text: the document.
        file: its name, for errors.

    Raises:
        InputError: not YAML, or more of YAML than is used here; InputErrors for several.
    """
    return _read(text, file, _Builder(text, file))


def read_foreign(text: str, *, file: str) -> Json:
    """Read a YAML document that another program wrote.

    Plain values are read by YAML 1.1's rules (`yes` is true). Tags are ignored, the last of two equal
    keys counts, and aliases and `<<` are resolved.

    Args:
        text: the document.
        file: its name, for errors.

    Raises:
        InputError: not YAML, nested too deeply, or more than `MAX_YAML_VALUES` values once aliases are written out.
    """
    return _read(text, file, _ForeignBuilder(text, file)).value


def read_file(path: Path, *, subject: str) -> Json:
    """Read a YAML file of a run's folder, as `read_foreign` does.

    Args:
        path: the file.
        subject: what it is, for errors.

    Raises:
        InputError: the file cannot be read, is too large, is not UTF-8, or as `read_foreign`.
    """
    fix = "it is written by the run: restore it, or run the recipe again into another folder"
    content = regular.read_regular(path, subject=subject, fix=fix, limit=MAX_RUN_RECIPE_BYTES)
    return read_foreign(regular.decode(content, subject=subject, where=str(path), fix=fix), file=str(path))


def write(value: Json) -> str:
    """A value as YAML, with its keys in their order; `read_file` reads it back."""
    return yaml.dump(value, Dumper=yaml.SafeDumper, sort_keys=False, allow_unicode=True)


@cache
def table(package: str, name: str) -> dict[str, Any]:
    """A YAML file of a package, read once and shared: callers may not change it."""
    text = resources.files(package).joinpath(name).read_text("utf-8")
    return dict(yaml.load(text, Loader=_CSafeLoader))  # noqa: S506 - the safe loader in C


def _read(text: str, file: str, builder: _Builder) -> Document:
    try:
        return builder.build()
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
    """Builds a value from the parser's events; mistakes that do not stop the reading are collected."""

    loader: Any = yaml.SafeLoader

    def __init__(self, text: str, file: str) -> None:
        self.events: Iterator[Any] = iter(yaml.parse(text, Loader=self.loader))
        self.file = file
        self.lines: dict[FieldPath, int] = {}
        self.errors: list[InputError] = []

    def build(self) -> Document:
        value: Json = None
        starts = (event for event in self.events if isinstance(event, yaml.DocumentStartEvent))
        for number, start in enumerate(starts):
            if number:
                self._refuse(start, "a second document", "one document", "remove the line ---")
            value = self._value(next(self.events), ())
        raise_all(self.file, self.errors)
        return Document(value, self.lines)

    def _value(self, event: Any, path: FieldPath) -> Json:
        self.lines.setdefault(path, event.start_mark.line + 1)
        if isinstance(event, yaml.AliasEvent):
            self._refuse(event, f"the alias *{event.anchor}", "the value itself", "write the value out")
            return None
        if event.anchor is not None:
            self._refuse(event, f"the anchor &{event.anchor}", "a value", "remove the anchor")
        if event.tag is not None:
            self._refuse(event, f"the tag {event.tag}", "a value", "remove the tag; put a text in quotes")
        return self._node(event, path)

    def _node(self, event: Any, path: FieldPath) -> Json:
        """The value of a mapping, a list or a scalar."""
        if len(path) > MAX_JSON_DEPTH:
            self._stop(event, "deep nesting", f"at most {MAX_JSON_DEPTH} levels", "flatten it")
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(path)
        return self._scalar(event)

    def _mapping(self, path: FieldPath) -> Json:
        mapping: dict[str, Json] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                self._stop(event, "a list or an object as a key", "a text as a key", "put the text in quotes")
            self._add_entry(mapping, event, path)
        return mapping

    def _add_entry(self, mapping: dict[str, Json], event: Any, path: FieldPath) -> None:
        """Read the value of the key at `event` into a mapping; of a repeated key, the first value counts."""
        key = self._text(event)
        inner = (*path, key)
        if key in mapping:
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
        mapping.setdefault(key, self._value(next(self.events), inner))

    def _list(self, path: FieldPath) -> Json:
        items: list[Json] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self._value(event, (*path, len(items))))
        return items

    def _text(self, event: Any) -> str:
        """A scalar's text; half a character, which no output could hold, is refused."""
        text = str(event.value)
        if not text.isascii() and (half := _SURROGATE.search(text)):
            self._stop(
                event,
                f"\\u{ord(half[0]):04x} in {shorten(_SURROGATE.sub('?', text))}",
                "both halves of a character: \\U and eight digits",
                "write the character itself, or remove the half",
                problem="half a character (a lone surrogate) stands in the text",
            )
        return text

    def _scalar(self, event: Any) -> Json:
        text = self._text(event)
        if event.style:
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

    def _stop(self, *arguments: Any, problem: str = UNUSED) -> None:
        """Raise what `_refuse` collects, with the mistakes before it."""
        self._refuse(*arguments, problem=problem)
        raise_all(self.file, self.errors)


class _ForeignBuilder(_Builder):
    """Builds what other programs write: resolves aliases within bounds, and ignores tags and repeated keys."""

    loader = _CSafeLoader
    constructor: Any = yaml.SafeLoader("")
    """Reads scalars by YAML 1.1's rules, as the programs that write such files do."""

    def __init__(self, text: str, file: str) -> None:
        super().__init__(text, file)
        self.anchors: dict[str, tuple[Json, int]] = {}
        """By name: the value, and how many values it holds with all aliases written out."""
        self.count = 0

    def _value(self, event: Any, path: FieldPath) -> Json:
        count_before = self.count
        is_alias = isinstance(event, yaml.AliasEvent)
        if is_alias and event.anchor not in self.anchors:  # unknown, or inside the very value that it names
            self._stop(
                event, f"the alias *{event.anchor}", "the name of a value above it", "write the value out"
            )
        value, size = self.anchors[event.anchor] if is_alias else (None, 1)
        self.count += size
        if self.count > MAX_YAML_VALUES:
            self._stop(
                event,
                f"{self.count:,} values so far",
                f"at most {MAX_YAML_VALUES:,} values with all aliases written out",
                "write a smaller file",
                problem="the YAML is too large",
            )
        if is_alias:
            return value
        value = self._node(event, path)
        if event.anchor is not None:
            self.anchors[event.anchor] = value, self.count - count_before
        return value

    def _add_entry(self, mapping: dict[str, Json], event: Any, path: FieldPath) -> None:
        """As in the base class, but the last value of a repeated key counts, and `<<` adds the entries of a mapping."""
        key = str(event.value)
        value = self._value(next(self.events), (*path, key))
        if key == "<<" and not event.style and isinstance(value, dict):
            merged = {**value, **mapping}  # the mapping's own entries count, and come after the others
            mapping.clear()
            mapping.update(merged)
        else:
            mapping[key] = value

    def _scalar(self, event: Any) -> Json:
        text = str(event.value)
        tag = "" if event.style else self.constructor.resolve(yaml.ScalarNode, text, (True, False))
        if tag not in _PLAIN_TAGS:
            return text
        try:
            value: Json = self.constructor.yaml_constructors[tag](
                self.constructor, yaml.ScalarNode(tag, text)
            )
        except (ValueError, OverflowError):  # such as an integer of more digits than Python reads
            return text
        return text if isinstance(value, float) and not math.isfinite(value) else value
