"""`Prompted` to `Encoded`: ids and loss mask, for decoder-only and encoder-decoder models.

The prompt's ids are made exactly as they will be when the model is asked; the completion and the end of the turn
follow as tokens of their own, and only they bear loss. A prompt that is too long loses the end of its longest
field (or the field and side that the recipe names); of a conversation the oldest turns go first. Template text, system
prompts and completions are never cut.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, Literal, NamedTuple

from tutelage.core.errors import InputError
from tutelage.core.types import Encoded, History, Prompted
from tutelage.tokens import chat_encoding
from tutelage.tokens.rendering import TooMuchError

BATCH = 1000  # rows whose conversations are rendered together


@dataclass(frozen=True, slots=True)
class Truncation:
    """Which field of a too long prompt is shortened (None: the longest) and at which side."""

    field: str | None = None
    side: Literal["start", "end"] = "end"


class Frame(NamedTuple):
    """What a tokenizer puts around a text: T5's ends with </s>, BART's begins with <s> too, Llama 2's begins with <s>."""

    before: tuple[int, ...]
    after: tuple[int, ...]


class Encoder:
    """Encodes for one tokenizer.

    Args:
        tokenizer: a fast transformers tokenizer; its `chat_template` is what is used.
        encoder_decoder: whether the prompt goes to an encoder of its own.
        max_length: the most tokens that a row may have (prompt and completion; each side for encoder-decoder);
            None for no limit.
        truncation: what is shortened when a row has more.
        conversations: whether there must be a chat template; a model without one can still be asked texts.

    Raises:
        InputError: there is no chat template, or one with which no turn ends.
    """

    def __init__(
        self,
        tokenizer: Any,
        *,
        encoder_decoder: bool,
        max_length: int | None = None,
        truncation: Truncation | None = None,
        conversations: bool = True,
    ) -> None:
        self.tokenizer = tokenizer
        self.encoder_decoder = encoder_decoder
        self.max_length = sys.maxsize if max_length is None else max_length
        self.truncation = truncation or Truncation()
        self._source_frame = Frame((), ())
        self._answer_frame = Frame((), ())
        if encoder_decoder:
            self._source_frame = _frame(tokenizer, "text")
            self._answer_frame = _frame(tokenizer, "text_target")
        else:
            self._before_text = _added(tokenizer, "text").before
        if conversations:
            _ = self._end

    @cached_property
    def _end(self) -> list[int]:
        """What ends a turn."""
        if self.encoder_decoder:
            return list(self._answer_frame.after)
        return chat_encoding.encode_text(self.tokenizer, chat_encoding.turn_end(self.tokenizer), control=True)

    @property
    def stop_id(self) -> int:
        """The token that ends a turn: learned in training, awaited in generation."""
        return self._end[-1]

    @property
    def answer_prefix(self) -> tuple[int, ...]:
        """What stands before every answer on the decoder's side (BART's <s>): given, never learned; mostly empty."""
        return self._answer_frame.before

    def prompt_ids(self, prompt: str, history: History = ()) -> list[int]:
        """The ids that the model reads before it answers, whatever their number."""
        return self.prompts_ids([(prompt, history)])[0]

    def prompts_ids(self, prompts: Sequence[tuple[str, History]]) -> list[list[int]]:
        """The ids of several prompts, each as `prompt_ids` gives them, rendered together."""
        if not self.encoder_decoder:
            talks = [chat_encoding.messages(prompt, history) for prompt, history in prompts]
            return chat_encoding.encode_conversations(self.tokenizer, talks, generate=True)
        before, after = self._source_frame
        texts = (plain(prompt, history) for prompt, history in prompts)
        return [
            [*before, *chat_encoding.encode_text(self.tokenizer, text, control=False), *after]
            for text in texts
        ]

    def text_ids(self, ids: Sequence[int]) -> list[int]:
        """The ids of a bare text as the model reads it: with what the tokenizer puts around texts, such as a bos token.

        A decoder-only model is to go on with it, so nothing is put behind it; where nothing at all would be read, it is given
        its bos token, else its eos token.

        Raises:
            InputError: there is nothing to read, and the tokenizer has neither token.
        """
        if self.encoder_decoder:
            return [*self._source_frame.before, *ids, *self._source_frame.after]
        whole = [*self._before_text, *ids]
        named = (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id)
        begin = next((int(i) for i in named if i is not None), None)
        if not whole and begin is None:
            raise InputError(
                "the model is given nothing to read",
                found="an empty text, and a tokenizer with neither bos nor eos token",
                expected="some text",
                fix="write a prompt that is not empty",
            )
        return whole or [int(begin or 0)]

    def completion_ids(self, completion: str) -> list[int]:
        """The ids that the model shall answer with, the end of the turn included."""
        return [*chat_encoding.encode_text(self.tokenizer, completion, control=False), *self._end]

    def encode(self, row: Prompted) -> Encoded:
        """Ids and loss mask of one row, the prompt shortened if it must be.

        Raises:
            InputError: the row does not fit even so; names the row's file and line.
        """
        with _named(row):
            return self._encode(row)

    def _encode(self, row: Prompted) -> Encoded:
        target = self.completion_ids(row.completion)
        before = self.answer_prefix
        room = self.max_length - (0 if self.encoder_decoder else len(target))
        if len(before) + len(target) > self.max_length or room < 1:
            raise self._too_long(row, f"a completion of {len(target)} tokens")
        prompt, dropped = self._fit(row, room)
        return self._joined(row, prompt, target, dropped)

    def join(self, row: Prompted, prompt: Sequence[int], completion: Sequence[int]) -> Encoded | None:
        """The row from ids that were made for many rows at once; None when it must be shortened.

        Args:
            row: the row.
            prompt: for a decoder-only model the ids of the rendered conversation, else those of the bare prompt.
            completion: the ids of the bare completion.
        """
        target = [*completion, *self._end]
        source = [*self._source_frame.before, *prompt, *self._source_frame.after]
        lengths = (len(source), len(self.answer_prefix) + len(target))
        if (max(lengths) if self.encoder_decoder else sum(lengths)) > self.max_length or not prompt:
            return None
        return self._joined(row, source, target, 0)

    def _joined(self, row: Prompted, prompt: list[int], target: list[int], dropped: int) -> Encoded:
        before = self.answer_prefix
        if self.encoder_decoder:
            mask = (False,) * len(before) + (True,) * len(target)
            ids = (*before, *target)
            return Encoded(row.id, row.task, ids, mask, source=tuple(prompt), dropped=dropped)
        mask = (False,) * len(prompt) + (True,) * len(target)
        return Encoded(row.id, row.task, (*prompt, *target), mask, dropped=dropped)

    def fit_prompt(self, row: Prompted, *, new_tokens: int) -> tuple[str, History]:
        """The prompt and its history, shortened so that `new_tokens` tokens of answer still fit into `max_length`.

        Raises:
            InputError: it does not fit even so; names the row's file and line.
        """
        with _named(row):
            return self._fit_prompt(row, new_tokens, self.prompt_ids(row.prompt, row.history))

    def fit_prompts(self, rows: Iterable[tuple[Prompted, int]]) -> Iterator[tuple[str, History] | InputError]:
        """For each row and its number of new tokens what `fit_prompt` gives or raises, rendered many at a time."""
        remaining = iter(rows)
        while batch := list(islice(remaining, BATCH)):
            rendered = self._rendered_together([row for row, _ in batch])
            for (row, new_tokens), ids in zip(batch, rendered, strict=True):
                try:
                    fit = (
                        self.fit_prompt(row, new_tokens=new_tokens)
                        if ids is None
                        else self._fit_prompt(row, new_tokens, ids)
                    )
                except InputError as error:
                    yield error
                else:
                    yield fit

    def _rendered_together(self, rows: Sequence[Prompted]) -> Sequence[list[int] | None]:
        """The ids of the rows' prompts; None for all of them where the template refuses one, which only it alone tells."""
        try:
            return self.prompts_ids([(row.prompt, row.history) for row in rows])
        except TooMuchError:
            raise
        except InputError:
            return [None] * len(rows)

    def _fit_prompt(self, row: Prompted, new_tokens: int, ids: Sequence[int]) -> tuple[str, History]:
        room = self.max_length - (0 if self.encoder_decoder else new_tokens)
        return (row.prompt, row.history) if len(ids) <= room else self._shorten(row, room)[:2]

    def _fit(self, row: Prompted, room: int) -> tuple[list[int], int]:
        ids = self.prompt_ids(row.prompt, row.history)
        if len(ids) <= room:
            return ids, 0
        short = self._shorten(row, room)[2]
        return short, len(ids) - len(short)

    def _shorten(self, row: Prompted, room: int) -> tuple[str, History, list[int]]:
        """The longest conversation that fits: without its oldest turns, then with one field of the prompt shortened."""
        history = row.history
        while (shorter := _without_oldest(history)) != history:
            history = shorter
            if len(ids := self.prompt_ids(row.prompt, history)) <= room:
                return row.prompt, history, ids
        return self._cut(row, history, room)

    def _cut(self, row: Prompted, history: History, room: int) -> tuple[str, History, list[int]]:
        """The longest prompt that fits when characters leave one field; found by bisection."""
        field, start, end = self._span(row)
        best: tuple[str, History, list[int]] | None = None
        low, high = 0, end - start
        while low <= high:
            kept = (low + high) // 2
            value = row.prompt[start:end]
            value = value[:kept] if self.truncation.side == "end" else value[len(value) - kept :]
            text = row.prompt[:start] + value + row.prompt[end:]
            ids = self.prompt_ids(text, history)
            if len(ids) <= room:
                best, low = (text, history, ids), kept + 1
            else:
                high = kept - 1
        if best is None:
            behind = " behind its system prompt" if history else ""
            raise self._too_long(row, f"a prompt that has no room{behind} even without its field {field!r}")
        return best

    def _span(self, row: Prompted) -> tuple[str, int, int]:
        spans = [s for s in row.spans if self.truncation.field in (None, s[0])]
        if not spans:
            raise self._too_long(row, "a prompt in which no field stands as it is in the data")
        return max(spans, key=lambda span: span[2] - span[1])

    def _too_long(self, row: Prompted, found: str) -> InputError:
        return InputError(
            f"task {row.task!r}: a row does not fit into {self.max_length} tokens",
            where=str(row.origin),
            found=found,
            expected=f"at most {self.max_length} tokens in all; the completion is never cut",
            fix="raise tune.max_length up to what the model reads, shorten the row, or leave such rows out: "
            "on_bad_row: drop  in the task's data",
        )


