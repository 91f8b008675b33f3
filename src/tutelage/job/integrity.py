"""Whether what a run left is still as it was written.

What can be computed again from the rest is (results, card, page); a damaged model or store is refused, with what to do.
Runs of older versions recorded no hashes: they are taken as they are, and their model's hashes are recorded.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from tutelage import report
from tutelage.core import hashing, manifest
from tutelage.core.errors import InputError
from tutelage.results import card_schema, digests, document, tuned_record
from tutelage.results.folder_claim import IDENTITIES, write_recipe
from tutelage.results.run_folder import RunFolder
from tutelage.results.store import Store

Say = Callable[[str], None]


def finished(folder: RunFolder, key: str, *, base: str, say: Say) -> dict[str, Any] | None:
    """The results of a run that ended before; None when something of it has to be done again, which `say` is told.

    Args:
        folder: the run.
        key: what its results have to be of.
        base: the fingerprint of the base model, to be recorded with the model of an older run.
        say: told what is missing, damaged or was written again.

    Raises:
        InputError: the tuned model, its record or the store is damaged.
    """
    results = _results(folder, say)
    if results is None or results["provenance"].get("key") != key:
        return None
    made = results.get("made_from")
    if (
        not _model_is_whole(folder, made, base, say)
        or not _store_is_whole(folder, made, say)
        or not _card_is_whole(folder, made, say)
    ):
        return None
    if write_recipe(folder, results["recipe"]):
        say(f"{folder.recipe} was missing or damaged: it is written again")
    if not report.output(folder.path).is_whole():
        report.write(folder.path)
        say(f"{folder.report} was missing: it is written again")
    return results


def begun_before(folder: RunFolder, base: str) -> bool:
    """Whether a run was begun by a version that left the generation settings out of its identity, and the base is unchanged.

    Args:
        folder: the run.
        base: the base model's fingerprint, with its settings.
    """
    record = tuned_record.read(folder.path) or {}
    if record.get("recorded") == tuned_record.WHEN_WRITTEN:
        return False
    if "base" in record:
        return bool(record["base"] == base)
    if folder.recipe.is_file():
        return IDENTITIES not in folder.recipe.read_text("utf-8", "replace")
    try:
        return "made_from" not in document.read(folder.results)
    except InputError:
        return False


def require_answers(folder: RunFolder, store: Store) -> None:
    """Refuse answers that were edited after results.json was computed from them; missing ones are asked again."""
    try:
        made = document.read(folder.results).get("made_from")
    except InputError:
        return  # it is computed again, from the answers as they are
    changed = digests.find_changes(store, made["store"]) if made else None
    if changed and changed.answers:
        raise digests.changed_error(store, changed, by=folder.results)


def made_from(folder: RunFolder, store: Store) -> dict[str, Any]:
    """What results are computed from, as hashes: `made_from` of results.json."""
    card = document.load_json(folder.card, what="the data card", fix=document.FIX)
    return {
        "card": hashing.of_json(card),
        "store": digests.of_store(store),
        "tuned": tuned_record.read(folder.path),
    }


def _results(folder: RunFolder, say: Say) -> dict[str, Any] | None:
    if not folder.results.is_file():
        return None
    try:
        return document.read(folder.results)
    except InputError as error:
        say(f"{folder.results} is damaged and is computed again from the answers: {error.problem}")
        return None


def _model_is_whole(folder: RunFolder, made: Mapping[str, Any] | None, base: str, say: Say) -> bool:
    """Check the model; its record is written again where it alone is missing or damaged."""
    record = tuned_record.read(folder.path)
    if not folder.model.exists():
        say(f"{folder.model} is not there: tuned again")
        return False
    if made is not None and record != made["tuned"]:
        if record is not None and record["identity"] != made["tuned"]["identity"]:
            say(f"{folder.tuned} is of another tuning: tuned again")
            return False
        tuned_record.require_model(folder.path, made["tuned"])
        tuned_record.write(folder.path, made["tuned"])
        say(f"{folder.tuned} was missing or damaged: it is written again from {folder.results.name}")
        return True
    if record is None:
        return False
    if record.get("files") is None:
        adopt(folder, record, base, say)
    tuned_record.require_model(folder.path, record)
    return True


def adopt(folder: RunFolder, record: Mapping[str, Any], base: str, say: Say) -> None:
    """Record the hashes of a model that an older version wrote, as it is now, where the folder may be written to."""
    if not os.access(folder.path, os.W_OK):
        say(tuned_record.UNCHECKED)
        return
    files = manifest.describe(folder.model)
    tuned_record.write(folder.path, {**record, "recorded": tuned_record.LATER, "files": files, "base": base})
    say(
        "the run was made before hashes of the tuned model and the base's generation settings were recorded: "
        "both are recorded now, as they are"
    )


def _store_is_whole(folder: RunFolder, made: Mapping[str, Any] | None, say: Say) -> bool:
    if not folder.store.is_file() or not folder.store.stat().st_size:
        say(f"{folder.store} is not there, or empty: all is asked again; the log of the training is lost")
        return False
    # A connection that only reads leaves SQLite's two files beside the store.
    with Store.open(folder.store, read_only=not os.access(folder.path, os.W_OK)) as store:
        if made is None:
            return True
        changed = digests.find_changes(store, made["store"])
        if changed.answers or (changed.steps and store.steps()):
            raise digests.changed_error(store, changed, by=folder.results)
    if changed:
        say(f"{folder.store} lacks answers or scores: what is missing is asked or computed again")
    return not changed


def _card_is_whole(folder: RunFolder, made: Mapping[str, Any] | None, say: Say) -> bool:
    try:
        card = read_card(folder)
    except InputError as error:
        say(f"{folder.card} is missing or damaged and is written again: {error.problem}")
        return False
    if made is not None and hashing.of_json(card) != made["card"]:
        say(f"{folder.card} was changed and is written again")
        return False
    return True


def read_card(folder: RunFolder) -> dict[str, Any]:
    """The data card.

    Raises:
        InputError: it is not there or damaged.
    """
    return document.load_checked(folder.card, card_schema.CardSchema, what="the data card", fix=document.FIX)
