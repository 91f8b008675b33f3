"""Specs as they were written before all placeholders became Jinja: `{input}`, `{choice}` and `{part}`.

They are read for one release, and the user is told how to write them now.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tutelage.benchmarks.rows_spec import is_over_rows
from tutelage.core.yamltext import FieldPath

_PATHS = {"path": "part", "text": "part"}
_TEXTS = {"prompt": "input", "answer": "choice"}
_JINJA = re.compile(r"\{[{%#]")


def updated(
    spec: dict[str, Any], places: Callable[[FieldPath], str]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """A spec with old placeholders rewritten.

    Args:
        spec: the spec's fields as they are written.
        places: the place of a field in the file.

    Returns:
        The spec as it is written now, and a note for each field that was rewritten.
    """
    # The prompts of a spec over rows have always been Jinja, so that {input} in them is text.
    fields = _PATHS if is_over_rows(spec) else _PATHS | _TEXTS
    notes: list[str] = []

    def rewrite(value: Any, path: FieldPath) -> Any:
        if isinstance(value, dict):
            return {key: rewrite(inner, (*path, key)) for key, inner in value.items()}
        if isinstance(value, list):
            return [rewrite(inner, (*path, index)) for index, inner in enumerate(value)]
        name = fields.get(str(path[-1])) if path and isinstance(value, str) else None
        template = value if name is None else _template(value, name)
        if template != value:
            notes.append(
                f"{places(path)}: {{{name}}} is written {{{{ {name} }}}} now: the old form is read for one more release"
            )
        return template

    updated_spec: dict[str, Any] = rewrite(spec, ())
    return updated_spec, tuple(notes)


def _template(text: str, name: str) -> str:
    """A text with `{name}` as a Jinja template; other texts as they are."""
    pieces = re.split(rf"(?<!\{{)\{{{name}\}}(?!\}})", text)
    if len(pieces) == 1 or re.search(rf"\{{\{{\s*{name}\s*\}}\}}", text):
        return text
    literal = [_JINJA.sub(lambda mark: f"{{{{ {mark[0]!r} }}}}", piece) for piece in pieces]
    return f"{{{{ {name} }}}}".join(literal)
