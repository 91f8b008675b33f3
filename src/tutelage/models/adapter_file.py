"""Adapters from their files onto a base model: the tensors must be exactly those that the settings make on this base.

peft loads what fits and passes over the rest, and reads adapter_model.bin where there are no safetensors. Here the one
file adapter_model.safetensors is read, and each of its tensors is checked by name, shape, type and value.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tutelage.core.errors import InputError
from tutelage.models import folders, settings_limits
from tutelage.models.library_calls import SAVE_AGAIN, reading
from tutelage.models.quiet import quiet
from tutelage.models.weights import FLOATS, check_finite, some

_SETTINGS = "adapter_config.json"
_CHANGES_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")
"""Ways to begin LoRA that take the first factors out of the base's weights."""
_MISFIT = "the adapter does not fit its base model"


def put_on(model: Any, folder: Path) -> Any:
    """Load an adapter onto a base model.

    Args:
        model: the transformers model; its layers are wrapped.
        folder: adapter_config.json and adapter_model.safetensors.

    Returns:
        The peft model, frozen and in evaluation mode.

    Raises:
        InputError: settings that peft does not know or that are for another kind of model; tensors that are missing,
            unexpected, of another shape or type than the settings make on this base, or not finite.
    """
    import torch
    from peft import get_peft_model

    config = _settings(model, folder)
    with torch.random.fork_rng(devices=[]), quiet(), reading(_MISFIT, folder, fix=SAVE_AGAIN):
        wrapped = get_peft_model(model, config)
    _fill(wrapped, folder, "default")
    return wrapped.eval()


def put_beside(wrapped: Any, folder: Path, name: str) -> None:
    """Load another adapter of the same base beside those of a peft model; it is not made the active one.

    Raises:
        InputError: as `put_on`.
    """
    import torch

    config = _settings(wrapped.get_base_model(), folder)
    with torch.random.fork_rng(devices=[]), quiet(), reading(_MISFIT, folder, fix=SAVE_AGAIN):
        wrapped.add_adapter(name, config)
    _fill(wrapped, folder, name)
    wrapped.eval()


def tokens(wrapped: Any) -> list[int]:
    """The ids for which an adapter has embeddings of its own (`trainable_token_indices`)."""
    stated = getattr(wrapped.active_peft_config, "trainable_token_indices", None) or []
    lists = stated.values() if isinstance(stated, dict) else [stated]
    return sorted({int(number) for numbers in lists for number in numbers})


def _settings(model: Any, folder: Path) -> Any:
    """The adapter's settings as peft's configuration, for answering."""
    from peft import PeftConfig

    _check_settings(
        folders.read_json(folder / _SETTINGS), folder, pairs=bool(model.config.is_encoder_decoder)
    )
    with quiet(), reading("the adapter's settings could not be read", folder, fix=SAVE_AGAIN):
        config = PeftConfig.from_pretrained(str(folder), local_files_only=True)
    names = [name for name, _ in model.named_modules()]
    settings_limits.check_patterns(folder / _SETTINGS, folders.read_json(folder / _SETTINGS), names)
    config.inference_mode = True
    return config


def _check_settings(stated: dict[str, Any], folder: Path, *, pairs: bool) -> None:
    """Refuse settings with which the adapter would become another one than it was when it was trained."""
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

    place = str(folder / _SETTINGS)
    kind = PEFT_TYPE_TO_CONFIG_MAPPING.get(str(stated.get("peft_type")))
    if kind is None:
        raise InputError(
            "the adapter does not say of which kind it is", where=place, found="no known peft_type"
        )
    fields = set(kind.__dataclass_fields__) | {"runtime_config"}
    if unknown := [key for key, value in stated.items() if key not in fields and value]:
        raise InputError(
            "the installed peft does not know a setting of the adapter and would leave it out",
            where=place,
            found=", ".join(f"{key}: {stated[key]}"[:80] for key in sorted(unknown)[:4]),
            fix="install the peft that wrote it, or remove the setting where it is a mistake",
        )
    expected = "SEQ_2_SEQ_LM" if pairs else "CAUSAL_LM"
    task = stated.get("task_type")
    if task not in (None, expected):
        raise InputError(
            "the adapter was trained for another kind of model than its base",
            where=place,
            found=f"task_type: {task}",
            expected=expected,
            fix="name the base that it was trained on",
        )
    if stated.get("alora_invocation_tokens"):
        raise InputError(
            "the adapter is switched on by certain tokens of a prompt, which is not read",
            where=place,
            found=f"alora_invocation_tokens: {stated['alora_invocation_tokens']}"[:200],
            expected="an adapter that changes every token",
            fix="use an adapter trained without alora_invocation_tokens",
        )
    start = stated.get("init_lora_weights")
    if isinstance(start, str) and start.lower().startswith(_CHANGES_BASE):
        raise InputError(
            "the adapter does not stand on its base's weights, but on what its initialisation left of them",
            where=place,
            found=f"init_lora_weights: {start}",
            expected="an adapter of the base itself",
            fix="convert it with peft: save_pretrained(DIR, path_initial_model_for_weight_conversion=FIRST_ADAPTER)",
        )


