"""Checks that a model is causal: later tokens must not change what it predicts for earlier ones."""

from __future__ import annotations

from typing import Any

from tutelage.core.errors import InputError

_ROUNDING = 4.0
"""Units in the last place of the weights' type by which two passes of one shape may differ, whatever kernels they use."""


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
