"""How many tokens the texts of a data file have: counted by the model's tokenizer where it is at hand, else estimated high."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tutelage.config.tune_block import Tune
from tutelage.core.types import Prompted
from tutelage.models import bundled

MODEL = "smollm2-135m-instruct"
"""The model of the recipes that `init` writes."""
LETTERS_PER_TOKEN = 3
"""A low estimate for European words, so that lengths come out high."""
_COUNTED = 2000
"""So many of the longest texts are counted; the others are shorter by the estimate."""
_CHAT_TOKENS = 64
"""A chat template adds fewer: the roles, their marks, a system prompt of its own."""
_TURN_TOKENS = 8
_ANSWER_MARGIN = 1.25
_MAX_ANSWER = 2048
_DEFAULT_LENGTH: int = Tune.model_fields["max_length"].default
_CUT_SHARE = 0.01
"""So many prompts may be cut, where otherwise `max_length` would pass its default."""


@dataclass(frozen=True, slots=True)
class TokenCounter:
    """Counts tokens.

    Attributes:
        count: gives the number of tokens of each text.
        is_exact: whether the model's tokenizer counts; otherwise the numbers are estimates that come out high.
    """

    count: Callable[[Sequence[str]], list[int]]
    is_exact: bool


@dataclass(frozen=True, slots=True)
class Lengths:
    """The lengths that a recipe sets, in tokens.

    Attributes:
        longest_row, longest_answer: of the rows that fit; an answer without its end token.
        max_length, max_new_tokens: the recipe's settings.
        cut_prompts: how many rows have a prompt that `max_length` cuts.
        cut_answers: how many references have more than `max_new_tokens`.
        unfit: how many rows have an answer that the model does not hold; they are left out.
        is_exact: whether the model's tokenizer counted.
    """

    longest_row: int
    longest_answer: int
    max_length: int
    max_new_tokens: int
    cut_prompts: int
    cut_answers: int
    unfit: int
    is_exact: bool


def token_counter() -> TokenCounter:
    """The tokenizer of `MODEL` if the model is in the cache; otherwise an estimate. Nothing is fetched."""
    spec = bundled.find(MODEL)
    if not bundled.is_cached(spec):
        return TokenCounter(lambda texts: [estimated_tokens(text) for text in texts], is_exact=False)
    return TokenCounter(_tokenizer_counts(spec.folder / "tokenizer.json"), is_exact=True)


def estimated_tokens(text: str) -> int:
    """An estimate that comes out high for every script.

    A third of the ASCII letters; a token for each digit and sign, as some tokenizers part them; and one for each byte of other
    characters, which is the most that a byte-level vocabulary needs.
    """
    letters = sum(char.isascii() and char.isalpha() for char in text)
    signs = sum(char.isascii() and not char.isalpha() and not char.isspace() for char in text)
    line_breaks = text.count("\n")
    others = len(text.encode("utf-8", "surrogatepass")) - sum(char.isascii() for char in text)
    return -(-letters // LETTERS_PER_TOKEN) + signs + line_breaks + others


def measure(rows: Sequence[Prompted], counter: TokenCounter) -> Lengths:
    """Measure rows, and set the lengths that hold all answers and nearly all prompts.

    Args:
        rows: the rows of a file.
        counter: counts their tokens.
    """
    context = bundled.find(MODEL).context
    answers = _counts([row.completion for row in rows], counter)
    systems = _counts([_system(row) for row in rows], counter)
    prompts = _counts([_whole_prompt(row) for row in rows], counter)
    # What is never cut: the answer, and the system prompt before it.
    fixed = [answer + system + _CHAT_TOKENS for answer, system in zip(answers, systems, strict=True)]
    fitting = [index for index, size in enumerate(fixed) if size <= context] or list(range(len(rows)))
    sizes = sorted(
        prompts[index] + answers[index] + _CHAT_TOKENS + _TURN_TOKENS * len(rows[index].history)
        for index in fitting
    )
    longest_answer = max(answers[index] for index in fitting)
    nearly_all = sizes[max(0, len(sizes) - 1 - int(_CUT_SHARE * len(sizes)))]
    needed = sizes[-1] if sizes[-1] <= _DEFAULT_LENGTH else nearly_all
    floor = max(128, min(context, _power_of_two(max(fixed[index] for index in fitting))))
    max_length = max(floor, min(_DEFAULT_LENGTH, _power_of_two(needed)))
    max_new_tokens = min(_MAX_ANSWER, max(8, _multiple_of_8(int(longest_answer * _ANSWER_MARGIN) + 1)))
    return Lengths(
        longest_row=sizes[-1],
        longest_answer=longest_answer,
        max_length=max_length,
        max_new_tokens=max_new_tokens,
        cut_prompts=sum(size > max_length for size in sizes),
        cut_answers=sum(answers[index] >= max_new_tokens for index in fitting),
        unfit=sum(size > max_length for size in fixed),
        is_exact=counter.is_exact,
    )


def _tokenizer_counts(path: Path) -> Callable[[Sequence[str]], list[int]]:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))

    def count(texts: Sequence[str]) -> list[int]:
        encodings = tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [len(encoding.ids) for encoding in encodings]

    return count


def _counts(texts: Sequence[str], counter: TokenCounter) -> list[int]:
    """The tokens of each text: the longest are counted, and the others estimated, but not above the shortest counted."""
    estimates = [estimated_tokens(text) for text in texts]
    if not counter.is_exact:
        return estimates
    order = sorted(range(len(texts)), key=estimates.__getitem__, reverse=True)
    counted = order[:_COUNTED]
    result = list(estimates)
    for index, tokens in zip(counted, counter.count([texts[index] for index in counted]), strict=True):
        result[index] = tokens
    limit = max((result[index] for index in counted), default=0)
    for index in order[_COUNTED:]:
        result[index] = min(result[index], limit)
    return result


def _whole_prompt(row: Prompted) -> str:
    return "\n".join([*(content for _, content in row.history), row.prompt])


def _system(row: Prompted) -> str:
    return "\n".join(content for role, content in row.history if role == "system")


def _multiple_of_8(number: int) -> int:
    return -(-number // 8) * 8


def _power_of_two(number: int) -> int:
    return 1 << (number - 1).bit_length()
