"""Converts a GGUF file to a folder of safetensors, once, so that later starts take seconds.

transformers' GGUF loader dequantises blocks to fp32. Two things that it leaves are corrected here: the quantisation
settings, with which the model could not be saved, and the pre-tokenizer, where the loader does not know the file's
`tokenizer.ggml.pre`.
"""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Collection
from pathlib import Path
from typing import Any

from tutelage.core import yamltext
from tutelage.core.errors import InputError
from tutelage.models import gguf_check, gguf_header, smoke_test
from tutelage.models.gguf_header import GgufHeader
from tutelage.models.library_calls import file_view, library_errors, quiet
from tutelage.models.parameter_budget import limit_parameters
from tutelage.models.special_tokens import check_positions, settle

CONVERTER = 3
"""Raised when the conversion of a user's file changes, so that files which an older Tutelage converted are converted again.
2: files beside the GGUF file change nothing; every tensor is checked both ways. 3: every setting is checked."""
FIX = (
    "fetch the file again; if it is whole, its architecture is one that transformers does not read: "
    "name the same model as safetensors"
)


def convert(path: Path, folder: Path) -> None:
    """Convert a GGUF file into a folder that plain transformers loads.

    The loader sees the file alone: other files in its folder have no influence.

    Args:
        path: the GGUF file.
        folder: an empty folder; it gets config.json, generation_config.json, model.safetensors (fp32), the
            tokenizer and chat_template.jinja.

    Raises:
        InputError: not GGUF, damaged, with tensors too many, too few or of another shape, or of an architecture or
            tokenizer that cannot be read faithfully.
    """
    header = gguf_header.read(path)
    gguf_check.check_settings(header, path)
    with file_view({"model.gguf": path}) as view:
        model, tokenizer = _read(path, view, header)
    _set_pre_tokenizer(tokenizer, header, path)
    for key in ("is_local", "local_files_only", "name_or_path"):
        tokenizer.init_kwargs.pop(key, None)
    settle(model, tokenizer)
    with quiet():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _read(path: Path, view: Path, header: GgufHeader) -> tuple[Any, Any]:
    """The model in fp32, without quantisation settings, and the tokenizer as transformers loads it."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    # The loader's progress bar knows no switch; errors are raised, so nothing else is lost.
    stored = sum(tensor.elements for tensor in header.tensors.values())
    with (
        limit_parameters(path, tensors=len(header.tensors), stored=stored),
        library_errors("the GGUF file could not be read", path, fix=FIX, view=view),
        quiet(),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        loaded, report = AutoModelForCausalLM.from_pretrained(
            view,
            gguf_file="model.gguf",
            dtype=torch.float32,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
        tokenizer = AutoTokenizer.from_pretrained(
            view, gguf_file="model.gguf", local_files_only=True, trust_remote_code=False
        )
    gguf_check.check_weights(header, loaded, report, path)
    check_positions(loaded.config, path)
    smoke_test.check_tokenizer(tokenizer, path)
    smoke_test.check_model(loaded.eval(), tokenizer, path)
    rotary = gguf_check.rotary_factors(header, loaded.config, path)
    config = copy.deepcopy(loaded.config)
    # The other two are a path on this machine and the file's inner title.
    for setting in ("quantization_config", "_name_or_path", "_model_name_or_path"):
        vars(config).pop(setting, None)
    if rotary is not None:
        config.get_text_config().rope_parameters = rotary
    with torch.device("meta"):
        plain = type(loaded)(config)
    plain.load_state_dict(loaded.state_dict(), assign=True)
    plain.tie_weights()
    plain.generation_config = loaded.generation_config
    return plain, tokenizer


def _set_pre_tokenizer(tokenizer: Any, header: GgufHeader, path: Path) -> None:
    """Split text before merging as the file states, or refuse: another split gives ids that the model was not trained on."""
    from tokenizers import pre_tokenizers

    kind, pre_tokenizer = (header.metadata.get(f"tokenizer.ggml.{key}") for key in ("model", "pre"))
    table: dict[str, str] = yamltext.table("tutelage.models", "pretokenizers.yaml")
    split = table.get(str(pre_tokenizer))
    if kind != "gpt2" or pre_tokenizer in _transformers_pre_tokenizers() or split == "gpt2":
        return
    if split != "digits":
        raise InputError(
            "it is not known how this file's tokenizer splits text",
            where=str(path),
            found=f"tokenizer.ggml.pre is {pre_tokenizer!r}",
            expected=f"one of {', '.join(sorted(table))}, or one that transformers knows",
            fix="name the same model as safetensors, by its hub id or a folder",
        )
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )


def _transformers_pre_tokenizers() -> Collection[str]:
    """The pre-tokenizers that transformers' loader sets; older releases set none."""
    try:
        from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS
    except ImportError:
        return ()
    return tuple(GGUF_PRE_TOKENIZER_SPLITS)
