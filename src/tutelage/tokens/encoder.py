"""Rows of text to token ids with a loss mask, for decoder-only and encoder-decoder models.

The prompt's ids are exactly those that the model reads in evaluation; the completion and the end of the turn are tokenized
apart, and only they bear loss. A prompt that is too long loses the end of its longest field (or the field and side that the
recipe names); of a conversation the oldest turns go first. Template text, system prompts and completions are never cut.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, Literal

from tutelage.core.errors import InputError
from tutelage.core.types import PLAIN_TEXT, Encoded, History, Prompted
from tutelage.tokens import chat_encoding
from tutelage.tokens.added_tokens import AddedTokens, added_tokens, added_with_end
from tutelage.tokens.answer_turn import AnswerTurn, answer_turn, trained_turn
from tutelage.tokens.rendering import RenderLimitError

BATCH = 1000  # rows whose conversations are rendered together


@dataclass(frozen=True, slots=True)
class Truncation:
    """Which field of a prompt that is too long is shortened (None: the longest), at which side, and what a training row may lose.

    `too_long` is the recipe's `tune.too_long`: with "cut" answers are cut as well, with "drop" nothing is cut in training.
    """

    field: str | None = None
    side: Literal["start", "end"] = "end"
    too_long: Literal["cut-prompt", "cut", "drop"] = "cut-prompt"


class RowTooLongError(InputError):
    """A training row has more tokens than a row may have."""


class Encoder:
    """Turns prompts, completions and rows into token ids for one tokenizer.

    Args:
        tokenizer: a fast transformers tokenizer; its `chat_template` is what is used.
        encoder_decoder: whether the prompt goes to an encoder of its own.
        max_length: the most tokens that a row may have (prompt and completion; each side for encoder-decoder);
            None for no limit.
        truncation: what is shortened when a row has more.
        conversations: whether rows are trained: a chat template is required that shows how an answer goes on from its prompt.
            Without it the model can be asked: bare texts, and conversations where there is a template.

    Raises:
        InputError: with `conversations` there is no chat template, or one that cannot be trained.
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
        self._source_added = AddedTokens((), ())
        self._answer_added = AddedTokens((), ())
        if encoder_decoder:
            self._source_added = added_with_end(tokenizer, "text")
            self._answer_added = added_with_end(tokenizer, "text_target")
        else:
            self._text_prefix = added_tokens(tokenizer, "text").prefix
        if conversations:
            _ = self.turn_end_ids  # a template that cannot be trained is refused here

    @cached_property
    def answer_turn(self) -> AnswerTurn:
        """How the chat template writes an answer's turn; without a text of its own for an encoder-decoder model."""
        return AnswerTurn("", "") if self.encoder_decoder else answer_turn(self.tokenizer)

    @cached_property
    def turn_end_ids(self) -> list[int]:
        """The ids that end a turn.

        Raises:
            InputError: the chat template cannot be trained.
        """
        if self.encoder_decoder:
            return list(self._answer_added.suffix)
        return chat_encoding.encode_text(self.tokenizer, trained_turn(self.tokenizer).end, control=True)

    @cached_property
    def opening_ids(self) -> list[int]:
        """The ids that the chat template writes between prompt and answer, without the spaces at their end; mostly empty."""
        return chat_encoding.encode_text(self.tokenizer, self.answer_turn.head, control=True)

    @cached_property
    def stop_id(self) -> int | None:
        """The token that ends a turn: learned in training, and a stop token in generation; None where the template ends none."""
        if self.encoder_decoder:
            return self.turn_end_ids[-1]
        ids = chat_encoding.encode_text(self.tokenizer, self.answer_turn.end, control=True)
        return ids[-1] if ids else None

    @property
    def text_before_stop(self) -> str:
        """What the template writes between an answer and the token that ends its turn, such as Llama 2's space."""
        if self.stop_id is None or self.encoder_decoder:
            return ""
        return self.answer_turn.end.removesuffix(str(self.tokenizer.convert_ids_to_tokens(self.stop_id)))

    @cached_property
    def opening_length(self) -> int:
        """The most tokens that the template's text before an answer takes: room that an answer needs besides its own."""
        spaces = chat_encoding.encode_text(self.tokenizer, self.answer_turn.spaces, control=False)
        return len(self.opening_ids) + len(spaces)

    @property
    def answer_prefix(self) -> tuple[int, ...]:
        """The ids before every answer on the decoder's side (BART's <s>), which bear no loss; mostly empty."""
        return self._answer_added.prefix

    def prompt_ids(self, prompt: str, history: History = ()) -> list[int]:
        """The ids that the model reads before it answers; not limited by `max_length`."""
        return self.prompts_ids([(prompt, history)])[0]

    def prompts_ids(self, prompts: Sequence[tuple[str, History]]) -> list[list[int]]:
        """The ids of several prompts, each as `prompt_ids` gives them, rendered together."""
        if not self.encoder_decoder:
            conversations = [chat_encoding.messages(prompt, history) for prompt, history in prompts]
            return chat_encoding.encode_conversations(self.tokenizer, conversations, generate=True)
        prefix, suffix = self._source_added
        texts = (conversation_text(prompt, history) for prompt, history in prompts)
        return [
            [*prefix, *chat_encoding.encode_text(self.tokenizer, text, control=False), *suffix]
            for text in texts
        ]

    def with_added_tokens(self, ids: Sequence[int]) -> list[int]:
        """The ids of a bare text as the model reads it: with what the tokenizer adds to texts, such as a bos token.

        A decoder-only model is to continue it, so nothing is added behind it; where there would be nothing at all to read,
        it gets the bos token, else the eos token.

        Raises:
            InputError: there is nothing to read, and the tokenizer has neither token.
        """
        if self.encoder_decoder:
            return [*self._source_added.prefix, *ids, *self._source_added.suffix]
        named = (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id)
        tokens = [*self._text_prefix, *ids] or [int(token) for token in named if token is not None][:1]
        if tokens:
            return tokens
        raise InputError(
            "the model is given nothing to read",
            found="an empty text, and a tokenizer with neither bos nor eos token",
            expected="some text",
            fix="write a prompt that is not empty",
        )

    def completion_ids(self, completion: str) -> list[int]:
        """The ids of an answer, with what the template writes before it and the end of the turn."""
        return [*self.opening_of(completion), *self.spoken_ids(completion), *self.turn_end_ids]

    def opening_of(self, completion: str) -> list[int]:
        """The ids of the template's text before a completion; none where the completion has a text of this kind, such as thoughts."""
        return [] if self.answer_turn.begins(completion) else self.opening_ids

    def spoken_text(self, answer: str) -> str:
        """An answer with the spaces that the template writes before it: they are tokenized as one text."""
        return self.answer_turn.spaces + answer

    def spoken_ids(self, answer: str) -> list[int]:
        """The ids of an answer without opening and end."""
        return chat_encoding.encode_text(self.tokenizer, self.spoken_text(answer), control=False)

    def encode(self, row: Prompted) -> Encoded:
        """Ids and loss mask of one row, the prompt shortened if it must be.

        Raises:
            InputError: the row does not fit even so; names the row's file and line.
        """
        if row.group == PLAIN_TEXT:
            return self._plain_text(row)
        with _row_in_errors(row):
            whole = self.completion_ids(row.completion)
            target = self._fitting_answer(row, whole) if self.truncation.too_long == "cut" else whole
            answer_length = len(self.answer_prefix) + len(target)
            room = self.max_length - (0 if self.encoder_decoder else len(target))
            if answer_length > self.max_length or room < 1:
                raise self._too_long(row, f"a completion of {len(target)} tokens")
            prompt = self.prompt_ids(row.prompt, row.history)
            cut = len(whole) - len(target)
            if len(prompt) <= room:
                return self._joined(row, prompt, target, cut)
            if self.truncation.too_long == "drop":
                raise self._too_long(row, f"{len(prompt)} tokens of prompt and {len(target)} of completion")
            shortened = self._shorten(row, room)[2]
            return self._joined(row, shortened, target, cut + len(prompt) - len(shortened))

    def _fitting_answer(self, row: Prompted, target: list[int]) -> list[int]:
        """The answer cut at its end where a row is too long: the prompt keeps what it needs, up to half of the row.

        A cut answer has no end of turn: the model must not learn to stop there.
        """
        room = self.max_length - len(self.answer_prefix)
        if not self.encoder_decoder:
            room -= min(len(self.prompt_ids(row.prompt, row.history)), self.max_length // 2)
        return target[:room]

    def _plain_text(self, row: Prompted) -> Encoded:
        """A text as it is, behind what the model reads before every text; all of it bears loss, its end too."""
        with _row_in_errors(row):
            if self.encoder_decoder:
                raise InputError(
                    "an encoder-decoder model answers a prompt, and cannot go on with a text",
                    where=str(row.origin),
                    found=f"the task {row.task} without a prompt",
                    expected="a decoder-only model, or prompt and completion",
                    fix="name another model, or write prompt beside completion",
                )
            start = self.with_added_tokens([])
            text = chat_encoding.encode_text(self.tokenizer, row.completion, control=False)
            end = self.tokenizer.eos_token_id
            ends = [self.stop_id if end is None else int(end)]
            target = [*text, *(each for each in ends if each is not None)]
            if len(start) + len(target) > self.max_length:
                raise self._too_long(row, f"a text of {len(target)} tokens")
            return self._joined(row, start, target, 0)

    def encode_ids(self, row: Prompted, prompt: Sequence[int], completion: Sequence[int]) -> Encoded | None:
        """Encode a row whose texts are tokenized already; None when its prompt must be shortened.

        Args:
            row: the row.
            prompt: for a decoder-only model the ids of the rendered conversation, else those of the bare prompt.
            completion: the ids of the completion as `spoken_text` gives it.
        """
        target = [*self.opening_of(row.completion), *completion, *self.turn_end_ids]
        source = [*self._source_added.prefix, *prompt, *self._source_added.suffix]
        lengths = (len(source), len(self.answer_prefix) + len(target))
        if (max(lengths) if self.encoder_decoder else sum(lengths)) > self.max_length or not prompt:
            return None
        return self._joined(row, source, target, 0)

    def _joined(self, row: Prompted, prompt: list[int], target: list[int], dropped: int) -> Encoded:
        """Prompt and target as one row: one after the other, or on two sides, with loss on the target alone."""
        if self.encoder_decoder:
            prefix = self.answer_prefix
            mask = (False,) * len(prefix) + (True,) * len(target)
            ids = (*prefix, *target)
            return Encoded(row.id, row.task, ids, mask, source=tuple(prompt), dropped=dropped)
        mask = (False,) * len(prompt) + (True,) * len(target)
        return Encoded(row.id, row.task, (*prompt, *target), mask, dropped=dropped)

    def fit_prompt(
        self, row: Prompted, *, new_tokens: int, ids: Sequence[int] | None = None
    ) -> tuple[str, History]:
        """Shorten the prompt and its history so that `new_tokens` tokens of answer still fit into `max_length`.

        Args:
            row: with the prompt.
            new_tokens: of the answer.
            ids: of the prompt; None where they were not computed yet.

        Raises:
            InputError: it does not fit even so; names the row's file and line.
        """
        room = self.max_length - (0 if self.encoder_decoder else new_tokens)
        with _row_in_errors(row):
            ids = self.prompt_ids(row.prompt, row.history) if ids is None else ids
            return (row.prompt, row.history) if len(ids) <= room else self._shorten(row, room)[:2]

    def fit_prompts(self, rows: Iterable[tuple[Prompted, int]]) -> Iterator[tuple[str, History] | InputError]:
        """Give what `fit_prompt` returns or raises for each row and its number of new tokens; rendered in batches."""
        remaining = iter(rows)
        while batch := list(islice(remaining, BATCH)):
            batch_ids = self._batch_prompt_ids([row for row, _ in batch])
            for (row, new_tokens), ids in zip(batch, batch_ids, strict=True):
                try:
                    prompt = self.fit_prompt(row, new_tokens=new_tokens, ids=ids)
                except InputError as error:
                    yield error
                else:
                    yield prompt

    def _batch_prompt_ids(self, rows: Sequence[Prompted]) -> Sequence[list[int] | None]:
        """The ids of the rows' prompts; None for all where the template refuses one: only alone does it say which."""
        try:
            return self.prompts_ids([(row.prompt, row.history) for row in rows])
        except RenderLimitError:
            raise
        except InputError:
            return [None] * len(rows)

    def _shorten(self, row: Prompted, room: int) -> tuple[str, History, list[int]]:
        """The longest conversation that fits: without its oldest turns, then with one field of the prompt shortened."""
        history = row.history
        while (shorter := _without_oldest(history)) != history:
            history = shorter
            if len(ids := self.prompt_ids(row.prompt, history)) <= room:
                return row.prompt, history, ids
        return self._cut(row, history, room)

    def _cut(self, row: Prompted, history: History, room: int) -> tuple[str, History, list[int]]:
        """The longest prompt that fits when characters are cut from one field; found by bisection."""
        field, start, end = self._truncated_span(row)
        value = row.prompt[start:end]
        longest: tuple[str, History, list[int]] | None = None
        low, high = 0, end - start
        while low <= high:
            size = (low + high) // 2
            part = value[:size] if self.truncation.side == "end" else value[len(value) - size :]
            text = row.prompt[:start] + part + row.prompt[end:]
            ids = self.prompt_ids(text, history)
            if len(ids) <= room:
                longest, low = (text, history, ids), size + 1
            else:
                high = size - 1
        if longest is None:
            behind = " behind its system prompt" if history else ""
            raise self._too_long(row, f"a prompt that has no room{behind} even without its field {field!r}")
        return longest

    def _truncated_span(self, row: Prompted) -> tuple[str, int, int]:
        """The field that is cut, as (name, start, end) in the prompt's characters."""
        spans = [span for span in row.spans if self.truncation.field in (None, span[0])]
        if not spans:
            raise self._too_long(row, "a prompt in which no field stands as it is in the data")
        return max(spans, key=lambda span: span[2] - span[1])

    def _too_long(self, row: Prompted, excess: str) -> InputError:
        return RowTooLongError(
            f"task {row.task!r}: a row does not fit into {self.max_length} tokens",
            where=str(row.origin),
            found=excess,
            expected=f"at most {self.max_length} tokens in all",
            fix="raise tune.max_length up to what the model reads, shorten the row, or leave such rows out: "
            "on_bad_row: drop  in the task's data; for training rows alone  too_long: drop  or  too_long: cut  in tune",
        )


@contextmanager
def _row_in_errors(row: Prompted) -> Iterator[None]:
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
    start = 1 if history and history[0][0] == "system" else 0
    users = [index for index in range(start + 1, len(history)) if history[index][0] == "user"]
    return history[:start] + (history[users[0] :] if users else ())


def conversation_text(prompt: str, history: History) -> str:
    """Write a conversation as one text, for models without roles: each turn after its speaker, a blank line between turns.

    A system prompt has no speaker's name, and neither has a prompt without history.
    """
    if not history:
        return prompt
    turns = [*history, ("user", prompt)]
    lines = [content if role == "system" else f"{role.capitalize()}: {content}" for role, content in turns]
    return "\n\n".join(lines)
