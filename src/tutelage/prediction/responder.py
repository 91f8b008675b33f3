"""A model in memory that answers rows, scores choices and talks, as long as a Python program wants it: what `tutelage.load` gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import overload

from tutelage.core.clock import Clock
from tutelage.core.errors import InputError
from tutelage.core.types import Json, Prompted, Request, Response
from tutelage.evaluation.answer_cache_key import keyed_engine
from tutelage.models import LoadedModel
from tutelage.prediction.asker import Asker
from tutelage.prediction.options import Decoding
from tutelage.prediction.rows import read_rows

Row = str | Mapping[str, Json]
"""A text for the one column that the prompt reads, or the columns of a row."""


class Responder:
    """A loaded model with the prompt that its rows are put into; made by `tutelage.load`.

    Attributes:
        name: the model, as it was named.
        task: of a run the task whose prompt is used; None for other models.
    """

    def __init__(self, asker: Asker, loaded: LoadedModel) -> None:
        self.name = loaded.name
        self.task = asker.prompts.name if asker.is_run else None
        self._asker = asker
        self._engine = keyed_engine(loaded).engine

    def __repr__(self) -> str:
        task = "" if self.task is None else f", task={self.task!r}"
        return f"Responder({self.name!r}{task})"

    @overload
    def generate(  # type: ignore[overload-overlap]  # a text is a sequence of texts too, and the first one fits first
        self,
        rows: Row,
        *,
        max_new_tokens: int | None = None,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> str: ...
    @overload
    def generate(
        self,
        rows: Sequence[Row],
        *,
        max_new_tokens: int | None = None,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> list[str]: ...
    def generate(
        self,
        rows: Row | Sequence[Row],
        *,
        max_new_tokens: int | None = None,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> str | list[str]:
        """Answer one row or several, as the run answered its test rows; several go through the model in batches.

        Args:
            rows: a text or the columns of a row, or a list of such.
            max_new_tokens: most tokens of an answer; the recipe's by default.
            temperature: 0 takes the likeliest token; above 0, tokens are sampled.
            top_p: sample from the likeliest tokens with this share of the probability.
            seed: of the sampling.

        Returns:
            The answer, or the answers in the rows' order. Of a task whose answers are chosen it is the likeliest choice.

        Raises:
            InputError: a row lacks what the prompt reads, or does not fit the model; InputErrors for several.
        """
        decoding = Decoding(max_new_tokens=max_new_tokens, temperature=temperature, top_p=top_p, seed=seed)
        decoding.check()
        questions = self._asker.questions(self._prompted(_listed(rows)), decoding)
        requests = [
            text[0] if text else choice
            for text, choice in zip(questions.generate, questions.choose, strict=True)
        ]
        answers = [response.text for response in self._ask([r for r in requests if r is not None])]
        return answers[0] if isinstance(rows, str | Mapping) else answers

    @overload
    def score(  # type: ignore[overload-overlap]  # as above
        self, rows: Row, choices: Sequence[str] | None = None
    ) -> dict[str, float]: ...
    @overload
    def score(self, rows: Sequence[Row], choices: Sequence[str] | None = None) -> list[dict[str, float]]: ...
    def score(
        self, rows: Row | Sequence[Row], choices: Sequence[str] | None = None
    ) -> dict[str, float] | list[dict[str, float]]:
        """The log-likelihood of each choice as the answer to one row or several.

        Args:
            rows: a text or the columns of a row, or a list of such.
            choices: the answers to weigh; by default those of the task, where it has some (labels, options).

        Returns:
            For each row by choice the sum of its tokens' log-probabilities in nats, without the end of the turn.

        Raises:
            InputError: there are no choices, a row lacks what the prompt reads, or does not fit the model.
        """
        if choices is not None and (not choices or isinstance(choices, str)):
            raise InputError(
                "there is nothing to choose from", where="choices", expected='a list such as ["yes", "no"]'
            )
        prompted = self._prompted(_listed(rows))
        requests = self._asker.choice_requests(prompted, None if choices is None else tuple(choices))
        scores = [
            dict(zip(request.choices, response.logprobs, strict=True))
            for request, response in zip(requests, self._ask(requests), strict=True)
        ]
        return scores[0] if isinstance(rows, str | Mapping) else scores

    def chat(
        self,
        messages: str | Sequence[Mapping[str, str]],
        *,
        max_new_tokens: int = 256,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> str:
        """Answer a conversation as it stands: in the model's chat template, without the run's prompt.

        Args:
            messages: the user's question, or `{"role": ..., "content": ...}` in order, the last one the user's.
            max_new_tokens: most tokens of the answer.
            temperature: 0 takes the likeliest token; above 0, tokens are sampled.
            seed: of the sampling.

        Raises:
            InputError: the last message is not the user's, or the conversation does not fit the model.
        """
        decoding = Decoding(max_new_tokens=max_new_tokens, temperature=temperature, seed=seed)
        decoding.check()
        turns = [{"role": "user", "content": messages}] if isinstance(messages, str) else list(messages)
        if (
            not turns
            or turns[-1].get("role") != "user"
            or not all({"role", "content"} <= set(t) for t in turns)
        ):
            raise InputError(
                "the conversation does not end with a question",
                where="messages",
                found=f"{len(turns)} messages"
                + (f", the last one of {turns[-1].get('role')}" if turns else ""),
                expected='{"role": ..., "content": ...} each, the last one with the role user',
                fix="end with the user's message",
            )
        request = Request(
            "chat",
            "generate",
            turns[-1]["content"],
            max_new_tokens=max_new_tokens,
            history=tuple((turn["role"], turn["content"]) for turn in turns[:-1]),
            sampling=decoding.sampling,
        )
        return self._ask([request])[0].text

    def _prompted(self, rows: Sequence[Row]) -> Sequence[Prompted]:
        prompted = self._asker.prompts.prompts(read_rows(rows, self._asker.prompts).data)
        if len(prompted) == len(rows):
            return prompted
        raise InputError(
            "a row asks several questions, or none",
            where="rows",
            found=f"{len(prompted)} questions in {len(rows)} rows",
            expected="one question a row",
            fix="end each conversation with the user's turn that is to be answered, and leave empty texts out",
        )

    def _ask(self, requests: Sequence[Request]) -> list[Response]:
        return self._engine.answer(requests)


def _listed(rows: Row | Sequence[Row]) -> Sequence[Row]:
    return [rows] if isinstance(rows, str | Mapping) else list(rows)


def load_responder(asker: Asker) -> Responder:
    """Load the weights of a model that is ready to be asked."""
    return Responder(asker, asker.load(Clock(asker.prompts.instant)))
