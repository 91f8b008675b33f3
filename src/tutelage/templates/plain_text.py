"""Plain text to go on with: rows that have a completion and no prompt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tutelage.core.types import PLAIN_TEXT, Example, Prompted
from tutelage.templates.task_template import TaskTemplate


@dataclass(frozen=True)
class PlainTextTemplate(TaskTemplate):
    """The Jinja template of a text that is learned as it is, without a user's turn before it.

    Its prompt is its completion, so that a text counts as its own question when rows are split and compared; rendered rows
    have none.
    """

    def render_each(
        self, examples: Sequence[Example], task: str, *, training: bool = False
    ) -> Iterator[Prompted]:
        """As in the base class, without prompts."""
        for row in super().render_each(examples, task, training=training):
            text = (row.completion,)
            yield replace(
                row, prompt="", spans=(), history=(), references=text, choices=text, group=PLAIN_TEXT
            )

    @property
    def column_renderer(self) -> None:
        """None: a row is more than the texts of two templates."""
        return

    def card(self) -> dict[str, Any]:
        """The template's entry in the data card."""
        return {**super().card(), "prompt": "none: plain text to go on with"}
