"""Which tokens end an answer and which one pads, settled once and written the same everywhere.

A padding token that is also an end token makes `generate` stop at once in other programs, or makes training hide
the end of turn from the loss (huggingface/transformers issue 48016 lost a whole benchmark to it).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tutelage.core.errors import InputError

_IDS = (
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "decoder_start_token_id",
    "forced_bos_token_id",
    "forced_eos_token_id",
)
_SEVERAL = ("eos_token_id", "forced_eos_token_id")
PAD_NAMES = ("<pad>", "[PAD]", "<|pad|>", "<|finetune_right_pad_id|>", "<|endoftext|>")
"""Tokens that exist to pad, or that stand in no chat, in the order in which they are tried."""


def check_ids(settings: Any, path: Path) -> None:
    """Refuse ids of tokens that are no numbers.

    Args:
        settings: transformers' config or generation settings; None where the model has none.
        path: the file that they come from, for the error.

    Raises:
        InputError: with the name of the setting.
    """
    for name in _IDS:
        value = getattr(settings, name, None)
        values = value if isinstance(value, list) and name in _SEVERAL else [value]
        for item in values:
            if item is not None and type(item) is not int:
                raise InputError(
                    "the setting is no id of a token",
                    where=str(path),
                    found=f"{name}: {value!r}"[:200],
                    expected="a whole number" + (", or a list of them" if name in _SEVERAL else ""),
                    fix="correct it, or fetch the model again",
                )


def check_positions(config: Any, path: Path) -> None:
    """Refuse a model without room for a token, or an encoder-decoder that does not say with which token it starts.

    Args:
        config: transformers' config.
        path: the file that it comes from, for the error.

    Raises:
        InputError: with the name of the setting.
    """
    longest = getattr(config, "max_position_embeddings", None)
    if isinstance(longest, int) and longest < 1:
        raise InputError(
            "the model has room for no token",
            where=str(path),
            found=f"max_position_embeddings: {longest}"[:200],
            expected="a positive number",
            fix="correct it, or fetch the model again",
        )
    if config.is_encoder_decoder and getattr(config, "decoder_start_token_id", None) is None:
        raise InputError(
            "nothing says with which token the model starts an answer",
            where=str(path),
            found="no decoder_start_token_id",
            expected="the id of a token",
            fix="correct it, or fetch the model again",
        )


def end_ids(generation_eos: int | list[int] | None, tokenizer: Any) -> tuple[int, ...]:
    """The ids that end an answer: the tokenizer's end token first, then what the model's settings add."""
    stated = generation_eos if isinstance(generation_eos, list) else [generation_eos]
    ids = [tokenizer.eos_token_id, *stated]
    return tuple(dict.fromkeys(int(i) for i in ids if i is not None))


def settle_padding(tokenizer: Any, ends: tuple[int, ...]) -> int | None:
    """Give the tokenizer a padding token that does not end answers; its id, or None when there is none.

    Its own is kept when it is not an end token. Else the unknown token (a byte-level tokenizer never
    writes it), else a token by one of the usual names. Nothing is added to the vocabulary: that would
    change the model's size.
    """
    vocabulary = tokenizer.get_vocab()
    names = [tokenizer.pad_token, tokenizer.unk_token, *PAD_NAMES]
    for name in names:
        if name is not None and name in vocabulary and vocabulary[name] not in ends:
            tokenizer.pad_token = name
            return int(vocabulary[name])
    tokenizer.pad_token = None
    return None


def settle(model: Any, tokenizer: Any) -> None:
    """Make model, its generation settings and its tokenizer agree, with plain greedy decoding as the default.

    Kept of the model's own generation settings: which ids begin, end and pad, and what an encoder-decoder
    model must start or end with. Sampling, beams and penalties are dropped: answers are compared greedily,
    and the saved model shall give the same ones.
    """
    from transformers import GenerationConfig

    own = model.generation_config
    eos = own.eos_token_id if own.eos_token_id is not None else model.config.eos_token_id
    ends, pad = settle_tokenizer(tokenizer, eos, model.config)
    keep = {
        name: getattr(own, name, None)
        for name in ("bos_token_id", "decoder_start_token_id", "forced_bos_token_id", "forced_eos_token_id")
    }
    model.generation_config = GenerationConfig(
        eos_token_id=ends[0] if len(ends) == 1 else list(ends) or None,
        pad_token_id=pad,
        **{name: value for name, value in keep.items() if value is not None},
    )
    if ends:
        model.config.eos_token_id = model.generation_config.eos_token_id
    if pad is not None or not model.config.is_encoder_decoder:
        model.config.pad_token_id = pad


def settle_tokenizer(
    tokenizer: Any, eos: int | list[int] | None, config: Any
) -> tuple[tuple[int, ...], int | None]:
    """The tokenizer's share of `settle`: padding and the longest text; gives the ids that end and the one that pads."""
    ends = end_ids(eos, tokenizer)
    pad = settle_padding(tokenizer, ends)
    longest = getattr(config, "max_position_embeddings", None)
    if isinstance(longest, int) and tokenizer.model_max_length > longest:
        tokenizer.model_max_length = longest
    return ends, pad
