"""results.json: the results of a run in one document, for scripts, other programs and the report.

`sealed` adds a hash of the content; a sealed document that was edited is refused when it is read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tutelage.core import files, hashing, regular, strictjson, yamltext
from tutelage.core.errors import InputError
from tutelage.results import schemas
from tutelage.results.run_folder import RESULTS_FILE

SCHEMA = 1
SEAL = "content_sha256"
"""The key with the hash of the other keys; documents of older versions have no such key."""
FIX = "run the recipe again: it writes the file anew and answers nothing twice"


def build(
    *, recipe: Mapping[str, Any], provenance: Mapping[str, Any], comparison: Mapping[str, Any]
) -> dict[str, Any]:
    """Put a run's results.json together and check it.

    Args:
        recipe: the resolved recipe.
        provenance: where and when the run was made.
        comparison: the JSON of the comparison: `tasks`, `watched`, `verdict`, `groups`.

    Raises:
        InputErrors: a part is missing or wrong.
    """
    document = {"schema": SCHEMA, "recipe": dict(recipe), "provenance": dict(provenance), **comparison}
    check(document, where=RESULTS_FILE)
    return document


def write(path: Path, document: Mapping[str, Any]) -> None:
    """Check a results.json as `read` does, and write it whole or not at all."""
    check(document, where=str(path))
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1)
    files.write_text(path, text + "\n")


def read(path: Path) -> dict[str, Any]:
    """Read a results.json.

    Raises:
        InputError: it does not exist, is not strict JSON (NaN is refused), was edited, or has another schema number.
        InputErrors: parts of it are missing or wrong; each error names the path of its key.
    """
    document = load_json(path, subject="the results file", fix=FIX)
    check(document, where=str(path))
    require_seal(document, where=str(path), fix=FIX)
    return document


def sealed(document: Mapping[str, Any]) -> dict[str, Any]:
    """Add the hash of a document's content, which does not depend on the order of keys."""
    content = {key: value for key, value in document.items() if key != SEAL}
    return {**content, SEAL: hashing.of_json(content)}


def require_seal(document: Mapping[str, Any], *, where: str, fix: str) -> None:
    """Refuse a sealed document that was edited; a document without a seal passes."""
    if SEAL in document and sealed(document)[SEAL] != document[SEAL]:
        raise InputError(
            "the file was changed after it was written",
            where=where,
            found=f"another content than the one with {SEAL} {str(document[SEAL])[:12]}",
            expected="the file as it was written",
            fix=fix,
        )


def load_checked(path: Path, schema: str, *, subject: str, fix: str) -> dict[str, Any]:
    """Read a JSON document, sealed or not, and check it against its schema.

    Raises:
        InputError: it does not exist, is not strict JSON, or was edited.
        InputErrors: fields of a wrong type.
    """
    document = load_json(path, subject=subject, fix=fix)
    schemas.check(schema, document, where=str(path), fix=fix)
    require_seal(document, where=str(path), fix=fix)
    return document


def recorded_recipe(path: Path) -> dict[str, Any] | None:
    """Read the recipe that a run recorded in its recipe.yaml; None if the file is missing or damaged."""
    try:
        value = yamltext.read_file(path, subject="the run's recipe")
    except InputError:
        return None
    return value if isinstance(value, dict) else None


def _read_own_file(path: Path, *, subject: str, fix: str) -> bytes:
    """Read a file that this program wrote. If it is missing, the error has `fix` and no advice on names that look alike."""
    try:
        return regular.read_regular(path, subject=subject, fix=fix)
    except InputError as error:
        if path.is_file() or not os.access(path.parent, os.X_OK):
            raise
        raise InputError(
            error.problem, where=error.where, found=error.found, expected=error.expected, fix=fix
        ) from None


def load_json(path: Path, *, subject: str, fix: str) -> dict[str, Any]:
    """Read a JSON object strictly, as `strictjson` does. Raises InputError with the line of the mistake."""
    content = _read_own_file(path, subject=subject, fix=fix)
    text = regular.decode(content, subject=subject, where=str(path), fix=fix).rstrip()
    start = len(text) - len(text.lstrip())
    line = 1 + text.count("\n", 0, start)
    try:
        document, end = strictjson.scan(text, start, where=str(path), line=line, whole=True) or (None, 0)
    except InputError as error:
        raise InputError(
            f"{subject} cannot be read: {error.problem}",
            where=error.where,
            found=error.found,
            expected=error.expected,
            fix=fix,
        ) from None
    if not isinstance(document, dict) or end < len(text):
        rest = text[end:].lstrip() or text
        line = 1 + text.count("\n", 0, len(text) - len(rest))
        raise InputError(
            f"{subject} is not a JSON object",
            where=f"{path}:{line}",
            found=strictjson.shorten(rest),
            expected="one object and nothing else",
            fix=fix,
        )
    return document


def check(document: Mapping[str, Any], *, where: str) -> None:
    """Refuse a document that is not a complete results.json of this schema number."""
    if document.get("schema") != SCHEMA:
        raise InputError(
            "the results have another schema",
            where=where,
            found=repr(document.get("schema"))[:200],
            expected=str(SCHEMA),
            fix="read them with the version of Tutelage that wrote them, or run the recipe again",
        )
    schemas.check("results", document, where=where, fix=FIX)
