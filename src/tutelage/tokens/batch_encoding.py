"""Encodes many rows at once: the ids that `Encoder.encode` gives row by row, in an eighth of its time.

The prompts of a batch are rendered together and tokenized together with the completions, and where the tokenizer allows it
a word is tokenized once for all rows (`word_cache`). perf/data_rendering.py measures it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tutelage.core.errors import InputError
from tutelage.core.types import PLAIN_TEXT, Encoded, Prompted
from tutelage.tokens import chat_encoding, rendering
from tutelage.tokens.encoder import Encoder, conversation_text
from tutelage.tokens.word_cache import WordCache

BATCH = 1000  # rows


def encode_all(
    encoder: Encoder, rows: Sequence[Prompted], *, refused: dict[int, InputError] | None = None
) -> Iterator[Encoded]:
    """Encode rows in their order.

    Rows whose texts spell control tokens, or that do not fit, go through `Encoder.encode` one by one.

    Args:
        encoder: the model's.
        rows: the rows.
        refused: takes the errors of rows that do not fit, by index; those rows are then left out.

    Raises:
        InputError: without `refused`, a row does not fit even when its prompt is shortened; names its file and line.
    """
    batches = _BatchEncoder(encoder)
    for start in range(0, len(rows), BATCH):
        for index, encoded in enumerate(batches.encode(rows[start : start + BATCH]), start):
            if not isinstance(encoded, InputError):
                yield encoded
            elif refused is None:
                raise encoded
            else:
                refused[index] = encoded


class _BatchEncoder:
    """One encoder's word cache, and the control tokens that its chat template writes by itself."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._word_cache = WordCache(encoder.tokenizer)
        self._control_ids = chat_encoding.control_ids(encoder.tokenizer)
        self._template_control: dict[tuple[str, ...], list[int]] = {}

    def encode(self, rows: Sequence[Prompted]) -> Iterator[Encoded | InputError]:
        prompts = self._prompt_texts(rows)
        texts = [text for text in prompts if text is not None]
        answers = [self._encoder.spoken_text(row.completion) for row in rows]
        ids = self._word_cache.encode([*texts, *answers])
        for row, prompt, answer in zip(rows, prompts, answers, strict=True):
            encoded = None if prompt is None else self._joined(row, ids[prompt], ids[answer])
            yield self._encoded_alone(row) if encoded is None else encoded

    def _prompt_texts(self, rows: Sequence[Prompted]) -> Sequence[str | None]:
        """The prompts as text; None where the chat template refuses one, which `Encoder.encode` reports."""
        if any(row.group == PLAIN_TEXT for row in rows):  # a task's rows are all of one form
            return [None] * len(rows)
        if self._encoder.encoder_decoder:
            return [conversation_text(row.prompt, row.history) for row in rows]
        conversations = [chat_encoding.messages(row.prompt, row.history) for row in rows]
        try:
            return rendering.render_all(self._encoder.tokenizer, conversations, generate=True)
        except rendering.RenderLimitError:
            raise
        except InputError:
            return [None] if len(rows) == 1 else [self._prompt_texts([row])[0] for row in rows]

    def _joined(self, row: Prompted, prompt: list[int], completion: list[int]) -> Encoded | None:
        """The row from its ids; None when a text spells a control token, or the row has to be shortened."""
        control_ids = self._control_ids
        if not control_ids.isdisjoint(completion):
            return None
        if list(filter(control_ids.__contains__, prompt)) != self._template_control_of(row):
            return None
        return self._encoder.encode_ids(row, prompt, completion)

    def _template_control_of(self, row: Prompted) -> list[int]:
        """The control tokens of a conversation with the row's roles whose contents spell none."""
        if self._encoder.encoder_decoder:
            return []
        roles = tuple(role for role, _ in row.history)
        if roles not in self._template_control:
            messages = chat_encoding.messages("a", tuple((role, "a") for role in roles))
            ids = chat_encoding.encode_messages(self._encoder.tokenizer, messages, generate=True)
            self._template_control[roles] = [token for token in ids if token in self._control_ids]
        return self._template_control[roles]

    def _encoded_alone(self, row: Prompted) -> Encoded | InputError:
        try:
            return self._encoder.encode(row)
        except InputError as error:
            return error
