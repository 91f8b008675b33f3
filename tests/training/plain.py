"""What the training tests compare with: one row at a time as transformers and peft take it, and methods put on models."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from pydantic import BaseModel
from torch.overrides import TorchFunctionMode

from tutelage.models import add_adapter
from tutelage.models.load import LoadedModel

Settings = TypeVar("Settings", bound=BaseModel)
PAIRS = ("t5", "t5-v1.1", "mt5", "umt5", "bart", "mbart", "plbart", "pegasus")
BARTS = PAIRS[4:]
OPTIONS = {
    "lora": {"rank": 4},
    "rslora": {"rank": 4},
    "dora": {"rank": 4},
    "ia3": {},
    "oft": {"block_size": 4},
    "prompt-tuning": {"virtual_tokens": 5},
    "prefix-tuning": {"virtual_tokens": 5},
}
FORMS = {
    "one by one": {"micro_batch_tokens": 1},
    "cut": {"micro_batch_tokens": 30},
    "together": {"micro_batch_tokens": 10_000},
    "packed": {"micro_batch_tokens": 50, "packed": True},
}
"""How rows are cut into micro-batches: the same gradients whichever it is."""
BOUND = {torch.float64: 1e-10, torch.float32: 1e-5}


class Double(TorchFunctionMode):
    """Models' own islands of fp32 (norms, softmax) in float64, so that rounding of 1e-7 hides nothing."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function is torch.Tensor.float:
            return args[0].double()
        args = tuple(torch.float64 if a is torch.float32 else a for a in args)
        kwargs = {k: torch.float64 if v is torch.float32 else v for k, v in kwargs.items()}
        return function(*args, **kwargs)


class Words:
    """As much of a tokenizer as a context needs."""

    model_max_length = 10**30


def put_on(model, name, seed=0):
    """The model with the method's weights, moved away from where they begin, so that each of them matters."""
    dtype = next(model.parameters()).dtype
    options = OPTIONS.get(name, {})
    if name == "ia3" and model.config.model_type in (
        "umt5",
        "mbart",
        "plbart",
        "pegasus",
    ):  # peft names no layers
        options = {
            "targets": ["k", "v", "wo"] if model.config.model_type == "umt5" else ["k_proj", "v_proj", "fc2"]
        }
    if name != "full":
        loaded = LoadedModel(model, Words(), model.config.is_encoder_decoder, "x", "x", None, adapter=False)
        model = add_adapter(loaded, name, options, seed=seed).model.to(dtype)
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=draw, dtype=dtype) * 0.05)
    return model.train()


def grads(model):
    """Copies of the gradients of all that is trained."""
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.requires_grad}


def assert_gradients(found, wanted, bound, *, idle):
    """Whether gradients are equal up to a share of each one's size; of names with `idle` at their end, up to that of the largest one."""
    largest = max(gradient.norm().item() for gradient in wanted.values())
    for name, gradient in wanted.items():
        scale = largest if name.endswith(idle) else gradient.norm().item()
        assert (found[name] - gradient).norm().item() <= bound * scale, name


def logits_alone(model, row):
    """One row's logits, its targets and which of them bear loss, at every place that something predicts.

    As transformers and peft compute them: no positions given, all logits, no masks of ours.
    """
    ids = torch.tensor([row.ids])
    if row.source is None:
        logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0]
        return logits[-len(row.ids) :][:-1], ids[0, 1:], torch.tensor(row.loss_mask[1:])
    source = torch.tensor([row.source])
    given = torch.cat([torch.tensor([[model.config.decoder_start_token_id]]), ids[:, :-1]], dim=1)
    mask = torch.ones_like(source)
    logits = model(input_ids=source, attention_mask=mask, decoder_input_ids=given).logits[0]
    return logits, ids[0], torch.tensor(row.loss_mask)


def changed(settings: Settings, **changes: Any) -> Settings:
    """Settings with other values, checked like new ones."""
    return type(settings)(**{**dict(settings), **changes})
