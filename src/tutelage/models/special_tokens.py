"""Makes a model, its generation settings and its tokenizer agree on the tokens that end answers and that pad.

A padding token that is also an end token makes `generate` stop at once in other programs, or makes training mask
the end of turn from the loss (huggingface/transformers issue 48016 lost a whole benchmark to it).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tutelage.core.errors import InputError

_ID_SETTINGS = (
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "decoder_start_token_id",
    "forced_bos_token_id",
    "forced_eos_token_id",
)
_LISTS = ("eos_token_id", "forced_eos_token_id")
PAD_NAMES = ("<pad>", "[PAD]", "<|pad|>", "<|finetune_right_pad_id|>", "<|endoftext|>")
"""Tokens that exist to pad, or that no chat contains, in the order in which they are tried."""


def check_settings(config: Any, generation: Any, folder: Path) -> None:
    """Refuse a model whose settings of special tokens or positions are unusable.

    Args:
        config: transformers' config.
        generation: transformers' generation settings; None where the model has none.
        folder: the model's, for the error.

    Raises:
        InputError: with the name of the setting.
    """
    _check_ids(generation, folder / "generation_config.json")
    _check_ids(config, folder / "config.json")
    check_positions(config, folder / "config.json")


def _check_ids(settings: Any, path: Path) -> None:
    """Refuse settings of token ids that are no numbers."""
    for name in _ID_SETTINGS:
        value = getattr(settings, name, None)
        values = value if isinstance(value, list) and name in _LISTS else [value]
        for token in values:
            if token is not None and type(token) is not int:
                raise InputError(
                    "the setting is no id of a token",
                    where=str(path),
                    found=f"{name}: {value!r}"[:200],
                    expected="a whole number" + (", or a list of them" if name in _LISTS else ""),
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
    positions = getattr(config, "max_position_embeddings", None)
    if isinstance(positions, int) and positions < 1:
        raise InputError(
            "the model has room for no token",
            where=str(path),
            found=f"max_position_embeddings: {positions}"[:200],
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


def eos_ids(generation_eos: int | list[int] | None, tokenizer: Any) -> tuple[int, ...]:
    """The ids that end an answer: the tokenizer's end token first, then those of the generation settings."""
    ids = generation_eos if isinstance(generation_eos, list) else [generation_eos]
    return tuple(dict.fromkeys(int(i) for i in (tokenizer.eos_token_id, *ids) if i is not None))


def choose_pad_token(tokenizer: Any, ends: tuple[int, ...]) -> int | None:
    """Give the tokenizer a padding token that does not end answers; return its id, or None when there is none.

    Its own stays when it is not an end token. Else it is the unknown token (a byte-level tokenizer never
    produces it), else a token with one of the usual names. Nothing is added to the vocabulary: that would
    change the model's size.
    """
    vocabulary = tokenizer.get_vocab()
    for name in (tokenizer.pad_token, tokenizer.unk_token, *PAD_NAMES):
        if name is not None and name in vocabulary and vocabulary[name] not in ends:
            tokenizer.pad_token = name
            return int(vocabulary[name])
    tokenizer.pad_token = None
    return None


def settle(model: Any, tokenizer: Any) -> None:
    """Make a model, its generation settings and its tokenizer agree, with plain greedy decoding as the default.

    The model's own generation settings stay where they say which ids begin, end and pad, and what an encoder-decoder
    model must start or end with. Sampling, beams and penalties are dropped: answers are compared greedily,
    and the saved model must give the same ones.
    """
    from transformers import GenerationConfig

    generation = model.generation_config
    eos = generation.eos_token_id if generation.eos_token_id is not None else model.config.eos_token_id
    ends, pad = settle_tokenizer(tokenizer, eos, model.config)
    fixed_ids = {
        name: getattr(generation, name, None)
        for name in ("bos_token_id", "decoder_start_token_id", "forced_bos_token_id", "forced_eos_token_id")
    }
    model.generation_config = GenerationConfig(
        eos_token_id=ends[0] if len(ends) == 1 else list(ends) or None,
        pad_token_id=pad,
        **{name: value for name, value in fixed_ids.items() if value is not None},
    )
    if ends:
        model.config.eos_token_id = model.generation_config.eos_token_id
    if pad is not None or not model.config.is_encoder_decoder:
        model.config.pad_token_id = pad


def settle_tokenizer(
    tokenizer: Any, eos: int | list[int] | None, config: Any
) -> tuple[tuple[int, ...], int | None]:
    """Do the tokenizer's part of `settle`, padding and the length limit; return the end ids and the padding id."""
    ends = eos_ids(eos, tokenizer)
    pad = choose_pad_token(tokenizer, ends)
    positions = getattr(config, "max_position_embeddings", None)
    if isinstance(positions, int) and tokenizer.model_max_length > positions:
        tokenizer.model_max_length = positions
    return ends, pad
