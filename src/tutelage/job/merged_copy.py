"""Merged copies in a run's folder: an adapter added into the weights of its base, in a folder with a record of both.

`start` is what a run that continues another one tunes: an adapter cannot be tuned further. `merged` is the tuned model of the run
itself, where its recipe says `keep_merged`. A copy is written once, and again when the model that it was made of has changed.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from tutelage.core import files, manifest
from tutelage.job.context import RunContext
from tutelage.models import ModelSource, export, fingerprint, load, resolve
from tutelage.results import document
from tutelage.results.folder_claim import claim


@dataclass(frozen=True, slots=True)
class MergedCopy:
    """A merged copy of an adapter in a run's folder.

    Attributes:
        folder: the merged model.
        record: a JSON file: the fingerprint of the adapter on its base, and the manifest of `folder`.
    """

    folder: Path
    record: Path

    def is_of(self, source: ModelSource) -> bool:
        """Whether the copy was made of this model.

        Raises:
            InputError: the copy was changed since it was written.
        """
        if not self.record.is_file():
            return False
        fix = f"remove {self.folder}: the same command merges it again"
        record = document.load_json(self.record, subject="the record of the merged model", fix=fix)
        if record.get("of") != fingerprint(source):
            return False
        if not self.folder.is_dir():
            return False
        manifest.require(self.folder, record["files"], subject="the merged model", fix=fix)
        return True

    def remove(self) -> None:
        """Remove the copy; a folder of its name without the record is somebody else's, and stays."""
        if self.record.is_file():
            shutil.rmtree(self.folder, ignore_errors=True)
            self.record.unlink()

    def write(self, source: ModelSource, *, card: str | None = None) -> None:
        """Merge an adapter into its base, in place of an earlier copy; the record is written last.

        Args:
            source: the adapter.
            card: as of `export`.

        Raises:
            InputError: it cannot be merged, or the folder has other content.
            MachineError: the disk does not take it.
        """
        self.remove()
        export(load(source), self.folder, merge=True, base=source.base or source, card=card)
        record = {"of": fingerprint(source), "files": manifest.of_folder(self.folder)}
        files.write_text(self.record, json.dumps(record, indent=1) + "\n")


def write_if_needed(context: RunContext) -> bool:
    """Write the merged copy of a run's tuned model, where the recipe wants one and it is not there. Returns whether it did.

    The run folder is locked by the caller.

    Raises:
        InputError: the copy was changed since it was written.
        MachineError: the disk does not take it.
    """
    source = _source_without_copy(context)
    if source is None:
        return False
    context.listener.stage("merge", str(context.folder.merged))
    copy_of_run(context).write(source)
    return True


def add_to_finished(context: RunContext) -> bool:
    """Do the same for a finished run, whose folder is locked only where something is to be written."""
    if _source_without_copy(context) is None:
        return False
    with claim(context.folder, context.record):
        return write_if_needed(context)


def copy_of_run(context: RunContext) -> MergedCopy:
    """The place of the merged copy of a run's own model."""
    return MergedCopy(context.folder.merged, context.folder.merged_record)


def _source_without_copy(context: RunContext) -> ModelSource | None:
    """The tuned model whose merged copy is to be written; None where there is nothing to write."""
    if not context.recipe.keep_merged:
        return None
    source = resolve(str(context.folder.model))
    # A scaled model may be a whole one, and so is the model of a run of an older version: nothing is to be merged then.
    return None if source.base is None or copy_of_run(context).is_of(source) else source
