"""Loads adapters onto a base model; their tensors must be exactly those that their settings make on this base.

peft loads what fits and ignores the rest, and reads adapter_model.bin where there are no safetensors. Here only
adapter_model.safetensors is read, and each of its tensors is checked by name, shape, type and value.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tutelage.core.errors import InputError
from tutelage.models import folders, settings_limits
from tutelage.models.folders import name_list
from tutelage.models.library_calls import SAVE_AGAIN, library_errors, quiet
from tutelage.models.weights import FLOATS, check_finite

_SETTINGS = "adapter_config.json"
_CHANGES_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")
"""Initialisations of LoRA that take the first factors out of the base's weights."""
_MISFIT = "the adapter does not fit its base model"


def attach_adapter(model: Any, folder: Path, *, second: str | None = None) -> Any:
    """Load an adapter onto a base model.

    Args:
        model: the transformers model, whose layers are wrapped; for a second adapter, the peft model of the first.
        folder: adapter_config.json and adapter_model.safetensors.
        second: the name of a second adapter, which does not become the active one; None for a first one.

    Returns:
        The peft model, frozen and in evaluation mode.

    Raises:
        InputError: settings that peft does not know or that are for another kind of model; tensors that are missing,
            unexpected, of another shape or type than the settings make on this base, or not finite.
    """
    import torch
    from peft import get_peft_model

    config = _load_config(model.get_base_model() if second else model, folder)
    with torch.random.fork_rng(devices=[]), quiet(), library_errors(_MISFIT, folder, fix=SAVE_AGAIN):
        if second:
            model.add_adapter(second, config)
        else:
            model = get_peft_model(model, config)
    _load_tensors(model, folder, second or "default")
    return model.eval()


def trainable_token_ids(wrapped: Any) -> list[int]:
    """The token ids for which an adapter has embeddings of its own (`trainable_token_indices`)."""
    setting = getattr(wrapped.active_peft_config, "trainable_token_indices", None) or []
    lists = setting.values() if isinstance(setting, dict) else [setting]
    return sorted({int(token) for tokens in lists for token in tokens})


def _load_config(model: Any, folder: Path) -> Any:
    """The adapter's settings as peft's configuration, for inference."""
    from peft import PeftConfig

    settings = folders.read_json(folder / _SETTINGS)
    _check_settings(settings, folder, encoder_decoder=bool(model.config.is_encoder_decoder))
    with quiet(), library_errors("the adapter's settings could not be read", folder, fix=SAVE_AGAIN):
        config = PeftConfig.from_pretrained(str(folder), local_files_only=True)
    names = [name for name, _ in model.named_modules()]
    settings_limits.check_patterns(folder / _SETTINGS, settings, names)
    config.inference_mode = True
    return config


def _check_settings(settings: dict[str, Any], folder: Path, *, encoder_decoder: bool) -> None:
    """Refuse settings with which the loaded adapter would not be the one that was trained."""
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

    where = str(folder / _SETTINGS)
    config_class = PEFT_TYPE_TO_CONFIG_MAPPING.get(str(settings.get("peft_type")))
    if config_class is None:
        raise InputError(
            "the adapter does not say of which kind it is", where=where, found="no known peft_type"
        )
    fields = set(config_class.__dataclass_fields__) | {"runtime_config"}
    if unknown := [key for key, value in settings.items() if key not in fields and value]:
        raise InputError(
            "the installed peft does not know a setting of the adapter and would leave it out",
            where=where,
            found=", ".join(f"{key}: {settings[key]}"[:80] for key in sorted(unknown)[:4]),
            fix="install the peft that wrote it, or remove the setting where it is a mistake",
        )
    expected = "SEQ_2_SEQ_LM" if encoder_decoder else "CAUSAL_LM"
    task = settings.get("task_type")
    if task not in (None, expected):
        raise InputError(
            "the adapter was trained for another kind of model than its base",
            where=where,
            found=f"task_type: {task}",
            expected=expected,
            fix="name the base that it was trained on",
        )
    if settings.get("alora_invocation_tokens"):
        raise InputError(
            "the adapter is switched on by certain tokens of a prompt, which is not read",
            where=where,
            found=f"alora_invocation_tokens: {settings['alora_invocation_tokens']}"[:200],
            expected="an adapter that changes every token",
            fix="use an adapter trained without alora_invocation_tokens",
        )
    initialisation = settings.get("init_lora_weights")
    if isinstance(initialisation, str) and initialisation.lower().startswith(_CHANGES_BASE):
        raise InputError(
            "the adapter changes what its initialisation left of the base's weights, not the base itself",
            where=where,
            found=f"init_lora_weights: {initialisation}",
            expected="an adapter of the base itself",
            fix="convert it with peft: save_pretrained(DIR, path_initial_model_for_weight_conversion=FIRST_ADAPTER)",
        )


