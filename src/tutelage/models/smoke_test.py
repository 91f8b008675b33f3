"""Tries a tokenizer on one text and a model on some forward passes when they are loaded, to find damaged files early.

Settings can be readable and still fail in use: heads that do not divide the width, a merge that panics, ids beyond the
vocabulary. Here that is an error that names the folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tutelage.core.errors import InputError
from tutelage.models.library_calls import SAVE_AGAIN, library_errors, quiet

PROBLEM = "the model's files load, but the model cannot answer"
TEXT = "Hello, what does it cost? 12\n"
HARD_TEXT = (
    TEXT
    + "".join(map(chr, range(9, 127)))
    + " \u00e9\u00df\u20ac\u0416\u4e2d\u0639\u0939\u0e01\ud55c\U0001f600\u200d\ufeff"
)
"""All of ASCII and some of other scripts, on which a vocabulary without an unknown token may fail."""
_ROUNDING = 4.0
"""Units in the last place of the weights' type by which two passes of one shape may differ, whatever kernels they use."""
_ROLES = ("bos_token", "eos_token", "unk_token", "pad_token")


def check_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Encode and decode a text, to see that the tokenizer works.

    Args:
        tokenizer: as loaded.
        folder: the model's folder, or its GGUF file, for the error.

    Raises:
        InputError: it has no fast form, fails, or its settings have other types than they must have.
    """
    if getattr(tokenizer, "backend_tokenizer", None) is None:
        raise InputError(
            "the tokenizer has no fast form, which the ids of words and their places in a text need",
            where=str(folder),
            found=type(tokenizer).__name__,
            expected="a tokenizer of the package tokenizers, such as tokenizer.json holds",
            fix="use a model whose tokenizer has one",
        )
    with library_errors("the tokenizer does not work", folder, fix=SAVE_AGAIN), quiet():
        tokenizer.decode(tokenizer(HARD_TEXT)["input_ids"])
        tokenizer.decode(list(range(min(len(tokenizer.get_vocab()), 1000))))
        for role in _ROLES:
            getattr(tokenizer, f"{role}_id")
    longest = tokenizer.model_max_length
    if isinstance(longest, bool) or not isinstance(longest, int | float) or not longest >= 1:
        raise InputError(
            "the setting is no number of tokens",
            where=str(folder / "tokenizer_config.json" if folder.is_dir() else folder),
            found=f"model_max_length: {longest!r}"[:200],
            expected="a positive number",
            fix="correct it, or remove it: the model's own limit holds then",
        )


def check_model(model: Any, tokenizer: Any, place: Path) -> None:
    """Run the model on a few tokens, to see that it answers.

    Args:
        model: loaded, its end and padding tokens settled.
        tokenizer: its tokenizer.
        place: the model's folder or file, for the error.

    Raises:
        InputError: the model fails, or its logits are not numbers.
        MachineError: not enough memory.
    """
    import torch

    with (
        library_errors(PROBLEM, place, fix=SAVE_AGAIN),
        torch.no_grad(),
    ):
        ids = torch.tensor([tokenizer(TEXT)["input_ids"] or [0]], device=model.device)
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        if model.config.is_encoder_decoder:
            inputs["decoder_input_ids"] = ids.new_tensor([[model.config.decoder_start_token_id]])
        has_nan = bool(torch.isnan(model(**inputs).logits).any())
    if has_nan:
        raise InputError(
            "the model's logits are not numbers",
            where=str(place),
            found="NaN for a short text",
            expected="finite weights, in a type that holds what they compute",
            fix="fetch the model again; if it was tuned, its tuning diverged: take an earlier state of it",
        )


def require_causal(model: Any, *, where: str) -> None:
    """Refuse a model whose predictions depend on later tokens: it would see the tokens that it is to predict.

    Encoders with a language-model head (RoBERTa without `is_decoder`) are such; training would teach them to copy.

    Args:
        model: in evaluation mode, without virtual tokens.
        where: the model's name or path, for the error.

    Raises:
        InputError: the last token changes the logits before it.
    """
    import torch

    n_tokens = min(model.config.get_text_config().vocab_size, 64)
    with torch.inference_mode():
        first, second = (_logits(model, [n % n_tokens for n in (3, 5, 8, last)]) for last in (13, 21))
    difference, norm = (first - second).norm(), first.norm()
    tolerance = max(1e-5, _ROUNDING * torch.finfo(model.dtype).eps)
    if difference <= tolerance * norm or not bool(norm.isfinite()):
        return
    raise InputError(
        "the model is not a causal language model: what it predicts for a token depends on the tokens behind it",
        where=where,
        found=f"{type(model).__name__}, {float(difference / norm):.1e} of the logits change with the last token",
        expected="a decoder-only or encoder-decoder language model",
        fix="name a causal model; if the family has a decoder mode, set it in config.json (is_decoder: true)",
    )


def _logits(model: Any, ids: list[int]) -> Any:
    """Logits for all tokens but the last, (T - 1, V), in fp32."""
    import torch

    tokens = torch.tensor([ids], device=model.device)
    inputs = {"input_ids": tokens}
    if model.config.is_encoder_decoder:
        inputs = {"input_ids": tokens[:, :1], "decoder_input_ids": tokens}
    return model(**inputs, use_cache=False).logits[0, :-1].float()
