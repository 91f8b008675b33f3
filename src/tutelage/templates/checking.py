"""Checks a document's values one by one and collects what is wrong, with file, line and field."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tutelage.core.errors import InputError, nearest
from tutelage.core.strictjson import kind as json_kind
from tutelage.core.strictjson import shorten
from tutelage.core.yamltext import Path
from tutelage.templates import sandbox

_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")


class Check:
    """What a file says, value by value; a wrong one gives a harmless stand-in and an error in `errors`.

    Args:
        file: its name in errors.
        lines: the line of every field.
    """

    def __init__(self, file: str, lines: Mapping[Path, int]) -> None:
        self.file = file
        self.lines = lines
        self.errors: list[InputError] = []

    def place(self, path: Path) -> str:
        """`file:line: field`, with the line of the nearest field that stands in the file."""
        known = next(path[:n] for n in range(len(path), -1, -1) if path[:n] in self.lines or n == 0)
        dotted = ".".join(map(str, path))
        return f"{self.file}:{self.lines.get(known, 1)}" + (f": {dotted}" if dotted else "")

    def wrong(self, path: Path, problem: str, found: str, expected: str = "", fix: str = "") -> None:
        """Note a mistake."""
        self.errors.append(
            InputError(
                problem,
                where=self.place(path),
                found=shorten(found)[1:-1],
                expected=expected or None,
                fix=fix or "correct it, or remove it",
            )
        )

    def object(
        self, path: Path, value: Any, allowed: Sequence[str] | None, needed: Sequence[str] = ()
    ) -> Mapping[str, Any]:
        """Names with values; None for `allowed` takes any name."""
        if not isinstance(value, dict):
            shape = "names with values" if allowed is None else "fields such as " + ", ".join(allowed[:4])
            self.wrong(path, f"not {'an object' if path else 'a file of templates'}", _found(value), shape)
            return {}
        for name in value if allowed is not None else ():
            if name not in allowed:  # type: ignore[operator]  # the loop is empty when it is None
                close = nearest(name, list(allowed or ()))
                fix = f"did you mean {close}?" if close else "remove it"
                self.wrong(
                    (*path, name),
                    f"there is no field {name}",
                    name,
                    "one of " + ", ".join(allowed or ()),
                    fix,
                )
        for name in needed:
            if name not in value:
                self.wrong(
                    path, f"the field {name} is missing", "the fields " + ", ".join(value), fix=f"add {name}:"
                )
        return value

    def text(self, path: Path, value: Any, *, empty: bool = False) -> str:
        """A text. What is not there at all was told as missing."""
        if isinstance(value, str) and (empty or value.strip()):
            return value
        if value is not None:
            self.wrong(path, "not a text", _found(value), "a text", "put it in quotes")
        return ""

    def jinja(self, path: Path, value: Any) -> str:
        """A template that compiles and reads something."""
        source = self.text(path, value)
        if source:
            try:
                sandbox.check(source, where=self.place(path))
            except InputError as error:
                self.errors.append(error)
        return source

    def name(self, path: Path, value: Any) -> str:
        """A short name in lower case."""
        text = value if isinstance(value, str) else ""
        if value is not None and not _NAME.fullmatch(text):
            self.wrong(path, "not a name", _found(value), "small letters, digits and -")
        return text

    def texts(self, path: Path, value: Any) -> tuple[str, ...]:
        """A list of different texts."""
        if isinstance(value, list) and all(isinstance(one, str) and one.strip() for one in value):
            if len(set(value)) < len(value):
                self.wrong(path, "the same text twice", ", ".join(value), "each once")
            return tuple(value)
        self.wrong(
            path, "not a list of texts", _found(value), "a list of texts", 'put each in quotes: ["yes", "no"]'
        )
        return ()

    def one_of(self, path: Path, value: Any, allowed: Sequence[str]) -> str:
        """One of a few words."""
        if isinstance(value, str) and value in allowed:
            return value
        if value is not None:
            close = nearest(str(value), list(allowed))
            fix = f"did you mean {close}?" if close else "take one of these"
            self.wrong(path, "not one of the choices", _found(value), ", ".join(allowed), fix)
        return ""

    def truth(self, path: Path, value: Any) -> bool:
        """True or false."""
        if not isinstance(value, bool):
            self.wrong(path, "not true or false", _found(value), "true or false")
        return value is True


def _found(value: Any) -> str:
    return value if isinstance(value, str) else "nothing" if value is None else json_kind(value)
