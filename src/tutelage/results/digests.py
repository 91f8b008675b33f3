"""Hashes of the content of a results.sqlite, recorded in the document that is computed from it and checked on reading.

If a task or benchmark has several evaluations, the one that was scored last counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tutelage.core import hashing
from tutelage.core.errors import InputError
from tutelage.results import database, document
from tutelage.results.name_marks import benchmark_caveats
from tutelage.results.run_folder import RunFolder
from tutelage.results.store import Evaluation, Store

AGAIN = "run the command that made it again: it writes the file anew and answers nothing twice"
_IDENTITY_FIELDS = ("model", "suite", "name", "fingerprint")


@dataclass(frozen=True, slots=True)
class StoreChanges:
    """How a store differs from the hashes that a document recorded; false if it does not differ.

    Attributes:
        missing: evaluations that are gone.
        answers: evaluations whose items or responses differ.
        scores: evaluations of which only the scores differ.
        replaced: evaluations after which another one of the same name was scored.
        steps: whether the training log differs.
    """

    missing: tuple[str, ...]
    answers: tuple[str, ...]
    scores: tuple[str, ...]
    replaced: tuple[str, ...]
    steps: bool

    def __bool__(self) -> bool:
        return bool(self.missing or self.answers or self.scores or self.replaced or self.steps)


def of_store(store: Store) -> dict[str, Any]:
    """Hash a store: the value of `made_from.store` in results.json and evaluation.json."""
    return {
        "evaluations": [
            {**{key: getattr(evaluation, key) for key in _IDENTITY_FIELDS}, **evaluation.digests()}
            for evaluation in store.last_scored().values()
        ],
        "steps": hashing.of_json(store.steps()),
    }


def find_changes(store: Store, recorded: Mapping[str, Any]) -> StoreChanges:
    """Compare a store with the hashes that a document recorded.

    Args:
        store: the store.
        recorded: what `of_store` gave when the document was written.
    """
    last_scored = store.last_scored()
    by_identity = {_identity(evaluation): evaluation for evaluation in store.evaluations()}
    names: dict[str, list[str]] = {"missing": [], "answers": [], "scores": [], "replaced": []}
    for old in recorded["evaluations"]:
        evaluation = by_identity.get(tuple(old[key] for key in _IDENTITY_FIELDS))
        if evaluation is None:
            change = "missing"
        elif (digests := evaluation.digests())["answers"] != old["answers"]:
            change = "answers"
        elif digests["scores"] != old["scores"]:
            change = "scores"
        elif _identity(last_scored.get(_identity(evaluation)[:3], evaluation)) != _identity(evaluation):
            change = "replaced"
        else:
            continue
        names[change].append(f"{old['name']} ({old['model']})")
    log_differs = hashing.of_json(store.steps()) != recorded["steps"]
    return StoreChanges(**{change: tuple(changed) for change, changed in names.items()}, steps=log_differs)


def require_unchanged(store: Store, recorded: Mapping[str, Any] | None, *, by: Path) -> None:
    """Refuse a store that was changed since a document was computed from it.

    Args:
        store: the store.
        recorded: the hashes in the document; None, as in documents of older versions, passes.
        by: the document.

    Raises:
        InputError: responses, scores or the training log differ.
    """
    changes = None if recorded is None else find_changes(store, recorded)
    if changes:
        raise changed_error(store, changes, by=by)


def require_answers(store: Store) -> None:
    """Refuse answers that were edited after the document beside them was computed. Missing ones are asked again."""
    try:
        path, recorded = document_beside(store.path)
    except InputError:
        return  # it is computed again, from the answers as they are
    changes = find_changes(store, recorded) if recorded else None
    if changes and changes.answers:
        raise changed_error(store, changes, by=path)


def changed_error(store: Store, changes: StoreChanges, *, by: Path) -> InputError:
    """Make the error for a store that is not as the document `by` recorded it."""
    parts = [
        f"{label} of {', '.join(names[:5])}"
        for label, names in (
            ("no answers", changes.missing),
            ("other answers", changes.answers),
            ("other scores", changes.scores),
            ("later answers", changes.replaced),
        )
        if names
    ]
    edited = changes.answers or changes.steps
    return InputError(
        f"the answers were changed after {by.name} was computed from them",
        where=str(store.path),
        found="; ".join([*parts, *(["another training log"] if changes.steps else [])]),
        expected=f"what {by} was computed from",
        fix=f"{database.FIX}; or remove {by} and run again: it is computed from the answers as they are now"
        if edited
        else AGAIN,
    )


def document_beside(store: Path) -> tuple[Path, Mapping[str, Any] | None]:
    """The document beside a results.sqlite, and the store's hashes in it; None if there are none.

    Raises:
        InputError: the document is damaged.
    """
    path, content = _read_beside(store)
    return path, (content.get("made_from") or {}).get("store")


def caveats_beside(store: Path) -> dict[str, Mapping[str, Any]]:
    """By benchmark, what the document beside a results.sqlite says about it; nothing where there is no document.

    Raises:
        InputError: the document is damaged.
    """
    return benchmark_caveats(_read_beside(store)[1])


def _read_beside(store: Path) -> tuple[Path, Mapping[str, Any]]:
    folder = RunFolder(store.parent)
    for path, read in ((folder.evaluation, read_evaluation), (folder.results, read_results)):
        if path.is_file():
            return path, read(path)
    return folder.results, {}


def read_evaluation(path: Path) -> dict[str, Any]:
    """Read an evaluation.json.

    Raises:
        InputError: it does not exist, is not strict JSON, or was edited; InputErrors for fields of a wrong type.
    """
    return document.load_checked(path, "evaluation", subject="the evaluation's document", fix=AGAIN)


def read_results(path: Path) -> dict[str, Any]:
    """Read a results.json, checking only the keys that are used together with the store; errors as of `read_evaluation`."""
    return document.load_checked(path, "results_head", subject="the results file", fix=document.FIX)


def _identity(evaluation: Evaluation) -> tuple[str, ...]:
    return tuple(getattr(evaluation, key) for key in _IDENTITY_FIELDS)
