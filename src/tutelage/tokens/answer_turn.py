"""The assistant's turn of a chat template: what stands before an answer that the prompt does not give, and what ends the turn.

Most templates open the turn fully: the answer follows the prompt at once. Some write more before the answer of a finished
conversation: Llama 2 and Mistral a space, Qwen3 an empty think block, others a line break or the turn's header. The model is not
given this text when it is asked, so it has to say it: it is learned as the first tokens of the answer (the *opening*), and taken off
an answer before that is shown or scored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tutelage.core.errors import InputError
from tutelage.tokens import chat_encoding
from tutelage.tokens.rendering import MARK, RenderLimitError, other_templates, render
from tutelage.tokens.special_spellings import special_spellings


@dataclass(frozen=True, slots=True)
class AnswerTurn:
    """How a chat template writes an assistant's turn.

    Attributes:
        opening: what stands between the prompt and the answer; mostly empty.
        end: what stands behind the answer, up to the end of the first special token; empty where there is none.
        refusal: why nothing can be trained with the template; None where it can. Asking needs no more than the prompt.
    """

    opening: str
    end: str
    refusal: InputError | None = None

    @property
    def head(self) -> str:
        """The opening without spaces at its end."""
        return self.opening.rstrip(" \t")

    @property
    def spaces(self) -> str:
        """The spaces at the opening's end, which a tokenizer may join with the answer's first word."""
        return self.opening[len(self.head) :]

    def begins(self, answer: str) -> bool:
        """Whether an answer begins with a text of the opening's kind: thoughts of its own where the template writes empty ones."""
        tag = self.head.split(maxsplit=1)[0] if self.head.strip() else ""
        return bool(tag) and answer.lstrip().startswith(tag)

    def before(self, answer: str) -> str:
        """What stands between the prompt and this answer."""
        return "" if self.begins(answer) else self.opening


def trained_turn(tokenizer: Any) -> AnswerTurn:
    """Read the assistant's turn off a tokenizer's chat template, for training.

    Raises:
        InputError: the template ends no turn, or a finished conversation does not go on from the one that the model is asked.
    """
    turn = answer_turn(tokenizer)
    if turn.refusal is None:
        return turn
    error = turn.refusal
    question = [{"role": "user", "content": "a"}]
    raise InputError(
        error.problem,
        where=error.where,
        found=error.found,
        expected=error.expected,
        fix=other_templates(tokenizer, [question]),
    ) from None


def answer_turn(tokenizer: Any) -> AnswerTurn:
    """Read the assistant's turn off a tokenizer's chat template; where it cannot be trained, `refusal` says why.

    Raises:
        InputError: the template does not write one question of a user, so that nothing can be asked either.
    """
    user = {"role": "user", "content": "a"}
    answer = {"role": "assistant", "content": MARK.format(0)}
    opened = render(tokenizer, [user], generate=True)
    try:
        finished = render(tokenizer, [user, answer], generate=False)
    except RenderLimitError:
        raise
    except InputError as error:
        return AnswerTurn("", "", error)
    before, mark, after = finished.partition(MARK.format(0))
    tokens = special_spellings(tokenizer).values()
    ends = [after.find(token) + len(token) for token in tokens if token and token in after]
    end = after[: min(ends)] if ends else ""
    if not mark or not before.startswith(opened):
        return AnswerTurn("", end, _other_opening(opened, before, written=bool(mark)))
    opening = before[len(opened) :]
    if not end:
        return AnswerTurn(opening, "", _no_end(after))
    turn = AnswerTurn(opening, end)
    end_id = chat_encoding.encode_text(tokenizer, end, control=True)[-1]
    if {end_id, tokenizer.eos_token_id} & {*chat_encoding.encode_text(tokenizer, turn.head, control=True)}:
        return AnswerTurn("", end, _end_in_opening(opening))
    return turn


def _other_opening(opened: str, before: str, *, written: bool) -> InputError:
    return InputError(
        "the chat template renders a finished conversation otherwise than an open one, "
        "so what is trained would not be what is asked",
        where="chat_template",
        found=f"open: {opened!r}; finished: {before!r}{'' if written else ', without the answer'}",
        expected="the finished text to begin with the open one, and to hold the answer",
    )


def _no_end(after: str) -> InputError:
    return InputError(
        "the chat template does not end the assistant's turn with a special token, "
        "so the model could not learn when to stop",
        where="chat_template",
        found=repr(after),
        expected="an end-of-turn token such as the tokenizer's eos token",
    )


def _end_in_opening(opening: str) -> InputError:
    return InputError(
        "the chat template renders a finished conversation otherwise than an open one: "
        "it writes a token that ends answers before the answer",
        where="chat_template",
        found=repr(opening),
        expected="no such token between the prompt and the answer",
    )
