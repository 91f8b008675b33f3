"""Read a recipe: its file, or plain values, to a checked recipe; all mistakes are reported at once."""

from __future__ import annotations

import copy
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from tutelage.config import mistakes
from tutelage.config.schema import Recipe
from tutelage.core import files, yamltext
from tutelage.core.errors import InputError, raise_all
from tutelage.core.limits import MAX_RECIPE_BYTES
from tutelage.core.strictjson import kind, shorten
from tutelage.core.types import Json
from tutelage.core.validation import Places, read_document, validate
from tutelage.core.validation.field_history import with_new_names
from tutelage.core.yamltext import FieldPath
from tutelage.data.formats import format_of
from tutelage.data.formats.blocks import require_text

_EXAMPLES = {
    "tasks": "tasks: [{{data: {{path: {}}}}}]",
    "data": "data: {{path: {}}}",
    "watch": "watch: [{{benchmark: {}}}]",
    "retain": "retain: {{BENCHMARK: {}}}",
    "labels": "labels: {{names: [{}]}}",
    "split": "split: {{test: {}}}",
    "shots": "shots: {{count: {}}}",
}
"""How a block is written that has a plain value in its place."""


def load(path: Path, sets: Sequence[str] = (), *, benchmarks: Collection[str] | None = None) -> Recipe:
    """Read a recipe.

    Args:
        path: a YAML file; the recipe's own paths are relative to its folder.
        sets: changes as `path.to.field=value`, list items by number: `tasks.0.split.seed=1`. Values are YAML.
        benchmarks: the benchmarks that can be watched, to check their names; the run finds unknown ones otherwise.

    Raises:
        InputError: a mistake with its field path and line, what was found, what is allowed, and the nearest name;
            InputErrors for several.
    """
    document, places = read_document(
        _text(path),
        file=str(path),
        what="a recipe",
        fields=("model", "tasks"),
        fix="start from `tutelage init FILE`, or from one of the bundled recipes",
    )
    value = copy.deepcopy(document)
    raise_all(
        f"the changes to {path}",
        [error for text in sets if (error := _not_text(text) or _change(value, text, places))],
    )
    value.setdefault("name", re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-._") or "recipe")
    return _parse(value, places, root=path.parent, benchmarks=benchmarks)


def from_mapping(
    value: Mapping[str, Json], *, root: Path | None = None, benchmarks: Collection[str] | None = None
) -> Recipe:
    """A recipe from plain values, as `load` does it from a file; its paths are relative to `root`."""
    return _parse(dict(value), Places("recipe"), root=root or Path(), benchmarks=benchmarks)


def _parse(
    value: dict[str, Any], places: Places, *, root: Path, benchmarks: Collection[str] | None
) -> Recipe:
    value, places, notes, clashes = with_new_names(Recipe, value, places)
    recipe, errors, total = validate(Recipe, value, places, examples=_EXAMPLES)
    contradictions = mistakes.of_contradictions(value, places, benchmarks)
    others = [*clashes, *contradictions]
    raise_all(places.file, [*errors, *others], total=total + len(others))
    assert recipe is not None
    recipe._root, recipe._notes = root, tuple(notes)  # noqa: SLF001  # private to the model's users, not to its maker
    return recipe


def _text(path: Path) -> str:
    if format_of(path) not in (None, "json"):
        raise InputError(
            "this is a data file, not a recipe",
            where=str(path),
            found=f"a name that ends in {path.suffix}",
            expected="a recipe in YAML",
            fix=f"make one with `tutelage init {path}`",
        )
    content = files.read_bytes(
        path,
        what="the recipe",
        fix="check the name, or make one with `tutelage init FILE`",
        limit=MAX_RECIPE_BYTES,
    )
    require_text(content, str(path))
    return files.decode(content, what="the recipe", where=str(path))


def _not_text(text: str) -> InputError | None:
    """The error for a `--set` of bytes that are not UTF-8; None for text."""
    if re.search("[\ud800-\udfff]", text):
        return _bad_change(text, shorten(text), "UTF-8", "set the terminal to UTF-8, and write it again")
    return None


def _change(value: dict[str, Any], text: str, places: Places) -> InputError | None:
    """Put one `--set` into the recipe's values; returns what is wrong with it."""
    path, equals, written = text.partition("=")
    names = path.strip().split(".")
    if not equals or not all(names):
        return _bad_change(text, shorten(text), "path.to.field=value", "write it as --set tune.epochs=3")
    try:
        new = yamltext.read(written, file="--set").value
    except InputError:
        new = written  # a template such as {{ text }} is no YAML, and meant as it stands
    at: Any = value
    done: FieldPath = ()
    for index, name in enumerate(names):
        key: str | int = name
        if isinstance(at, list):
            if not name.isascii() or not name.isdecimal() or int(name) > len(at):
                held = f"{'.'.join(map(str, done))} has {len(at)} items"
                return _bad_change(text, held, f"a number from 0 to {len(at)}", "count the items from 0")
            key = int(name)
            if key == len(at):
                at.append({})
        elif not isinstance(at, dict):
            held = f"{'.'.join(map(str, done))} is {kind(at)}"
            return _bad_change(
                text, held, "a field that holds fields", f"change {'.'.join(map(str, done))} itself"
            )
        done = (*done, key)
        if index == len(names) - 1:
            at[key] = new
        elif isinstance(at, dict) and at.get(name) is None:
            at[key] = {}
        at = at[key]
    places.changes[done] = f"{path.strip()}={written}"
    return None


def _bad_change(text: str, found: str, expected: str, fix: str) -> InputError:
    return InputError(
        "the change cannot be made", where=f"--set {text}", found=found, expected=expected, fix=fix
    )
