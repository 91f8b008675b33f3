"""Hashes of what a results.sqlite holds, kept in the document that was computed from it, and checked before it is read again.

Of every task and benchmark the evaluation that was scored last counts: that is the one that readers take.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tutelage.core import hashing
from tutelage.core.errors import InputError
from tutelage.results import database, document, schemas
from tutelage.results.store import Evaluation, Store

AGAIN = "run the command that made it again: it writes the file anew and answers nothing twice"
_NAMES = ("model", "suite", "name", "fingerprint")


def record(store: Store) -> dict[str, Any]:
    """The hashes of a store, as results.json and evaluation.json hold them."""
    counting = {(one.model, one.suite, one.name): one for one in store.evaluations() if one.parts()}
    return {
        "evaluations": [
            {**{key: getattr(one, key) for key in _NAMES}, **one.digests()} for one in counting.values()
        ],
        "steps": steps(store),
    }


def steps(store: Store) -> str:
    """The hash of the training log."""
    return hashing.of_json(store.steps())


@dataclass(frozen=True, slots=True)
class Changes:
    """What of a store is not as a document recorded it.

    Attributes:
        missing: evaluations that are not there.
        answers: those whose items or answers differ.
        scores: those whose scores alone differ.
        replaced: those after which another one of the same name was scored.
        steps: whether the training log differs.
    """

    missing: tuple[str, ...]
    answers: tuple[str, ...]
    scores: tuple[str, ...]
    replaced: tuple[str, ...]
    steps: bool

    def __bool__(self) -> bool:
        return bool(self.missing or self.answers or self.scores or self.replaced or self.steps)


def changes(store: Store, recorded: Mapping[str, Any]) -> Changes:
    """Compare a store with the hashes that a document recorded."""
    now = {(one.model, one.suite, one.name): one for one in store.evaluations() if one.parts()}
    there = {_key(one): one for one in store.evaluations()}
    missing: list[str] = []
    answers: list[str] = []
    scores: list[str] = []
    replaced: list[str] = []
    for old in recorded["evaluations"]:
        shown = f"{old['name']} ({old['model']})"
        one = there.get(tuple(old[key] for key in _NAMES))
        if one is None:
            missing.append(shown)
            continue
        digests = one.digests()
        if digests["answers"] != old["answers"]:
            answers.append(shown)
        elif digests["scores"] != old["scores"]:
            scores.append(shown)
        elif _key(now.get((one.model, one.suite, one.name), one)) != _key(one):
            replaced.append(shown)
    log = steps(store) != recorded["steps"]
    return Changes(tuple(missing), tuple(answers), tuple(scores), tuple(replaced), log)


def require(store: Store, recorded: Mapping[str, Any] | None, *, by: Path) -> None:
    """Refuse a store that is not as it was when `by`, a document beside it, was computed from it.

    Raises:
        InputError: answers, scores or the training log differ; nothing was recorded by older versions, and passes.
    """
    changed = None if recorded is None else changes(store, recorded)
    if changed:
        raise mismatch(store, changed, by=by)


def mismatch(store: Store, changed: Changes, *, by: Path) -> InputError:
    """The error for a store that is not as `by` recorded it."""
    what = [
        f"{name} of {', '.join(names[:5])}"
        for name, names in (
            ("no answers", changed.missing),
            ("other answers", changed.answers),
            ("other scores", changed.scores),
            ("later answers", changed.replaced),
        )
        if names
    ]
    edited = changed.answers or changed.steps
    return InputError(
        f"the answers were changed after {by.name} was computed from them",
        where=str(store.path),
        found="; ".join([*what, *(["another training log"] if changed.steps else [])]),
        expected=f"what {by} was computed from",
        fix=f"{database.FIX}; or remove {by} and run again: it is computed from the answers as they are now"
        if edited
        else AGAIN,
    )


def beside(path: Path) -> tuple[Path, Mapping[str, Any] | None]:
    """The document beside a results.sqlite, and the hashes that it recorded: None where there are none.

    Raises:
        InputError: the document is damaged.
    """
    evaluation, results = path.parent / "evaluation.json", path.parent / "results.json"
    if evaluation.is_file():
        return evaluation, (read_evaluation(evaluation).get("made_from") or {}).get("store")
    if results.is_file():
        return results, (read_results(results).get("made_from") or {}).get("store")
    return results, None


def read_evaluation(path: Path) -> dict[str, Any]:
    """Read an evaluation.json.

    Raises:
        InputError: it is not there, not strict JSON, or was changed; InputErrors for fields of a wrong type.
    """
    return document.load_checked(path, schemas.Evaluation, what="the evaluation's document", fix=AGAIN)


def read_results(path: Path) -> dict[str, Any]:
    """Read of a results.json what is needed beside the store; errors as of `read_evaluation`."""
    return document.load_checked(path, schemas.Beside, what="the results file", fix=document.FIX)


def _key(one: Evaluation) -> tuple[str, ...]:
    return tuple(getattr(one, key) for key in _NAMES)