def _load_tensors(wrapped: Any, folder: Path, name: str) -> None:
    """Load the adapter's tensors into the peft model."""
    from peft import get_peft_model_state_dict, set_peft_model_state_dict
    from peft.utils.transformers_weight_conversion import convert_peft_adapter_state_dict_for_transformers
    from safetensors.torch import load_file

    file = folders.weight_files(folder, "adapter_model")[0]
    with quiet(), library_errors(_MISFIT, folder, fix=SAVE_AGAIN):
        state = load_file(file)
        expected = get_peft_model_state_dict(wrapped, adapter_name=name, save_embedding_layers=False)
        embeddings = get_peft_model_state_dict(wrapped, adapter_name=name, save_embedding_layers=True)
        # The installed transformers has other names and joins experts, for example.
        renamed: dict[str, Any] = convert_peft_adapter_state_dict_for_transformers(
            model=wrapped,
            peft_config=wrapped.peft_config[name],
            adapter_state_dict=dict(state),
            adapter_name=name,
        )
    _check_tensors(renamed, expected, embeddings, file)
    copies = renamed.keys() - expected.keys()
    state = {key: tensor for key, tensor in state.items() if key not in copies}
    with quiet(), library_errors(_MISFIT, folder, fix=SAVE_AGAIN):
        set_peft_model_state_dict(wrapped, state, adapter_name=name)
        loaded = get_peft_model_state_dict(wrapped, adapter_name=name, save_embedding_layers=False)
    for key, tensor in loaded.items():
        if not bool((tensor == renamed[key].to(tensor.device, tensor.dtype)).all()):
            raise InputError(
                "peft changes a tensor of the adapter while it loads it", where=str(file), found=key
            )


def _check_tensors(
    state: dict[str, Any], expected: dict[str, Any], embeddings: dict[str, Any], file: Path
) -> None:
    """Compare the file's tensors with those that the settings make on this base.

    Embeddings beside the adapter must be the base's: with others, switching it off would not give the base.
    """
    missing = expected.keys() - state.keys()
    unexpected = state.keys() - expected.keys() - embeddings.keys()
    if missing or unexpected:
        messages = [f"no {name_list(missing)}"] if missing else []
        messages += [f"unexpected: {name_list(unexpected)}"] if unexpected else []
        raise InputError(
            "the adapter's tensors are not those that its settings make on this base",
            where=str(file),
            found="; ".join(messages),
            expected=f"{len(expected)} tensors: {name_list(expected)}",
            fix="save or fetch the adapter again; its settings, its tensors and its base must belong together",
        )
    for key, tensor in sorted(state.items()):
        target = expected[key] if key in expected else embeddings[key]
        if tensor.shape != target.shape:
            raise _shape_error(key, tensor, target, file, embedding=key not in expected)
    dtypes = {str(tensor.dtype).removeprefix("torch.") for tensor in state.values()}
    if not_float := dtypes - {"float64", "float32", "float16", "bfloat16"}:
        raise InputError(
            "the adapter's weights are no plain floating-point numbers",
            where=str(file),
            found=", ".join(sorted(not_float)),
            expected=", ".join(FLOATS),
            fix="save the adapter again in float32",
        )
    check_finite(state, file)
    for key in sorted(state.keys() - expected.keys()):
        base, tensor = embeddings[key], state[key]
        if not bool((base.to(tensor.dtype) == tensor.to(base.device)).all()):
            raise InputError(
                "the adapter brings other embeddings than its base has",
                where=str(file),
                found=key,
                expected="the base's own, as peft saves them with an adapter of the embeddings",
                fix="name the base that it was trained on; or merge it with peft and name the merged folder",
            )


def _shape_error(key: str, tensor: Any, target: Any, file: Path, *, embedding: bool) -> InputError:
    if embedding:
        return InputError(
            "the adapter brings embeddings for another number of tokens than its base has",
            where=str(file),
            found=f"{key}: {len(tensor):,} rows",
            expected=f"{len(target):,} rows: adapters that resize the vocabulary are not read",
            fix="merge it with peft (AutoPeftModelForCausalLM, merge_and_unload, save_pretrained) and name that folder",
        )
    return InputError(
        "a tensor of the adapter has another shape than its settings make on this base",
        where=str(file),
        found=f"{key}: {list(tensor.shape)}",
        expected=str(list(target.shape)),
        fix="name the base that the adapter was trained on, or save the adapter again",
    )
