"""Checks that what an earlier run left in its folder is still as it was written.

What can be computed again from the rest (results, card, page) is computed again; a damaged model or store is an error that says
what to do. Runs of older versions recorded no hashes: they are taken as they are, and the hashes of their model are recorded.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from tutelage import report
from tutelage.core import hashing, manifest
from tutelage.core.errors import InputError
from tutelage.report import live_page
from tutelage.results import digests, document, tuned_record
from tutelage.results.folder_claim import IDENTITIES, write_recipe
from tutelage.results.run_folder import RunFolder
from tutelage.results.store import Store

Say = Callable[[str], None]


def finished_results(folder: RunFolder, key: str, *, base: str, say: Say) -> dict[str, Any] | None:
    """The results of a run that is complete; None when some of it has to be computed again.

    Args:
        folder: the run folder.
        key: a hash of all that the results depend on.
        base: the fingerprint of the base model, recorded with the model of a run of an older version.
        say: takes a line on what is missing, damaged or was written again.

    Raises:
        InputError: the tuned model, its record or the store is damaged.
    """
    if not folder.results.is_file():
        return None
    try:
        results = document.read(folder.results)
    except InputError as error:
        say(f"{folder.results} is damaged and is computed again from the answers: {error.problem}")
        return None
    if results["provenance"].get("key") != key:
        return None
    recorded = results.get("made_from")
    if not (
        _model_is_whole(folder, recorded, base, say)
        and _store_is_whole(folder, recorded, say)
        and _card_is_whole(folder, recorded, say)
    ):
        return None
    if write_recipe(folder, results["recipe"]):
        say(f"{folder.recipe} was missing or damaged: it is written again")
    if not report.output(folder.path).is_whole() or live_page.is_live(folder.report):
        report.write(folder.path)
        say(f"{folder.report} was missing: it is written again")
    return results


def begun_before(folder: RunFolder, base: str) -> bool:
    """Whether an older version began the run, whose identity left out the generation settings, and the base is unchanged.

    Args:
        folder: the run.
        base: the base model's fingerprint, generation settings included.
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


def made_from(folder: RunFolder, store: Store) -> dict[str, Any]:
    """Hashes of what results are computed from: `made_from` of results.json."""
    return {
        "card": hashing.of_json(read_card(folder)),
        "store": digests.of_store(store),
        "tuned": tuned_record.read(folder.path),
    }


def _model_is_whole(folder: RunFolder, recorded: Mapping[str, Any] | None, base: str, say: Say) -> bool:
    """Check the tuned model. If only its record is missing or damaged, the record is written again."""
    record = tuned_record.read(folder.path)
    if not folder.model.exists():
        say(f"{folder.model} is not there: tuned again")
        return False
    if recorded is not None and record != recorded["tuned"]:
        if record is not None and record["identity"] != recorded["tuned"]["identity"]:
            say(f"{folder.tuned} is of another tuning: tuned again")
            return False
        tuned_record.require_model(folder.path, recorded["tuned"])
        tuned_record.write(folder.path, recorded["tuned"])
        say(f"{folder.tuned} was missing or damaged: it is written again from {folder.results.name}")
        return True
    if record is not None:
        require_model(folder, record, base, say)
    return record is not None


def require_model(folder: RunFolder, record: Mapping[str, Any], base: str, say: Say) -> None:
    """Check a tuned model against the hashes in its record.

    A model that an older version wrote has none: they are recorded as they are now, but not in a folder that is read-only.

    Raises:
        InputError: a file of the model is missing, was changed, or was added.
    """
    if record.get("files") is not None:
        tuned_record.require_model(folder.path, record)
    elif not os.access(folder.path, os.W_OK):
        say(tuned_record.UNCHECKED)
    else:
        hashes = {"recorded": tuned_record.LATER, "files": manifest.of_folder(folder.model), "base": base}
        tuned_record.write(folder.path, {**record, **hashes})
        say(
            "the run was made before hashes of the tuned model and the base's generation settings were recorded: "
            "both are recorded now, as they are"
        )


def _store_is_whole(folder: RunFolder, recorded: Mapping[str, Any] | None, say: Say) -> bool:
    if not folder.store.is_file() or not folder.store.stat().st_size:
        say(f"{folder.store} is not there, or empty: all is asked again; the log of the training is lost")
        return False
    # A connection that only reads leaves SQLite's two files beside the store.
    with Store.open(folder.store, read_only=not os.access(folder.path, os.W_OK)) as store:
        if recorded is None:
            return True
        changes = digests.find_changes(store, recorded["store"])
        if changes.answers or (changes.steps and store.steps()):
            raise digests.changed_error(store, changes, by=folder.results)
    if changes:
        say(f"{folder.store} lacks answers or scores: what is missing is asked or computed again")
    return not changes


def _card_is_whole(folder: RunFolder, recorded: Mapping[str, Any] | None, say: Say) -> bool:
    try:
        card = read_card(folder)
    except InputError as error:
        say(f"{folder.card} is missing or damaged and is written again: {error.problem}")
        return False
    if recorded is not None and hashing.of_json(card) != recorded["card"]:
        say(f"{folder.card} was changed and is written again")
        return False
    return True


def read_card(folder: RunFolder) -> dict[str, Any]:
    """Read the data card.

    Raises:
        InputError: it is missing or damaged.
    """
    return document.load_checked(folder.card, "card", subject="the data card", fix=document.FIX)
