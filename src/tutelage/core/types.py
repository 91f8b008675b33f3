"""The types that pass between stages, as frozen dataclasses. An origin is a tuple, because every row read makes one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from tutelage.core.errors import InputError

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
Split = Literal["train", "validation", "test"]
History = tuple[tuple[str, str], ...]
"""Messages before a prompt, each (role, content): a system prompt, earlier turns."""


PLAIN_TEXT = "plain-text"
"""The group of rows without a prompt: a text to go on with, which no chat template surrounds."""


class Origin(NamedTuple):
    """Where a row came from: the file, and its physical line (1-based).

    A binary table has no lines: `unit` is then "row", and `line` the row's number, counted from 1. `item` tells rows apart
    that start on one line; 0 for the first.
    """

    file: str
    line: int
    unit: Literal["line", "row"] = "line"
    item: int = 0

    def __str__(self) -> str:
        if self.unit == "row":
            return f"{self.file}, row {self.line}"
        return f"{self.file}:{self.line}, item {self.item}" if self.item else f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Example:
    """One row of a data file: its fields, and where it came from.

    `history` holds the messages before the prompt, for a turn of a conversation: (role, content), the oldest first.
    """

    id: str
    fields: Mapping[str, Json]
    origin: Origin
    history: History = ()


@dataclass(frozen=True, slots=True)
class Prompted:
    """An example as prompt and completion: what the model reads, and what it should answer.

    `prompt` is the user's turn, before the model's chat template; `fields` are the example's, for metrics that
    look at more than the completion. `spans` names the parts of `prompt` that came from a field, as
    (field, start, end) in characters: what may be shortened when the prompt is too long.
    `choices` are the answers to choose from, the completion among them, where the row has such. `history` comes
    before the prompt, as messages of its own.

    `source` is the data set that the row comes from; `listed` says whether the prompt lists the answer options, `group`
    whether it is turned around (the input is asked for) or asks for reasons first, or is PLAIN_TEXT.
    """

    id: str
    task: str
    prompt: str
    completion: str
    template: str
    origin: Origin
    fields: Mapping[str, Json] = field(default_factory=dict)
    spans: tuple[tuple[str, int, int], ...] = ()
    shots: int = 0
    references: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    history: History = ()
    source: str = ""
    listed: bool = False
    group: str = "wordings"

    @property
    def style(self) -> str:
        """FLAN's name of the row's form: zero-shot or few-shot, with options, with reasons (cot), turned around."""
        parts = [
            "few-shot" if self.shots else "zero-shot",
            *(["options"] if self.listed else []),
            *({"rationales": ["cot"], "inverted": ["inverted"]}.get(self.group, [])),
        ]
        return "-".join(parts)


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids with the loss mask: `loss_mask[i]` says whether `ids[i]` counts for the loss.

    For an encoder-decoder model `source` holds the encoder's ids and `ids` the decoder's targets.
    `dropped` counts prompt tokens that were cut to fit.
    """

    id: str
    task: str
    ids: tuple[int, ...]
    loss_mask: tuple[bool, ...]
    source: tuple[int, ...] | None = None
    dropped: int = 0

    @property
    def n_loss(self) -> int:
        """How many tokens count for the loss."""
        return sum(self.loss_mask)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the tokens of an answer are drawn.

    Each token is drawn from the softmax of the logits over `temperature`, restricted to the smallest set of likeliest tokens
    whose mass reaches `top_p`. What is drawn depends on `seed`, the request's id and the token's position alone.
    """

    temperature: float
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.temperature < math.inf:
            raise InputError(
                "the temperature is out of bounds",
                where="sampling.temperature",
                found=f"{self.temperature:g}",
                expected="a finite number above 0",
                fix="leave the sampling out for greedy answers" if self.temperature == 0 else None,
            )
        if not 0 < self.top_p <= 1:
            raise InputError(
                "top_p is out of bounds",
                where="sampling.top_p",
                found=f"{self.top_p:g}",
                expected="a number above 0 and at most 1",
            )


@dataclass(frozen=True, slots=True)
class Request:
    """One question to a model.

    `choose`: the log-likelihood of each of `choices` after the prompt; `generate`: at most `max_new_tokens`
    tokens, ending at the model's end of turn or at a stop string. Each is the likeliest one, or drawn as `sampling` says.

    A `choose` with a `continuation` compares contexts instead: the log-likelihood of that text behind the prompt and each of
    `choices` in turn.

    `form` says what `prompt` is. `chat`: the user's turn, with the messages of `history` before it, put into the model's
    chat template. `text`: a text that the answer continues, without chat template and history. `user`: nothing, `prompt` is
    empty: the model writes the user's turn of its chat template itself, up to its end.
    """

    id: str
    kind: Literal["generate", "choose"]
    prompt: str
    choices: tuple[str, ...] = ()
    max_new_tokens: int = 0
    stop: tuple[str, ...] = ()
    history: History = ()
    form: Literal["chat", "text", "user"] = "chat"
    continuation: str = ""
    sampling: Sampling | None = None

    def __post_init__(self) -> None:
        if self.sampling is not None and self.kind != "generate":
            raise InputError(
                "only generated answers are sampled", where=self.id, found=f"sampling for {self.kind}"
            )
        if self.form == "user" and (self.kind != "generate" or self.prompt or self.history):
            raise InputError(
                "a user's turn is written from nothing",
                where=self.id,
                found=f"kind {self.kind}, {len(self.prompt)} characters of prompt, {len(self.history)} turns before",
                expected="kind generate, without prompt and history",
            )


@dataclass(frozen=True, slots=True)
class Response:
    """A model's answer to one request.

    `text` is the generated text or the best choice; `logprobs` (nats, one a choice, summed over its tokens),
    `lengths` (how many tokens of each choice, or of the continuation behind it, are scored) and `choice` (index of the largest) are there for `choose`.
    """

    id: str
    text: str
    finish: Literal["stop", "length", "choice"]
    tokens: int
    choice: int | None = None
    logprobs: tuple[float, ...] = ()
    lengths: tuple[int, ...] = ()
