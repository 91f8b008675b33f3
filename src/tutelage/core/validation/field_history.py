"""Fields over time: old names are read with a note, and neither a new name nor a new field changes an identity.

`field_history.yaml` has the table of renamed fields, and the fields that are always part of an identity.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from tutelage.core import yamltext
from tutelage.core.errors import InputError
from tutelage.core.strictjson import shorten
from tutelage.core.validation.block import is_block
from tutelage.core.validation.document import Places
from tutelage.core.yamltext import FieldPath


def with_new_names(
    block: type[BaseModel], value: Mapping[str, Any], places: Places
) -> tuple[dict[str, Any], Places, list[str], list[InputError]]:
    """A document whose fields have their present names.

    Args:
        block: the document's model.
        value: the document; it is not changed.
        places: where its fields are written.

    Returns:
        The document; the places of its fields under their new names; a note for each old name; an error for each field that
        has both.
    """
    reader = _OldNames(places)
    renamed = reader.block(block, value, ())
    lines = {new: places.lines[old] for old, new in reader.moved if old in places.lines}
    changes = {new: places.changes[old] for old, new in reader.moved if old in places.changes}
    until = _table()["read_until"]
    notes = [
        f"{places(old)} is called {new[-1]} now: the old name is read until {until}"
        for old, new in reader.moved
    ]
    moved_places = Places(places.file, {**places.lines, **lines}, {**places.changes, **changes})
    return renamed, moved_places, notes, reader.errors


def identity(block: BaseModel, values: Mapping[str, Any], *, history: str = "") -> dict[str, Any]:
    """The part of a block's values that is hashed into an identity, under the names that the fields had first.

    Args:
        block: the checked block.
        values: its values as JSON, by the names of its fields; what is not in it is not part of the identity.
        history: the table's entry to be read beside those of the block's class and its base classes.

    Returns:
        The values of fields that are always part of an identity, and of later fields that are not at their default.
    """
    always = {*first_fields(type(block)), *_table()["first"].get(history, ())}
    first_names = {new: old for old, new in _renamed(type(block)).items()}
    identifying = {}
    for name, info in type(block).model_fields.items():
        key, item = info.alias or name, getattr(block, name)
        if key in values and (key in always or item != info.get_default(call_default_factory=True)):
            identifying[first_names.get(key, key)] = _identity_in(item, values[key])
    return identifying


def _identity_in(item: Any, value: Any) -> Any:
    if isinstance(item, BaseModel):
        return identity(item, value)
    if isinstance(item, tuple):
        return [_identity_in(part, part_value) for part, part_value in zip(item, value, strict=True)]
    if isinstance(item, dict):
        return {key: _identity_in(part, value[key]) for key, part in item.items()}
    return value


def first_fields(block: type[BaseModel]) -> list[str]:
    """The fields of a block that are always part of an identity."""
    return _entries(block, "first")


def old_names() -> dict[str, str]:
    """The old name of each renamed field, by its new name; they are read until the version `read_until`."""
    return {new: old for block in _table()["renamed"].values() for old, new in block.items()}


class _OldNames:
    """Reads one document: `moved` has the old and the new path of each field with an old name."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self.moved: list[tuple[FieldPath, FieldPath]] = []
        self.errors: list[InputError] = []

    def block(self, block: type[BaseModel], value: Mapping[str, Any], path: FieldPath) -> dict[str, Any]:
        """A block's values under the present names."""
        renamed = _renamed(block)
        annotations = {info.alias or name: info.annotation for name, info in block.model_fields.items()}
        result: dict[str, Any] = {}
        for key, item in value.items():
            name = renamed.get(key, key)
            if name != key:
                self._rename(value, path, key, name)
            if name == key or name not in value:
                result[name] = self._inside(annotations.get(name), item, (*path, key))
        return result

    def _rename(self, value: Mapping[str, Any], path: FieldPath, old: str, new: str) -> None:
        if new not in value:
            self.moved.append(((*path, old), (*path, new)))
            return
        self.errors.append(
            InputError(
                f"{old} is the old name of {new}, and both are there",
                where=self._places((*path, old)),
                found=f"{old}: {shorten(str(value[old]))}, {new}: {shorten(str(value[new]))}",
                expected=new,
                fix=f"remove {old}",
            )
        )

    def _inside(self, annotation: Any, value: Any, path: FieldPath) -> Any:
        """A field's value with the blocks inside it read."""
        origin, arguments = get_origin(annotation), get_args(annotation)
        if is_block(annotation) and isinstance(value, Mapping):
            return self.block(annotation, value, path)
        if origin is dict and isinstance(value, Mapping):
            return {key: self._inside(arguments[1], item, (*path, key)) for key, item in value.items()}
        if origin is tuple and isinstance(value, list | tuple):
            return [self._inside(arguments[0], item, (*path, index)) for index, item in enumerate(value)]
        for argument in arguments if origin not in (dict, tuple) else ():
            value = self._inside(argument, value, path)
        return value


def _table() -> dict[str, Any]:
    return yamltext.table(__package__, "field_history.yaml")


def _renamed(block: type[BaseModel]) -> dict[str, str]:
    """The block's renamed fields, old name to new name."""
    return dict(_entries(block, "renamed"))


def _entries(block: type[BaseModel], section: str) -> list[Any]:
    """What a section of the table has for a block and its base classes."""
    table = _table()[section]
    entries = [table[base.__name__] for base in block.__mro__ if base.__name__ in table]
    return [item for entry in entries for item in (entry.items() if isinstance(entry, dict) else entry)]
