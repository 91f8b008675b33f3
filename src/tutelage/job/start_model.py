"""The model that a run starts from: the one that its recipe names, or the tuned model of the run that it continues, as whole weights.

An adapter cannot be tuned further, so the adapter of the earlier run is merged into its base, once, into the folder `start`.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

from tutelage.core import files, manifest
from tutelage.job.context import RunContext
from tutelage.models import ModelSource, export, fingerprint, load, methods, resolve
from tutelage.results import document
from tutelage.results.folder_claim import claim
from tutelage.results.run_folder import RunFolder


def start_model(context: RunContext) -> ModelSource:
    """The files of the model that is tuned.

    Raises:
        InputError: there is no such model, or it is of a method whose change no weights can take up.
        MachineError: the model cannot be fetched, or the disk does not take it.
    """
    source = resolve(context.recipe.model, say=context.say("model"))
    if context.recipe.continues is None or source.base is None:
        return source
    if not _is_merged(context.folder, source):
        context.listener.stage("model", f"the adapter of {source.name} is merged into its base")
        with claim(context.folder, context.record):
            _merge(context.folder, source)
    return replace(resolve(str(context.folder.start)), name=source.name, kind="run")


def _is_merged(folder: RunFolder, source: ModelSource) -> bool:
    """Whether the folder holds this model merged already.

    Raises:
        InputError: the merged model was changed since it was written.
    """
    if not folder.start_record.is_file():
        return False
    record = document.load_json(
        folder.start_record, subject="the record of the merged model", fix=_fix(folder)
    )
    if record.get("of") != fingerprint(source):
        return False
    manifest.require(folder.start, record["files"], subject="the merged model", fix=_fix(folder))
    return True


def _merge(folder: RunFolder, source: ModelSource) -> None:
    recipe = document.recorded_recipe(RunFolder(source.folder.parent).recipe) or {}
    method = methods.find(str((recipe.get("tune") or {}).get("method", "lora")))
    method.refuse(
        "merge",
        where=f"{source.name}, which the recipe continues",
        fix="teach the earlier task by another method, such as lora",
    )
    folder.start_record.unlink(missing_ok=True)
    shutil.rmtree(folder.start, ignore_errors=True)
    export(load(source), folder.start, merge=True, base=source.base or source, card="")
    record = {"of": fingerprint(source), "files": manifest.of_folder(folder.start)}
    files.write_text(folder.start_record, json.dumps(record, indent=1) + "\n")


def _fix(folder: RunFolder) -> str:
    return f"remove {folder.start}: the same command merges it again"
