"""results.json: what a run found, in one document for people's scripts, other programs and the report."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from tutelage.core import files
from tutelage.core.errors import InputError, InputErrors

SCHEMA = 1
FIX = "run the recipe again: it writes the file anew and answers nothing twice"
WORDS = ("yes", "no", "unclear")


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
    return document


def load_json(path: Path, *, what: str, fix: str) -> dict[str, Any]:
    """Read a JSON object strictly: UTF-8, no NaN or infinity. Raises InputError with the line where it broke."""
    raw = files.read_bytes(path, what=what, fix=fix)

    def refuse(constant: str) -> NoReturn:
        raise InputError(f"{what} holds {constant}, which is not a number", where=str(path), fix=fix)

    try:
        document = json.loads(raw.decode("utf-8"), parse_constant=refuse)
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
    return document


def check(document: Mapping[str, Any], *, where: str) -> None:
    """Refuse a document that is not a whole results.json of this schema."""
    if document.get("schema") != SCHEMA:
        raise InputError(
            "the results have another schema",
            where=where,
            found=repr(document.get("schema")),
            expected=str(SCHEMA),
            fix="read them with the version of Tutelage that wrote them, or run the recipe again",
        )
    mistakes = list(_mistakes(document, where))
    if mistakes:
        raise InputErrors(f"{where} is not a whole results.json", mistakes)


def _mistakes(document: Mapping[str, Any], where: str) -> Iterator[InputError]:
    for key in ("recipe", "provenance", "tasks", "watched", "verdict"):
        if not isinstance(document.get(key), Mapping):
            yield _wrong(where, key, document.get(key), "an object")
    for group in ("tasks", "watched"):
        measured = document.get(group)
        for name, outcome in measured.items() if isinstance(measured, Mapping) else ():
            yield from _outcome(outcome, where, f"{group}.{name}")
    verdict = document.get("verdict")
    if isinstance(verdict, Mapping):
        for key in ("learned", "forgot"):
            if verdict.get(key) not in WORDS:
                yield _wrong(where, f"verdict.{key}", verdict.get(key), " or ".join(WORDS))
        if not isinstance(verdict.get("sentence"), str):
            yield _wrong(where, "verdict.sentence", verdict.get("sentence"), "a text")


def _outcome(outcome: Any, where: str, path: str) -> Iterator[InputError]:
    if not isinstance(outcome, Mapping):
        yield _wrong(where, path, outcome, "an object")
        return
    scores = {key: outcome.get(key) for key in ("base", "tuned", "difference")}
    for key, by_metric in scores.items():
        if not isinstance(by_metric, Mapping):
            yield _wrong(where, f"{path}.{key}", by_metric, "an object")
            continue
        if outcome.get("primary") not in by_metric:
            yield _wrong(where, f"{path}.primary", outcome.get("primary"), f"a metric that stands in {key}")
        for metric, score in by_metric.items():
            yield from _score(score, where, f"{path}.{key}.{metric}", difference=key == "difference")
    parts = outcome.get("parts", {})
    if not isinstance(parts, Mapping):
        yield _wrong(where, f"{path}.parts", parts, "an object")
        return
    for part, inner in parts.items():
        yield from _outcome(inner, where, f"{path}.parts.{part}")


def _score(score: Any, where: str, path: str, *, difference: bool) -> Iterator[InputError]:
    if not isinstance(score, Mapping):
        yield _wrong(where, path, score, "an object")
        return
    numbers = ("value", "low", "high", "n", *(("p",) if difference else ()))
    for key in numbers:
        if not _is_number(score.get(key)):
            yield _wrong(where, f"{path}.{key}", score.get(key), "a finite number")
    if difference and score.get("p_adjusted") is not None and not _is_number(score["p_adjusted"]):
        yield _wrong(
            where, f"{path}.p_adjusted", score["p_adjusted"], "a finite number, or null outside the family"
        )


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) or math.isfinite(value)


def _wrong(where: str, path: str, found: Any, expected: str) -> InputError:
    text = "nothing" if found is None else repr(found)
    return InputError(
        "not as it must be", where=f"{where}: {path}", found=text[:200], expected=expected, fix=FIX
    )
