"""Examples put into words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tutelage.core.nouns import Example
from tutelage.templates.apart import close
from tutelage.templates.binding import Same, Source, bind
from tutelage.templates.columns import columns_of, detect, guess, named, names
from tutelage.templates.labels import LabelsGiven
from tutelage.templates.library import Found, find, is_own, kind_part, own_file
from tutelage.templates.sandbox import check, reference
from tutelage.templates.template import TaskTemplate
from tutelage.templates.wording import LibraryTemplate, Manner

__all__ = [
    "Found",
    "LibraryTemplate",
    "Manner",
    "Same",
    "Source",
    "TaskTemplate",
    "check",
    "close",
    "columns_of",
    "detect",
    "find",
    "guess",
    "is_own",
    "kind_part",
    "named",
    "names",
    "own_file",
    "reference",
    "use",
]


def use(
    found: Found,
    examples: Sequence[Example],
    manner: Manner | None = None,
    *,
    fields: Mapping[str, Source] | None = None,
    labels: LabelsGiven | None = None,
    where: str = "task",
) -> LibraryTemplate:
    """A kind's wordings for a task's rows: arguments and errors as of `bind` and `LibraryTemplate`."""
    reads = {name for one in found.wordings for name in one.completion_reads}
    needed = [one.name for one in found.kind.fields.values() if not one.optional or one.name in reads]
    binding = bind(found.kind, examples, needed=needed, fields=fields, labels=labels, where=where)
    return LibraryTemplate(found, binding, manner or Manner())
