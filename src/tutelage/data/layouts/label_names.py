"""Reads label names from a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tutelage.core.errors import InputError
from tutelage.core.regular import require_regular
from tutelage.core.strictjson import json_kind, loads, shorten
from tutelage.data.formats.lines import Lines


def read_names(path: Path, shown: str) -> Mapping[str, str] | Sequence[str]:
    """Read a JSON list of names, a JSON object of value to name, or a text file with one name a line.

    Raises:
        InputError: the file is missing or holds something else.
    """
    require_regular(
        path,
        subject="the file of label names",
        shown=shown,
        fix="check the name; it is relative as the data is",
    )
    texts: list[str] = []
    for line in Lines(path, shown):
        if isinstance(line, InputError):
            raise line
        texts.append(line.text)
    if path.suffix.lower() != ".json":
        return [text.strip() for text in texts if text.strip()]
    value = loads("\n".join(texts), where=shown)
    if isinstance(value, list) and value and all(isinstance(name, str) and name.strip() for name in value):
        return [str(name) for name in value]
    if isinstance(value, dict) and value and all(isinstance(n, str) and n.strip() for n in value.values()):
        return {key: str(name) for key, name in value.items()}
    raise InputError(
        "the file holds no label names",
        where=shown,
        found=f"{json_kind(value)}: {shorten(str(value), 40)}",
        expected='["name", ...] or {"0": "name", ...}, or a text file with a name a line',
        fix="write the names so, or into the recipe as labels.names",
    )