@contextmanager
def _named(row: Prompted) -> Iterator[None]:
    """Name the row's file and line in an error of the chat template, which names the template's file only."""
    try:
        yield
    except InputError as error:
        where = str(row.origin)
        if error.where == where:
            raise
        raise type(error)(
            error.problem,
            where=where,
            found=f"{error.found}; the template: {error.where}",
            expected=error.expected,
            fix=f"{error.fix}, or leave such rows out: on_bad_row: drop  in the task's data",
        ) from None


def _without_oldest(history: History) -> History:
    """The history without its oldest exchange: up to the next user's turn; a system prompt stays."""
    kept = 1 if history and history[0][0] == "system" else 0
    users = [place for place in range(kept + 1, len(history)) if history[place][0] == "user"]
    return history[:kept] + (history[users[0] :] if users else ())


def plain(prompt: str, history: History) -> str:
    """A conversation as one text, for models without roles: who speaks before each turn, a blank line between them.

    A system prompt stands as it is, and so does a prompt without history.
    """
    if not history:
        return prompt
    said = [*history, ("user", prompt)]
    turns = [content if role == "system" else f"{role.capitalize()}: {content}" for role, content in said]
    return "\n\n".join(turns)


def _frame(tokenizer: Any, side: Literal["text", "text_target"]) -> Frame:
    """Read off what the tokenizer adds to a text; an end is added where it adds none.

    Raises:
        InputError: there is no token to end with.
    """
    before, after = _added(tokenizer, side)
    if not after and tokenizer.eos_token_id is None:
        raise InputError(
            "the tokenizer has no end token, so the model could not learn when to stop",
            where="model",
            found="eos_token: none",
            expected="an eos token in tokenizer_config.json",
            fix="use a model whose tokenizer has one",
        )
    return Frame(before, after or (int(tokenizer.eos_token_id),))


def _added(tokenizer: Any, side: Literal["text", "text_target"]) -> Frame:
    """What the tokenizer itself adds to a text."""
    bare = chat_encoding.encode_text(tokenizer, "a", control=False)
    whole = list(tokenizer(**{side: "a"})["input_ids"])
    at = next((i for i in range(len(whole)) if whole[i : i + len(bare)] == bare), 0)
    return Frame(tuple(whole[:at]), tuple(whole[at + len(bare) :]))
