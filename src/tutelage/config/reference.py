"""The reference of the recipe: every field as a Markdown page, and the JSON schema for editors that complete and check YAML.

`python -m tutelage.config.reference docs/recipe-reference.md` writes both again after the recipe's fields have changed.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from tutelage.config.schema import Recipe
from tutelage.core import files
from tutelage.core.validation import field_history

_HEAD = """\
# Recipe reference

Every field of a recipe. `python -m tutelage.config.reference docs/recipe-reference.md` writes this page from the fields'
declarations in `src/tutelage/config` and `src/tutelage/training/settings.py`. [recipes.md](recipes.md) has whole recipes.

A field without a default in the table is required. *unset*: it has no value by default; its meaning says what happens then.
Fields' former names are read, with a note, until 0.2.
"""
_HEADER = "| Field | Type | Default | Limits | Meaning | Example |\n|---|---|---|---|---|---|"
_TITLES = {
    "Recipe": ("The recipe", ""),
    "Task": ("tasks", "each task"),
    "Data": ("tasks.data", ""),
    "Labels": ("tasks.data.labels", ""),
    "Shots": ("tasks.shots", ""),
    "Split": ("tasks.split", ""),
    "Part": ("mixture.parts", "each part"),
    "Mixture": ("mixture", ""),
    "Replay": ("replay", ""),
    "Pool": ("replay.from", ""),
    "PoolSplit": ("replay.from.split", ""),
    "Protect": ("protect", ""),
    "SelfReplay": ("protect.self_replay", ""),
    "Track": ("track", ""),
    "Tune": ("tune", ""),
    "Truncate": ("tune.truncate", ""),
    "Watch": ("watch", "each benchmark"),
    "NatsBudget": ("retain", "a budget in nats"),
}
"""The blocks in the order of the page, each with the path of the field that holds it."""
_BASES = {"Mixture": "Part", "Pool": "Task", "PoolSplit": "Split"}
"""Blocks that have all fields of another one: only what differs is listed."""


def reference_text() -> str:
    """The page for the recipe's fields as they are now."""
    schema = Recipe.model_json_schema(mode="validation")
    blocks = {"Recipe": schema, **schema["$defs"]}
    sections = [_section(name, blocks) for name in _TITLES]
    return "\n".join([_HEAD, *sections])


def schema_text() -> str:
    """The JSON schema of the recipe's fields as they are now."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Recipe.model_json_schema(mode="validation"),
        "title": "A Tutelage recipe",
    }
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def schema_file() -> Path:
    """Where the schema lies in the package."""
    return Path(str(resources.files("tutelage.config").joinpath("schema.json")))


def _section(name: str, blocks: Mapping[str, Any]) -> str:
    """A block's heading, description and table of fields."""
    block, (path, holds) = blocks[name], _TITLES[name]
    heading = f"## {path}" if name == "Recipe" else f"## `{path}`" + (f": {holds}" if holds else "")
    description, fields = block["description"], block["properties"]
    if name in _BASES:
        base_fields = blocks[_BASES[name]]["properties"]
        fields = {key: field for key, field in fields.items() if field != base_fields.get(key)}
        base_path = _TITLES[_BASES[name]][0]
        description += f" It has the fields of [`{base_path}`]({_anchor(_BASES[name])}), and:"
    rows = [_row(key, field, required=key in block.get("required", ())) for key, field in fields.items()]
    return "\n".join([heading, "", description, "", _HEADER, *rows, ""])


def _anchor(name: str) -> str:
    """The link to a block's heading, as GitHub and Sphinx make it."""
    heading = ": ".join(filter(None, _TITLES[name]))
    return "#" + heading.lower().replace(" ", "-").translate({ord(sign): None for sign in ".:`"})


def _row(name: str, field: Mapping[str, Any], *, required: bool) -> str:
    meaning = field["description"]
    if old_name := field_history.old_names().get(name):
        meaning += f" Called `{old_name}` before."
    unit = f", in {field['unit']}" if "unit" in field else ""
    cells = [
        f"`{name}`",
        _type(field) + unit,
        "" if required else _default(field),
        "; ".join(dict.fromkeys(filter(None, map(_limits, _kinds(field))))),
        meaning,
        f"`{name}: {_yaml(field['examples'][0])}`",
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _kinds(field: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The alternatives of a field's type, without null."""
    for kind in field.get("anyOf") or field.get("oneOf") or [field]:
        if kind.get("type") != "null":
            yield kind


def _limits(kind: Mapping[str, Any]) -> str:
    """The limits of one alternative of a field's type, in words."""
    if "pattern" in kind:
        return "letters, digits, `. _ -`"
    if "minItems" in kind and "prefixItems" not in kind:
        return "not empty" if kind["minItems"] == 1 else f"{kind['minItems']} or more items"
    bounds = [
        wording.format(f"{kind[key]:,}")
        for key, wording in _BOUNDS.items()
        if key in kind and kind[key] != 2**63
    ]
    return ", ".join(bounds)


_BOUNDS = {
    "minimum": "{} or more",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "less than {}",
}


def _type(field: Mapping[str, Any]) -> str:
    return " or ".join(dict.fromkeys(_type_of(kind) for kind in _kinds(field)))


def _type_of(kind: Mapping[str, Any]) -> str:
    """One alternative of a field's type in words."""
    if "$ref" in kind:
        return f"[fields]({_anchor(kind['$ref'].rpartition('/')[2])})"
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
        return "`{}`" if "$ref" in field or field.get("type") == "object" else "see meaning"
    if field["default"] is None:
        return "unset"
    return f"`{_yaml(field['default'])}`"


def _yaml(value: Any) -> str:
    """A value as one line of YAML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_yaml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(_yaml, value))}]"
    if (
        isinstance(value, str)
        and re.fullmatch(r"[A-Za-z][\w./*-]*(:\w+)?", value)
        and value not in ("yes", "no")
    ):
        return value
    return json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    files.write_text(Path(sys.argv[1]), reference_text())
    files.write_text(schema_file(), schema_text())
