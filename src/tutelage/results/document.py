"""results.json: what a run found, in one document for people's scripts, other programs and the report.

`sealed` adds a hash of the whole content; a sealed document that was edited is refused when it is read.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from tutelage.core import files, hashing, strictjson, yamltext
from tutelage.core.errors import InputError
from tutelage.core.limits import MAX_JSON_DEPTH
from tutelage.results import schemas

SCHEMA = 1
SEAL = "content_sha256"
"""The key with the hash of all the rest; documents of older versions have none."""
FIX = "run the recipe again: it writes the file anew and answers nothing twice"


def build(
    *, recipe: Mapping[str, Any], provenance: Mapping[str, Any], comparison: Mapping[str, Any]
) -> dict[str, Any]:
    """The document of a run; `comparison` is `Comparison.as_json()`. Raises InputErrors when a part is missing or wrong."""
    document = {"schema": SCHEMA, "recipe": dict(recipe), "provenance": dict(provenance), **comparison}
    check(document, where="results.json")
    return document


def write(path: Path, document: Mapping[str, Any]) -> None:
    """Write the document whole or not at all, after the same checks as `read`."""
    check(document, where=str(path))
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1)
    files.write_text(path, text + "\n")


def read(path: Path) -> dict[str, Any]:
    """Read a results.json.

    Raises:
        InputError: it is not there, is not strict JSON (NaN is refused), or has another schema number.
        InputErrors: parts of it are missing or wrong; each is named by its path.
    """
    document = load_json(path, what="the results file", fix=FIX)
    check(document, where=str(path))
    require_seal(document, where=str(path), fix=FIX)
    return document


def sealed(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with the hash of its content, whatever the order of its keys."""
    content = {key: value for key, value in document.items() if key != SEAL}
    return {**content, SEAL: hashing.of_json(content)}


def require_seal(document: Mapping[str, Any], *, where: str, fix: str) -> None:
    """Refuse a sealed document whose content has changed since; one without a seal passes."""
    if SEAL in document and sealed(document)[SEAL] != document[SEAL]:
        raise InputError(
            "the file was changed after it was written",
            where=where,
            found=f"another content than the one with {SEAL} {str(document[SEAL])[:12]}",
            expected="the file as it was written",
            fix=fix,
        )


def load_checked(path: Path, shape: type[schemas.Shape], *, what: str, fix: str) -> dict[str, Any]:
    """Read a JSON document of a known shape, sealed or not.

    Raises:
        InputError: it is not there, not strict JSON, or was changed after it was written.
        InputErrors: fields of a wrong type.
    """
    document = load_json(path, what=what, fix=fix)
    schemas.check(shape, document, where=str(path), fix=fix)
    require_seal(document, where=str(path), fix=fix)
    return document


def recorded_recipe(path: Path) -> dict[str, Any] | None:
    """The recipe that a run's recipe.yaml holds; None where there is none that can be read."""
    try:
        value = yamltext.read_file(path, what="the run's recipe")
    except InputError:
        return None
    return value if isinstance(value, dict) else None


def _read(path: Path, *, what: str, fix: str) -> bytes:
    """Read a file that the program wrote under this very name: near names, or a copy of a pipe, are no advice if it is gone."""
    try:
        return files.read_bytes(path, what=what, fix=fix)
    except InputError as error:
        if path.is_file() or not os.access(path.parent, os.X_OK):
            raise
        raise InputError(
            error.problem, where=error.where, found=error.found, expected=error.expected, fix=fix
        ) from None


def load_json(path: Path, *, what: str, fix: str) -> dict[str, Any]:
    """Read a JSON object strictly: UTF-8, no NaN or infinity. Raises InputError with the line where it broke."""
    raw = _read(path, what=what, fix=fix)

    def refuse(constant: str) -> NoReturn:
        raise InputError(f"{what} holds {constant}, which is not a finite number", where=str(path), fix=fix)

    def finite(digits: str) -> float:
        value = float(digits)
        return value if math.isfinite(value) else refuse(digits[:40])

    try:
        document = json.loads(raw.decode("utf-8"), parse_constant=refuse, parse_float=finite)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise InputError(f"{what} is not UTF-8", where=f"{path}:{line}", fix=fix) from None
    except json.JSONDecodeError as error:
        raise InputError(
            f"{what} is not JSON", where=f"{path}:{error.lineno}", found=error.msg, fix=fix
        ) from None
    except (RecursionError, ValueError) as error:
        raise InputError(f"{what} cannot be read", where=str(path), found=str(error), fix=fix) from None
    if not isinstance(document, dict):
        raise InputError(
            f"{what} is not a JSON object", where=str(path), found=type(document).__name__, fix=fix
        )
    if strictjson.depth(document) > MAX_JSON_DEPTH:
        found = f"more than {MAX_JSON_DEPTH} levels of lists and objects"
        raise InputError(f"{what} cannot be read", where=str(path), found=found, fix=fix)
    for text in strictjson.strings(document):
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            found = f"half a character (a lone surrogate) in {text[:60]!a}"
            raise InputError(f"{what} cannot be read", where=str(path), found=found, fix=fix) from None
    return document


def check(document: Mapping[str, Any], *, where: str) -> None:
    """Refuse a document that is not a whole results.json of this schema."""
    if document.get("schema") != SCHEMA:
        raise InputError(
            "the results have another schema",
            where=where,
            found=repr(document.get("schema"))[:200],
            expected=str(SCHEMA),
            fix="read them with the version of Tutelage that wrote them, or run the recipe again",
        )
    schemas.check(schemas.Results, document, where=where, fix=FIX)
