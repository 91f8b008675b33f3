"""Prompts as requests to the engine: each row once for each answer, and once more for the likelihoods of its choices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tutelage.core.errors import InputError, raise_all
from tutelage.core.limits import MAX_MISTAKES
from tutelage.core.types import History, Prompted, Request
from tutelage.prediction.options import Decoding
from tutelage.prediction.prompt_source import PromptSource
from tutelage.tokens.encoder import Encoder


@dataclass(frozen=True, slots=True)
class Questions:
    """What a model is asked about rows.

    Attributes:
        generate: for each row its requests for text, as many as answers are wanted; none where the answer is chosen.
        choose: for each row the request for the likelihoods of its choices; None for a row without choices.
        shortened: how many prompts were cut to fit the model.
    """

    generate: tuple[tuple[Request, ...], ...]
    choose: tuple[Request | None, ...]
    shortened: int


def questions_of(
    rows: Sequence[Prompted], source: PromptSource, encoder: Encoder, decoding: Decoding
) -> Questions:
    """Turn prompts into requests that fit the model.

    Args:
        rows: the prompts.
        source: where they come from, which says how they are answered.
        encoder: the encoder of the prompts.
        decoding: how answers are generated.

    Raises:
        InputError: a row does not fit the model, or the settings have no effect on answers that are chosen; InputErrors for several.
    """
    if source.chooses:
        _refuse_sampling(decoding)
    new_tokens = decoding.max_new_tokens or source.max_new_tokens
    _check_room(new_tokens, encoder)
    text_prompts = {} if source.chooses else _fitted(rows, [new_tokens] * len(rows), encoder)
    choose = _choose(rows, encoder, required=source.chooses)
    generate = tuple(
        tuple(
            Request(
                f"{number}.{sample}",
                "generate",
                text_prompts[row.id][0],
                max_new_tokens=new_tokens,
                history=text_prompts[row.id][1],
                sampling=decoding.sampling,
            )
            for sample in (() if source.chooses else range(1, decoding.n + 1))
        )
        for number, row in enumerate(rows, 1)
    )
    first_requests = [texts[0] if texts else choice for texts, choice in zip(generate, choose, strict=True)]
    shortened = sum(
        request is not None and (request.prompt, request.history) != (row.prompt, row.history)
        for row, request in zip(rows, first_requests, strict=True)
    )
    return Questions(generate, choose, shortened)


def choice_requests(rows: Sequence[Prompted], encoder: Encoder) -> list[Request]:
    """The requests for the likelihoods of all rows' choices.

    Raises:
        InputError: a row has none, or does not fit the model; InputErrors for several.
    """
    return [request for request in _choose(rows, encoder, required=True) if request is not None]


def _choose(rows: Sequence[Prompted], encoder: Encoder, *, required: bool) -> tuple[Request | None, ...]:
    """For each row the request for the likelihoods of its choices; None without choices, where they are not required."""
    if required:
        raise_all(
            "rows without choices", [_no_choices(row) for row in rows if not row.choices][:MAX_MISTAKES]
        )
    numbered = [(number, row) for number, row in enumerate(rows, 1) if row.choices]
    lengths = [max(len(encoder.completion_ids(choice)) for choice in row.choices) for _, row in numbered]
    prompts = _fitted([row for _, row in numbered], lengths, encoder)
    requests = {
        row.id: Request(
            str(number), "choose", prompts[row.id][0], choices=row.choices, history=prompts[row.id][1]
        )
        for number, row in numbered
    }
    return tuple(requests.get(row.id) for row in rows)


def _fitted(
    rows: Sequence[Prompted], new_tokens: Sequence[int], encoder: Encoder
) -> dict[str, tuple[str, History]]:
    """By row id the prompt and its history, shortened where the answer would have no room behind it.

    Raises:
        InputErrors: rows do not fit even so.
    """
    prompts = list(encoder.fit_prompts(zip(rows, new_tokens, strict=True)))
    errors = [_misfit(prompt) for prompt in prompts if isinstance(prompt, InputError)]
    raise_all("rows that do not fit the model", errors[:MAX_MISTAKES])
    return {
        row.id: prompt
        for row, prompt in zip(rows, prompts, strict=True)
        if not isinstance(prompt, InputError)
    }


def _refuse_sampling(decoding: Decoding) -> None:
    stated = {"temperature": decoding.temperature, "max_new_tokens": decoding.max_new_tokens}
    for name, value in stated.items():
        if value:
            raise InputError(
                "the task's answers are chosen from the row's choices, and no text is generated",
                where=name,
                found=f"{value:g}",
                expected="no settings of generated text",
                fix=f"leave {name} out",
            )


def _check_room(new_tokens: int, encoder: Encoder) -> None:
    if not encoder.encoder_decoder and new_tokens >= encoder.max_length:
        raise InputError(
            "the answers may be so long that no room is left for a prompt",
            where="max_new_tokens",
            found=f"{new_tokens}, of {encoder.max_length} tokens in all",
            expected=f"fewer than {encoder.max_length}",
            fix=f"ask for fewer, such as {max(1, encoder.max_length // 4)}",
        )


def _no_choices(row: Prompted) -> InputError:
    return InputError(
        "the row has no choices to choose from",
        where=str(row.origin),
        found=f"a prompt of {row.template}",
        expected="a task with labels or options, or choices that are stated",
        fix="fill the row's choices, or state them",
    )


def _misfit(error: InputError) -> InputError:
    """The error of a row that does not fit, with advice for rows that are answered and not learned."""
    return InputError(
        error.problem,
        where=error.where,
        found=error.found,
        expected=error.expected,
        fix="shorten the row, or ask for fewer new tokens",
    )
