"""The generation settings of lm-eval's tasks: greedy ones are read, others refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tutelage.core.errors import InputError, raise_all
from tutelage.core.strictjson import shorten

MAX_NEW_TOKENS = 256
"""Where a task does not say how long its answers may be (lm_eval/models/huggingface.py, max_gen_toks)."""
_LENGTHS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
"""Names of the limit; the first one that is set counts (lm_eval/models/utils.py, normalize_gen_kwargs)."""
_NEUTRAL: Mapping[str, Any] = {"num_beams": 1, "repetition_penalty": 1.0, "num_return_sequences": 1}
"""Settings with the value that leaves greedy generation as it is."""
_SAMPLING_ONLY = ("top_p", "top_k", "min_p", "typical_p")
"""Settings that only sampling reads."""
_FIX = "run this task with lm-eval's own hf backend, or change its generation_kwargs (--gen_kwargs of lm-eval's command)"


@dataclass(frozen=True, slots=True)
class GenerationSettings:
    """How long a greedy answer may be, and the texts that end it."""

    max_new_tokens: int
    stop: tuple[str, ...]


def read_settings(values: Mapping[str, Any], *, where: str) -> GenerationSettings:
    """Read a task's `generation_kwargs`.

    Args:
        values: by lm-eval's names.
        where: the task, for errors.

    Raises:
        InputError: the task samples, searches with beams, or sets what has no meaning here; InputErrors for several.
    """
    errors = []
    until = values.get("until") or []
    stop = [until] if isinstance(until, str) else until
    if not isinstance(stop, list | tuple) or not all(isinstance(text, str) and text for text in stop):
        errors.append(_refusal(where, "until", until, "a text, or a list of texts that are not empty"))
    length = next((values[name] for name in _LENGTHS if values.get(name) is not None), MAX_NEW_TOKENS)
    if isinstance(length, bool) or not isinstance(length, int) or length < 1:
        errors.append(_refusal(where, "max_gen_toks", length, "a whole number from 1"))
    errors += _sampling_mistakes(values, where)
    for name in sorted(values.keys() - {"until", "do_sample", "temperature", *_LENGTHS, *_SAMPLING_ONLY}):
        if name not in _NEUTRAL or values[name] != _NEUTRAL[name]:
            expected = f"{_NEUTRAL[name]}" if name in _NEUTRAL else f"until, {_LENGTHS[0]}, do_sample: false"
            errors.append(_refusal(where, name, values[name], expected))
    raise_all(where, errors)
    return GenerationSettings(length, tuple(stop))


def _sampling_mistakes(values: Mapping[str, Any], where: str) -> list[InputError]:
    sampled, temperature = values.get("do_sample"), values.get("temperature") or 0.0
    if sampled is False:  # greedy, whatever the temperature
        return []
    if sampled:
        return [_refusal(where, "do_sample", sampled, "false: answers are greedy")]
    if not isinstance(temperature, int | float) or temperature != 0:
        return [_refusal(where, "temperature", temperature, "0: answers are greedy")]
    return []


def _refusal(where: str, name: str, value: Any, expected: str) -> InputError:
    return InputError(
        "the task generates in a way that Tutelage does not offer",
        where=f"{where}: generation_kwargs.{name}",
        found=shorten(repr(value)),
        expected=expected,
        fix=_FIX,
    )
