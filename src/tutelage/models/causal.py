"""Whether a model predicts the next token: what stands behind a token must not change what is predicted there."""

from __future__ import annotations

from typing import Any

from tutelage.core.errors import InputError

_ROUNDING = 4.0
"""Units in the last place of the weights' type: two passes of one shape differ by no more, whatever kernel they take."""


def require_causal(model: Any, *, where: str) -> None:
    """Refuse a model whose predictions depend on later tokens: its likelihoods would be of texts it has read already.

    Encoders with a language-model head (RoBERTa without `is_decoder`) are such. A training would teach them to copy.

    Args:
        model: in evaluation mode, without virtual tokens.
        where: what names the model, for the error.

    Raises:
        InputError: the last token changes the logits before it.
    """
    import torch

    top = min(model.config.get_text_config().vocab_size, 64)
    text, other = ([n % top for n in (3, 5, 8, last)] for last in (13, 21))
    with torch.inference_mode():
        first, second = (_logits(model, ids) for ids in (text, other))
    apart, size = (first - second).norm(), first.norm()
    if apart <= max(1e-5, _ROUNDING * torch.finfo(model.dtype).eps) * size or not bool(size.isfinite()):
        return
    raise InputError(
        "the model is not a causal language model: what it predicts for a token depends on the tokens behind it",
        where=where,
        found=f"{type(model).__name__}, {float(apart / size):.1e} of the logits change with the last token",
        expected="a decoder-only or encoder-decoder language model",
        fix="name a causal model; if the family has a decoder mode, set it in config.json (is_decoder: true)",
    )


def _logits(model: Any, ids: list[int]) -> Any:
    """Logits for all tokens but the last, (T - 1, V), in fp32."""
    import torch

    tokens = torch.tensor([ids], device=model.device)
    if model.config.is_encoder_decoder:
        out = model(input_ids=tokens[:, :1], decoder_input_ids=tokens, use_cache=False)
    else:
        out = model(input_ids=tokens, use_cache=False)
    return out.logits[0, :-1].float()
