"""A YAML document of fields, and the place of each field in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tutelage.core import yamltext
from tutelage.core.errors import InputError
from tutelage.core.strictjson import json_kind, shorten
from tutelage.core.yamltext import FieldPath


@dataclass(frozen=True, slots=True)
class Places:
    """Where each field of a document is written.

    Attributes:
        file: the document's name in errors.
        lines: the line of each key and list item, by path; empty for values that are in no file.
        changes: options of the command line that set a field, by path, such as `tune.epochs=3`.
    """

    file: str
    lines: Mapping[FieldPath, int] = field(default_factory=dict)
    changes: dict[FieldPath, str] = field(default_factory=dict)

    def __call__(self, path: FieldPath) -> str:
        """A field's place, such as `recipe.yaml:12: tune.epochs`; the line is that of the nearest enclosing field that has one."""
        dotted = ".".join(map(str, path))
        place = self.file
        for length in range(len(path), -1, -1):
            if path[:length] in self.changes:
                place = f"--set {shorten(self.changes[path[:length]])[1:-1]}"
                break
            if path[:length] in self.lines:
                place = f"{self.file}:{self.lines[path[:length]]}"
                break
        return f"{place}: {dotted}" if dotted else place


def read_document(
    text: str, *, file: str, subject: str, fields: Iterable[str], fix: str
) -> tuple[dict[str, Any], Places]:
    """Read a YAML document of fields.

    Args:
        text: the document.
        file: its name in errors.
        subject: what the file should be, such as "a recipe".
        fields: examples of its fields.
        fix: what to do when it has none.

    Returns:
        The fields' values, and their places.

    Raises:
        InputError: it is not valid YAML, or not a mapping of fields; InputErrors for several.
    """
    document = yamltext.read(text, file=file)
    if not isinstance(document.value, dict):
        raise InputError(
            f"the file is not {subject}",
            where=file,
            found="nothing" if document.value is None else json_kind(document.value),
            expected="fields such as " + ", ".join(f"{name}:" for name in fields),
            fix=fix,
        )
    return document.value, Places(file, document.lines)