def _fill(wrapped: Any, folder: Path, name: str) -> None:
    """Read the adapter's tensors into the peft model, each into its place."""
    from peft import get_peft_model_state_dict, set_peft_model_state_dict
    from safetensors.torch import load_file

    file = folders.weight_files(folder, "adapter_model")[0]
    with quiet(), reading(_MISFIT, folder, fix=SAVE_AGAIN):
        state = load_file(file)
        places = get_peft_model_state_dict(wrapped, adapter_name=name, save_embedding_layers=False)
        embeddings = get_peft_model_state_dict(wrapped, adapter_name=name, save_embedding_layers=True)
        renamed = _renamed(wrapped, state, name)
    _check(renamed, places, embeddings, file)
    copies = renamed.keys() - places.keys()
    _check_copies({key: renamed[key] for key in copies}, embeddings, file)
    state = {key: tensor for key, tensor in state.items() if key not in copies}
    with quiet(), reading(_MISFIT, folder, fix=SAVE_AGAIN):
        set_peft_model_state_dict(wrapped, state, adapter_name=name)
        loaded = get_peft_model_state_dict(wrapped, adapter_name=name, save_embedding_layers=False)
    for key, tensor in loaded.items():
        if not bool((tensor == renamed[key].to(tensor.device, tensor.dtype)).all()):
            raise InputError(
                "peft does not read a tensor of the adapter as it stands", where=str(file), found=key
            )


def _renamed(wrapped: Any, state: dict[str, Any], name: str) -> dict[str, Any]:
    """The tensors under the names of the installed transformers, which puts experts together, for instance."""
    from peft.utils.transformers_weight_conversion import convert_peft_adapter_state_dict_for_transformers

    converted: dict[str, Any] = convert_peft_adapter_state_dict_for_transformers(
        model=wrapped,
        peft_config=wrapped.peft_config[name],
        adapter_state_dict=dict(state),
        adapter_name=name,
    )
    return converted


def _check(state: dict[str, Any], places: dict[str, Any], embeddings: dict[str, Any], file: Path) -> None:
    """Compare the file's tensors with those that the settings make on this base."""
    missing, extra = places.keys() - state.keys(), state.keys() - places.keys() - embeddings.keys()
    if missing or extra:
        lacks = f"no {some(missing)}" if missing else ""
        holds = f"unexpected: {some(extra)}" if extra else ""
        raise InputError(
            "the adapter's tensors are not those that its settings make on this base",
            where=str(file),
            found="; ".join(filter(None, (lacks, holds))),
            expected=f"{len(places)} tensors: {some(places)}",
            fix="save or fetch the adapter again; its settings, its tensors and its base must belong together",
        )
    for key, tensor in sorted(state.items()):
        place = places[key] if key in places else embeddings[key]
        if tensor.shape != place.shape:
            raise _other_shape(key, tensor, place, file, embedding=key not in places)
    types = {str(tensor.dtype).removeprefix("torch.") for tensor in state.values()}
    if strange := types - {"float64", "float32", "float16", "bfloat16"}:
        raise InputError(
            "the adapter's weights are no plain floating-point numbers",
            where=str(file),
            found=", ".join(sorted(strange)),
            expected=", ".join(FLOATS),
            fix="save the adapter again in float32",
        )
    check_finite(state, file)


def _other_shape(key: str, tensor: Any, place: Any, file: Path, *, embedding: bool) -> InputError:
    if embedding:
        return InputError(
            "the adapter brings embeddings for another number of tokens than its base has",
            where=str(file),
            found=f"{key}: {len(tensor):,} rows",
            expected=f"{len(place):,} rows: adapters that resize the vocabulary are not read",
            fix="merge it with peft (AutoPeftModelForCausalLM, merge_and_unload, save_pretrained) and name that folder",
        )
    return InputError(
        "a tensor of the adapter has another shape than its settings make on this base",
        where=str(file),
        found=f"{key}: {list(tensor.shape)}",
        expected=str(list(place.shape)),
        fix="name the base that the adapter was trained on, or save the adapter again",
    )


def _check_copies(copies: dict[str, Any], embeddings: dict[str, Any], file: Path) -> None:
    """Embeddings that peft saved beside the adapter must be the base's: with others there is no base to go back to."""
    for key, tensor in sorted(copies.items()):
        base = embeddings[key]
        if not bool((base.to(tensor.dtype) == tensor.to(base.device)).all()):
            raise InputError(
                "the adapter brings other embeddings than its base has",
                where=str(file),
                found=key,
                expected="the base's own, as peft saves them with an adapter of the embeddings",
                fix="name the base that it was trained on; or merge it with peft and name the merged folder",
            )
