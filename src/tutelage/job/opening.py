"""Opens the folder of a run: locked, with the recipe, the data card and the store of responses in it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from tutelage.core import files
from tutelage.core.errors import InputError
from tutelage.job import integrity
from tutelage.job.context import RunContext
from tutelage.prepare import template_clock
from tutelage.results.folder_claim import claim
from tutelage.results.store import Store


@contextmanager
def open_run(context: RunContext, card: Mapping[str, Any]) -> Iterator[Store]:
    """Lock the run folder for the block, write its data card, and open its store.

    Raises:
        InputError: the folder holds another run, or stored answers were edited after results were computed from them.
        MachineError: another process works in the folder.
    """
    with claim(context.folder, context.record), Store.open(context.folder.store) as store:
        integrity.require_answers(context.folder, store)
        if context.recipe.date is None:
            template_clock.keep_instant(context.folder.path, context.clock)
        write_card(context, card)
        yield store


def write_card(context: RunContext, card: Mapping[str, Any]) -> None:
    """Write the data card. The `training` of an earlier card of the same rows stays in it."""
    card = {**card, **template_clock.card_entry(context.clock)}
    if "training" not in card:
        with suppress(InputError):  # a damaged one is written again
            earlier = integrity.read_card(context.folder)
            if earlier.pop("training", None) is not None and earlier == json.loads(json.dumps(card)):
                return
    files.write_text(context.folder.card, json.dumps(card, indent=1, ensure_ascii=False) + "\n")
