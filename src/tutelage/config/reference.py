"""The reference of the recipe: every field with type, default, limits, meaning and an example, as a Markdown page.

`python -m tutelage.config.reference docs/recipe-reference.md` writes it again after the recipe's fields have changed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tutelage.config.schema import Recipe
from tutelage.core import files
from tutelage.core.validation import field_history

_HEAD = """\
# Recipe reference

Every field of a recipe. `python -m tutelage.config.reference docs/recipe-reference.md` writes this page from the fields'
declarations in `src/tutelage/config` and `src/tutelage/training/settings.py`. [recipes.md](recipes.md) has whole recipes.

A field without a default in the table is required; *none* means that it may be left out and has no value then.
"""
_HEADER = "| Field | Type | Default | Limits | Meaning | Example |\n|---|---|---|---|---|---|"
_BOUNDS = {
    "minimum": "{} or more",
    "exclusiveMinimum": "more than {}",
    "maximum": "{} or less",
    "exclusiveMaximum": "less than {}",
    "minItems": "at least {} items",
    "pattern": "letters, digits, `. _ -`",
}
_TITLES = {
    "Recipe": ("The recipe", ""),
    "Task": ("tasks", "each task"),
    "Data": ("tasks.data", ""),
    "Labels": ("tasks.data.labels", ""),
    "Shots": ("tasks.shots", ""),
    "Split": ("tasks.split", ""),
    "Mixture": ("mixture", ""),
    "Part": ("mixture.parts", "each part"),
    "Replay": ("replay", ""),
    "Pool": ("replay.from", ""),
    "PoolSplit": ("replay.from.split", ""),
    "Tune": ("tune", ""),
    "Truncate": ("tune.truncate", ""),
    "Watch": ("watch", "each benchmark"),
}
"""The blocks in the order of the page, each with the path of the field that holds it."""


def reference_text() -> str:
    """The page for the recipe's fields as they are now."""
    schema = Recipe.model_json_schema(mode="validation")
    blocks = {"Recipe": schema, **schema["$defs"]}
    sections = [_section(blocks[name], *_TITLES[name]) for name in _TITLES]
    return "\n".join([_HEAD, *sections])


def _section(block: Mapping[str, Any], path: str, holds: str) -> str:
    title = f"## {path}" if path == "The recipe" else f"## `{path}`" + (f": {holds}" if holds else "")
    rows = [
        _row(name, field, name in block.get("required", ())) for name, field in block["properties"].items()
    ]
    return "\n".join([title, "", block["description"], "", _HEADER, *rows, ""])


def _row(name: str, field: Mapping[str, Any], required: bool) -> str:  # noqa: FBT001 - one of the row's columns
    limits = [_BOUNDS[key].format(value) for kind in _kinds(field) for key, value in _limits(kind)]
    default = "" if required else _default(field)
    meaning = field["description"]
    if old_name := field_history.old_names().get(name):
        meaning += f" Called `{old_name}` before; the old name is read for one more release."
    if unit := field.get("unit"):
        limits.insert(0, f"in {unit}")
    example = f"{name}: {_yaml(field['examples'][0])}"
    cells = [
        f"`{name}`",
        _type(field),
        default,
        "; ".join(dict.fromkeys(limits)),
        meaning,
        f"`{example}`",
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _kinds(field: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The alternatives of a field's type, without null."""
    for kind in field.get("anyOf") or field.get("oneOf") or [field]:
        if kind.get("type") != "null":
            yield kind


def _limits(kind: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key in _BOUNDS:
        if key in kind and not (key == "minItems" and "prefixItems" in kind) and kind[key] != 2**63:
            yield key, kind[key]


def _type(field: Mapping[str, Any]) -> str:
    return " or ".join(dict.fromkeys(_type_of(kind) for kind in _kinds(field)))


def _type_of(kind: Mapping[str, Any]) -> str:
    """One alternative of a field's type in words."""
    if "$ref" in kind:
        path, _ = _TITLES[kind["$ref"].rpartition("/")[2]]
        return f"[fields](#{path.replace('.', '').lower()})"
    if "prefixItems" in kind:
        return f"list of {len(kind['prefixItems'])} numbers"
    if choices := kind.get("enum") or [kind[name] for name in ("const",) if name in kind]:
        return ", ".join(f"`{choice}`" for choice in choices)
    types = kind.get("type", "object")
    if types == "array":
        return "list of " + _type(kind["items"])
    if types == "object":
        values = kind.get("additionalProperties")
        return "names with " + (_type(values) if isinstance(values, dict) else "values")
    names = types if isinstance(types, list) else [types]
    return " or ".join(_TYPES[kind.get("format", name)] for name in names)


_TYPES = {
    "date": "day",
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "object": "fields",
}


def _default(field: Mapping[str, Any]) -> str:
    if "default" not in field:
        return "its fields' defaults" if "$ref" in field else "see meaning"
    if field["default"] is None:
        return "none"
    return f"`{_yaml(field['default'])}`"


def _yaml(value: Any) -> str:
    """A value as one line of YAML."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")


if __name__ == "__main__":
    files.write_text(Path(sys.argv[1]), reference_text())
