"""Read a recipe: its file, or plain values, to a checked recipe; all mistakes are reported at once."""

from __future__ import annotations

import copy
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from tutelage.config import continuation, foreign_words
from tutelage.config.contradictions import find_contradictions
from tutelage.config.fields import slug
from tutelage.config.schema import Recipe
from tutelage.core import regular, yamltext
from tutelage.core.errors import InputError, raise_all
from tutelage.core.limits import MAX_RECIPE_BYTES
from tutelage.core.strictjson import json_kind, shorten
from tutelage.core.types import Json
from tutelage.core.validation import Places, Words, read_document, validate
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
"""How to write a block, for errors about a plain value in its place."""
_WORDS = Words(foreign_words.advice, foreign_words.refused_value)
"""What is known of words that are no fields of a recipe."""


def load(
    path: Path,
    sets: Sequence[str] = (),
    *,
    continues: Path | None = None,
    benchmarks: Collection[str] | None = None,
) -> Recipe:
    """Read a recipe's file.

    Args:
        path: a YAML file; the recipe's own paths are relative to its folder.
        sets: changes as `path.to.field=value`, list items by number: `tasks.0.split.seed=1`. Values are YAML.
        continues: the folder of a finished run whose tuned model is trained further, as the recipe's own field `continues` says.
        benchmarks: the benchmarks that can be watched, to check their names; the run finds unknown ones otherwise.

    Raises:
        InputError: a mistake with its field path and line, what was found, what is allowed, and the nearest name;
            InputErrors for several.
    """
    document, places = read_document(
        _text(path),
        file=str(path),
        subject="a recipe",
        fields=("model", "tasks"),
        fix="start from `tutelage init FILE`, or from one of the bundled recipes",
    )
    values = copy.deepcopy(document)
    errors = [error for change in sets if (error := _apply_change(values, change, places))]
    if continues is not None:
        errors += continuation.contradicting_sets(sets, str(continues))
        values["continues"] = str(continues)
    raise_all(f"the changes to {path}", errors)
    values.setdefault("name", slug(path.stem) or "recipe")
    return _recipe(values, places, root=path.parent, benchmarks=benchmarks)


def from_mapping(
    value: Mapping[str, Json], *, root: Path | None = None, benchmarks: Collection[str] | None = None
) -> Recipe:
    """Make a recipe from plain values, with the checks of `load`; its paths are relative to `root`."""
    return _recipe(value, Places("recipe"), root=root or Path(), benchmarks=benchmarks)


def _recipe(
    values: Mapping[str, Any], places: Places, *, root: Path, benchmarks: Collection[str] | None
) -> Recipe:
    values, places, notes, clashes = with_new_names(Recipe, continuation.with_model(values), places)
    recipe, errors, total = validate(Recipe, values, places, examples=_EXAMPLES, words=_WORDS)
    clashes += find_contradictions(values, places, benchmarks)
    raise_all(places.file, [*errors, *clashes], total=total + len(clashes))
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
    fix = "check the name, or make one with `tutelage init FILE`"
    content = regular.read_regular(path, subject="the recipe", fix=fix, limit=MAX_RECIPE_BYTES)
    require_text(content, str(path))
    return regular.decode(content, subject="the recipe", where=str(path))


def _apply_change(values: dict[str, Any], change: str, places: Places) -> InputError | None:
    """Apply one `--set` to the recipe's values. Returns the error when it cannot be applied."""

    def error(actual: str, expected: str, fix: str) -> InputError:
        return InputError(
            "the change cannot be made", where=f"--set {change}", found=actual, expected=expected, fix=fix
        )

    if re.search("[\ud800-\udfff]", change):  # bytes of the command line that are not UTF-8
        return error(shorten(change), "UTF-8", "set the terminal to UTF-8, and write it again")
    path, equals, text = change.partition("=")
    names = path.strip().split(".")
    if not equals or not all(names):
        return error(shorten(change), "path.to.field=value", "write it as --set tune.epochs=3")
    block: Any = values
    done: FieldPath = ()
    for name in names:
        if done:
            block = _step_into(block, done[-1])
        shown = ".".join(map(str, done))
        key: str | int = name
        if isinstance(block, list):
            if not name.isascii() or not name.isdecimal() or int(name) > len(block):
                expected = f"a number from 0 to {len(block)}"
                return error(f"{shown} has {len(block)} items", expected, "count the items from 0")
            key = int(name)
            block += [{}] if key == len(block) else []
        elif not isinstance(block, dict):
            return error(
                f"{shown} is {json_kind(block)}", "a field that holds fields", f"change {shown} itself"
            )
        done = (*done, key)
    try:
        block[done[-1]] = yamltext.read(text, file="--set").value
    except InputError:
        block[done[-1]] = text  # a template such as {{ text }} is not YAML, and meant as it stands
    places.changes[done] = f"{path.strip()}={text}"
    return None


def _step_into(block: Any, key: str | int) -> Any:
    """The value of a field or item; a field that is not there becomes an empty block."""
    if isinstance(block, dict) and block.get(key) is None:
        block[key] = {}
    return block[key]
