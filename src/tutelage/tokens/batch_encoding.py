"""Many rows to ids at once: the same ids as `Encoder.encode` gives row by row, from one call of the tokenizer a batch.

Of a conversation only the contents are encoded, each with the control tokens around it; the rest is the chat template's
and the same in every row (`frames`). A text that stands in several rows is encoded once a batch, and where the tokenizer
allows it a word once in all (`words`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tutelage.core.errors import InputError
from tutelage.core.types import Encoded, History, Prompted
from tutelage.templates.chat_renderer import verbatim
from tutelage.tokens import chat_encoding
from tutelage.tokens.encoder import Encoder, plain
from tutelage.tokens.frames import Frame, frame_of
from tutelage.tokens.rendering import TooMuchError
from tutelage.tokens.word_cache import Vocabulary

BATCH = 1000  # rows


def encode_all(
    encoder: Encoder, rows: Sequence[Prompted], *, refused: dict[int, InputError] | None = None
) -> Iterator[Encoded]:
    """Encode rows in their order.

    Rows whose texts spell control tokens, or that do not fit, take the careful way of `Encoder.encode`.

    Args:
        encoder: the model's.
        rows: the rows.
        refused: takes the errors of rows that do not fit, by their place; those rows are then left out.

    Raises:
        InputError: without `refused`, a row does not fit even when its prompt is shortened; names its file and line.
    """
    ways = _Ways(encoder)
    for start in range(0, len(rows), BATCH):
        batch = _batch(encoder, ways, rows[start : start + BATCH])
        for place, encoded in enumerate(batch, start):
            if not isinstance(encoded, InputError):
                yield encoded
            elif refused is None:
                raise encoded
            else:
                refused[place] = encoded


class _Way(NamedTuple):
    """What is encoded of a row's prompt: the stretches of a frame, or the whole text and the control tokens due in it.

    Without texts the row is encoded alone.
    """

    texts: list[str]
    frame: Frame | None = None
    due: list[int] = []  # noqa: RUF012  # never changed

    def ids(self, encoded: list[list[int]], control: frozenset[int]) -> list[int] | None:
        """The prompt's ids; None when the row spells control tokens."""
        if self.frame is not None:
            return self.frame.ids(encoded, control)
        if not self.texts:
            return None
        (ids,) = encoded
        return ids if [i for i in ids if i in control] == self.due else None


def _batch(encoder: Encoder, ways: _Ways, rows: Sequence[Prompted]) -> Iterator[Encoded | InputError]:
    control = chat_encoding.control_ids(encoder.tokenizer)
    taken = ways.of(rows)
    texts = [text for way in taken for text in way.texts]
    texts += [row.completion for row in rows]
    known = ways.vocabulary.of(texts)
    for row, way in zip(rows, taken, strict=True):
        prompt = way.ids([known[text] for text in way.texts], control)
        completion = known[row.completion]
        fits = prompt is not None and control.isdisjoint(completion)
        made = encoder.join(row, prompt, completion) if fits and prompt else None
        yield _carefully(encoder, row) if made is None else made


def _carefully(encoder: Encoder, row: Prompted) -> Encoded | InputError:
    try:
        return encoder.encode(row)
    except InputError as error:
        return error


class _Ways:
    """How the rows of one encoder are encoded, by the roles of their conversations."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self.vocabulary = Vocabulary(encoder.tokenizer)
        self._verbatim = not encoder.encoder_decoder and verbatim(encoder.tokenizer.chat_template or "")
        self._frames: dict[tuple[str, ...], Frame | None] = {}
        self._due: dict[tuple[str, ...], list[int]] = {}

    def of(self, rows: Sequence[Prompted]) -> list[_Way]:
        """One way a row."""
        if self._encoder.encoder_decoder:
            return [_Way([plain(row.prompt, row.history)]) for row in rows]
        if self._verbatim:
            return [self._framed(row) or self._alone(row) for row in rows]
        texts = self._rendered(rows)
        return [
            self._alone(row) if text is None else self._of(row, text)
            for row, text in zip(rows, texts, strict=True)
        ]

    def _framed(self, row: Prompted) -> _Way | None:
        frame = self._frame(row.history)
        return None if frame is None else _Way(frame.texts(_contents(row)), frame)

    def _alone(self, row: Prompted) -> _Way:
        texts = self._rendered([row])
        return _Way([]) if texts[0] is None else self._of(row, texts[0])

    def _of(self, row: Prompted, text: str) -> _Way:
        """The way of a row whose rendered text is known."""
        frame = self._frame(row.history)
        contents = _contents(row)
        if frame is not None and frame.writes(text, contents):
            return _Way(frame.texts(contents), frame)
        roles = tuple(role for role, _ in row.history)
        if roles not in self._due:
            tokenizer = self._encoder.tokenizer
            harmless = chat_encoding.messages("a", tuple((role, "a") for role in roles))
            ids = chat_encoding.encode_messages(tokenizer, harmless, generate=True)
            self._due[roles] = [i for i in ids if i in chat_encoding.control_ids(tokenizer)]
        return _Way([text], None, self._due[roles])

    def _rendered(self, rows: Sequence[Prompted]) -> Sequence[str | None]:
        """The conversations as text; None where the template refuses one, which `Encoder.encode` then tells."""
        tokenizer = self._encoder.tokenizer
        talks = [chat_encoding.messages(row.prompt, row.history) for row in rows]
        try:
            return chat_encoding.render_all(tokenizer, talks, generate=True)
        except TooMuchError:
            raise
        except InputError:
            return [None] if len(rows) == 1 else [self._rendered([row])[0] for row in rows]

    def _frame(self, history: History) -> Frame | None:
        roles = tuple(role for role, _ in history)
        if roles not in self._frames:
            try:
                self._frames[roles] = frame_of(
                    self._encoder.tokenizer, (*roles, "user"), bare=self.vocabulary.separable
                )
            except InputError:
                self._frames[roles] = None
        return self._frames[roles]


def _contents(row: Prompted) -> tuple[str, ...]:
    return (*(content for _, content in row.history), row.prompt)
