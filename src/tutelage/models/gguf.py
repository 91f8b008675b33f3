"""GGUF to a plain folder of safetensors: once, so that every later start takes seconds.

Blocks are dequantised to fp32 by transformers' GGUF loader. Two things it leaves are put right here:
the quantisation settings, which would make it refuse to save, and the way the text is cut before merging
where the loader does not know the file's `tokenizer.ggml.pre`.
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
from tutelage.models.endings import settle
from tutelage.models.quiet import quiet

MAGIC = b"GGUF"
TABLE = "pretokenizers.yaml"


def check(path: Path) -> None:
    """Raise InputError unless the file begins as GGUF does."""
    with path.open("rb") as file:
        start = file.read(4)
    if start != MAGIC:
        raise InputError(
            "the file is not GGUF",
            where=str(path),
            found=f"it begins with {start!r}",
            expected=f"it begins with {MAGIC!r}",
            fix="fetch the file again: a download that ended early or a page saved in its place look like this",
        )


def convert(path: Path, folder: Path) -> None:
    """Write what a GGUF file holds into a folder that plain transformers loads.

    Args:
        path: the GGUF file.
        folder: an empty folder; it gets config.json, generation_config.json, model.safetensors (fp32), the
            tokenizer and chat_template.jinja.

    Raises:
        InputError: not GGUF, damaged, or of an architecture or tokenizer that cannot be read faithfully.
    """
    check(path)
    pre = _pre_tokenizer(path)
    model, tokenizer = _read(path)
    _cut_as_stated(tokenizer, pre, path)
    for key in ("is_local", "local_files_only"):
        tokenizer.init_kwargs.pop(key, None)
    settle(model, tokenizer)
    with quiet():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _pre_tokenizer(path: Path) -> tuple[str | None, str | None]:
    """The tokenizer's kind and its way of cutting, as the file states them."""
    import gguf

    try:
        fields = gguf.GGUFReader(path).fields
    except (ValueError, KeyError, IndexError, OSError, OverflowError) as error:
        raise _damaged(path, error) from error
    values = [fields.get(f"tokenizer.ggml.{key}") for key in ("model", "pre")]
    kind, pre = (None if value is None else str(value.contents()) for value in values)
    return kind, pre


def _read(path: Path) -> tuple[Any, Any]:
    """The model in fp32, free of quantisation settings, and the tokenizer as transformers makes it."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        # The loader's progress bar knows no switch; errors are raised, so nothing else is lost.
        with quiet(), contextlib.redirect_stderr(io.StringIO()):
            loaded = AutoModelForCausalLM.from_pretrained(
                path.parent, gguf_file=path.name, dtype=torch.float32, local_files_only=True
            )
            tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name, local_files_only=True)
    except (ValueError, KeyError, IndexError, RuntimeError, OSError, NotImplementedError) as error:
        raise _damaged(path, error) from error
    config = copy.deepcopy(loaded.config)
    # The other two are a machine's path and the file's inner title: a saved model is named by where it stands.
    for leftover in ("quantization_config", "_name_or_path", "_model_name_or_path"):
        if leftover in vars(config):
            delattr(config, leftover)
    with torch.device("meta"):
        plain = type(loaded)(config)
    plain.load_state_dict(loaded.state_dict(), assign=True)
    plain.tie_weights()
    plain.generation_config = loaded.generation_config
    return plain, tokenizer


def _cut_as_stated(tokenizer: Any, stated: tuple[str | None, str | None], path: Path) -> None:
    """Cut text as the file states, or refuse: a wrong cut gives ids that the model has never seen together."""
    from tokenizers import pre_tokenizers

    kind, pre = stated
    table: dict[str, str] = yamltext.table("tutelage.models", TABLE)
    if kind != "gpt2" or pre in _known_to_transformers() or table.get(str(pre)) == "gpt2":
        return
    if table.get(str(pre)) != "digits":
        raise InputError(
            "it is not known how this file's tokenizer cuts text",
            where=str(path),
            found=f"tokenizer.ggml.pre is {pre!r}",
            expected=f"one of {', '.join(sorted(table))}, or one that transformers knows",
            fix="name the same model as safetensors, by its hub id or a folder",
        )
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )


def _known_to_transformers() -> Collection[str]:
    """The ways of cutting that transformers' loader sets by itself; older releases set none."""
    try:
        from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS
    except ImportError:
        return ()
    return tuple(GGUF_PRE_TOKENIZER_SPLITS)


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(
        "the GGUF file could not be read",
        where=str(path),
        found=f"{type(error).__name__}: {error}".splitlines()[0][:300],
        fix="fetch the file again; if it is whole, its architecture is one that transformers does not read: "
        "name the same model as safetensors",
    )
