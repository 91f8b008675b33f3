"""The prompts of a model that is no run's, or of a run that is asked otherwise: a template of the user's, or the columns' own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tutelage import templates
from tutelage.core.clock import Instant
from tutelage.core.errors import InputError
from tutelage.core.types import Prompted
from tutelage.data import DataSource, LoadedData
from tutelage.models import LoadedModel, LoadedTokenizer
from tutelage.prediction.options import DEFAULT_NEW_TOKENS
from tutelage.templates.columns import column_templates
from tutelage.templates.questions import PromptTemplate, detect_prompt
from tutelage.tokens.encoder import Encoder


@dataclass(frozen=True, slots=True)
class PlainPrompts:
    """How rows are asked without a recipe.

    Attributes:
        template: a Jinja text over the columns; None where their names say the prompt.
    """

    template: str | None

    name = "rows"
    max_new_tokens = DEFAULT_NEW_TOKENS
    chooses = False
    four_bit = False
    root = Path()

    @property
    def instant(self) -> Instant | None:
        """None: templates read the time of the prediction."""
        return None

    def source(self, file: Path) -> DataSource:
        """How a file is read: in the layout that it is detected to have."""
        return DataSource(path=str(file.absolute()), needs_answers=False)

    def prompts(self, rows: LoadedData) -> Sequence[Prompted]:
        """The prompts of rows.

        Raises:
            InputError: a row lacks what the prompt reads, or the columns do not say which one is the prompt.
        """
        try:
            return self._template(rows).render_all(rows.examples, self.name)
        finally:
            templates.close()

    def text_column(self) -> str:
        """The one column that the prompt reads, which a line of text fills.

        Raises:
            InputError: it reads several, or none.
        """
        if self.template is None:
            return "prompt"
        columns = PromptTemplate(self.template, where="predict").prompt_fields
        if len(columns) == 1:
            return columns[0]
        raise InputError(
            "a line of text is one column, and the prompt reads several"
            if columns
            else "the prompt reads no column, so a line of text stands nowhere in it",
            where="--prompt",
            found=", ".join(columns) or self.template,
            expected="a single column, such as {{ text }}",
            fix="write the rows into a .jsonl or .csv file, and name it"
            if columns
            else "write {{ text }} where the line belongs",
        )

    def encoder(self, model: LoadedModel | LoadedTokenizer) -> Encoder:
        """The encoder of the prompts; their answers have room in the model's context."""
        return Encoder(model.tokenizer, encoder_decoder=model.encoder_decoder, max_length=model.context)

    def _template(self, rows: LoadedData) -> PromptTemplate:
        if self.template is not None:
            return PromptTemplate(self.template, where="predict")
        known = next((layout for layout in column_templates() if layout.name == rows.template), None)
        if known is not None:
            return PromptTemplate(known.prompt, name=known.name, where=known.name, untrusted=False)
        return detect_prompt(
            rows.examples, fix=lambda name: f"say it: --prompt '{templates.reference(name)}'"
        )
