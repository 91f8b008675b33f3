"""Low-rank adapters (LoRA, Hu et al. 2021, arXiv 2106.09685) through peft: put on, switched off, merged."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tutelage.core import seeds
from tutelage.core.errors import InputError, nearest
from tutelage.models.load import LoadedModel
from tutelage.models.quiet import quiet

ALL_LINEAR = "all-linear"


def add_lora(
    loaded: LoadedModel,
    *,
    rank: int,
    alpha: float,
    dropout: float,
    targets: str | Sequence[str] = ALL_LINEAR,
    seed: int,
) -> LoadedModel:
    """Put a fresh adapter on a model; only the adapter can be trained afterwards, and it begins as no change.

    The model inside `loaded` is changed (its linear layers are wrapped); use only what is returned.

    Args:
        loaded: a model without an adapter.
        rank: of the two factors.
        alpha: the change is scaled by alpha / rank.
        dropout: on the adapter's input, in training.
        targets: names of layers (the last part of a module's name, or several parts), or `all-linear`: every
            linear layer but the output layer.
        seed: the factors are drawn from this alone; the global generator is as before.

    Raises:
        InputError: a name that no linear layer bears.
    """
    import torch
    from peft import LoraConfig, TaskType, get_peft_model

    wanted: str | list[str] = ALL_LINEAR if targets == ALL_LINEAR else _checked_targets(loaded.model, targets)
    config = LoraConfig(
        task_type=TaskType.SEQ_2_SEQ_LM if loaded.encoder_decoder else TaskType.CAUSAL_LM,
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=wanted,
    )
    with torch.random.fork_rng(), quiet():
        torch.manual_seed(seeds.derive(seed, "lora"))
        model = get_peft_model(loaded.model, config)
    return dataclasses.replace(loaded, model=model, adapter=True)


def target_names(model: Any) -> list[str]:
    """The last parts of the names of all linear layers: what `targets` may name."""
    import torch

    linear = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    return sorted({name.rpartition(".")[2] for name in linear})


def _checked_targets(model: Any, targets: str | Sequence[str]) -> list[str]:
    """The names, each of which must match: peft ignores those that match nothing as long as one does."""
    import torch

    wanted = [targets] if isinstance(targets, str) else list(targets)
    linear = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    known = target_names(model)
    for target in wanted:
        if not any(name == target or name.endswith(f".{target}") for name in linear):
            close = nearest(target, known)
            raise InputError(
                "the model has no linear layer of this name",
                where="tune.targets",
                found=target,
                expected=f"{ALL_LINEAR}, or some of: {', '.join(known)}",
                fix=f"did you mean {close}?" if close else "name layers of this model",
            )
    return wanted


@contextmanager
def adapter_off(loaded: LoadedModel) -> Iterator[None]:
    """While the block runs the model answers as its base does, from the same weights."""
    if not loaded.adapter:
        raise InputError(
            "the model has no adapter that could be switched off",
            found=loaded.name,
            fix="load the base model by its own name",
        )
    with loaded.model.disable_adapter():
        yield


def merge(loaded: LoadedModel) -> LoadedModel:
    """The same model with the adapter added into its weights; `loaded` stays as it is.

    Layers without an adapter share their memory with `loaded`: do not train it while both are in use. Sums are
    rounded once more than with the adapter apart, so logits agree to about 1e-5 in fp32, not bit for bit.
    """
    import torch

    if not loaded.adapter:
        return loaded
    wrapped = loaded.model
    # New parameters over the same memory: merging then replaces the memory of the copy's parameters only.
    shared: dict[int, Any] = {
        id(p): torch.nn.Parameter(p.data, requires_grad=p.requires_grad) for p in wrapped.parameters()
    }
    with quiet(), torch.no_grad():
        plain = copy.deepcopy(wrapped, shared).merge_and_unload(safe_merge=True)
    for parameter in plain.parameters():
        parameter.requires_grad_(requires_grad=True)
    plain.generation_config = copy.deepcopy(wrapped.generation_config)
    plain.eval()
    return dataclasses.replace(loaded, model=plain, adapter=False)
