"""The model that a run starts from: the one that its recipe names, or the tuned model of the run that it continues, as whole weights.

An adapter cannot be tuned further, so the adapter of the earlier run is merged into its base, once, into the folder `start`.
"""

from __future__ import annotations

from dataclasses import replace

from tutelage.job.context import RunContext
from tutelage.job.merged_copy import MergedCopy
from tutelage.models import ModelSource, methods, resolve
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
    copy = MergedCopy(context.folder.start, context.folder.start_record)
    if not copy.is_of(source):
        context.listener.stage("model", f"the adapter of {source.name} is merged into its base")
        with claim(context.folder, context.record):
            _require_mergeable(source)
            copy.write(source, card="")
    return replace(resolve(str(context.folder.start)), name=source.name, kind="run")


def _require_mergeable(source: ModelSource) -> None:
    recipe = document.recorded_recipe(RunFolder(source.folder.parent).recipe) or {}
    method = methods.find(str((recipe.get("tune") or {}).get("method", "lora")))
    method.refuse(
        "merge",
        where=f"{source.name}, which the recipe continues",
        fix="teach the earlier task by another method, such as lora",
    )
