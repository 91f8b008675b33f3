"""Writes a tuned model as files that plain transformers and peft load: weights, tokenizer, chat template, settings.

merged, or tuned in full:  FOLDER/config.json, model.safetensors, generation_config.json, the tokenizer,
                           chat_template.jinja, README.md; with an adapter also FOLDER/adapter/
adapter only:              FOLDER/adapter_config.json, adapter_model.safetensors, base.json, the tokenizer,
                           chat_template.jinja, README.md

Where turns end with a token that the base's settings do not name, generation_config.json names it, beside an adapter too.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tutelage.core import outputs
from tutelage.core.files import write_text
from tutelage.models import adapter_file, base_record, bundled, folders, logit_agreement, turn_ends
from tutelage.models.adapters import merge as merged
from tutelage.models.library_calls import quiet
from tutelage.models.load import LoadedModel, read_model
from tutelage.models.source import ModelSource

KIND, KIND_OF_RUN = "a model", "the tuned model of a run"
"""The kinds of output that a folder is marked with. An export does not replace the model in a run's folder."""
_FILES = (
    "README.md",
    "adapter_config.json",
    "base.json",
    "chat_template.jinja",
    "config.json",
    "generation_config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    *folders.TOKENIZER_FILES,
)
_RUN_FILES = frozenset(f"{folder}{name}" for folder in ("", "adapter/") for name in _FILES)
"""The files of a run's model: runs of versions that did not mark their outputs can still be tuned again."""


def export(
    loaded: LoadedModel,
    folder: Path,
    *,
    merge: bool,
    base: ModelSource,
    card: str | None = None,
    inputs: Sequence[Path] = (),
    of_run: bool = False,
    dtype: str | None = None,
) -> None:
    """Write a model so that other programs can load it; the folder is complete or absent.

    Args:
        loaded: the tuned model; it stays as it is.
        folder: where to; an unchanged model that this function wrote is replaced, anything else is refused.
        merge: whether an adapter is merged into its base, and written beside the merged weights. Ignored for a
            model tuned in full.
        base: the model that was tuned, which an adapter names.
        card: the text of README.md, empty for none; None names the base.
        inputs: folders, beside the base's, that the new one may not be, lie in or contain.
        of_run: whether the folder is a run's own `model`.
        dtype: the number format to which merged weights are rounded; None for that of `loaded`.

    Raises:
        InputError: the folder may not be replaced; `core.outputs` says when. The merged model, read back from the disk,
            answers otherwise than base and adapter apart.
        MachineError: the disk does not take it.
    """
    output = output_folder(folder, inputs=[*inputs, base.folder], of_run=of_run)
    with output.new() as part, quiet(), turn_ends.stated(loaded) as turn_end_added:
        if loaded.adapter:
            _save_adapter(loaded, part / "adapter" if merge else part, base)
            if turn_end_added and not merge:
                loaded.model.generation_config.save_pretrained(part)
        if merge and loaded.adapter:
            _save_merged(loaded, part, dtype)
        elif not loaded.adapter:
            loaded.model.save_pretrained(part)
        loaded.tokenizer.save_pretrained(part)
        text = base_record.model_card(base, adapter=loaded.adapter and not merge) if card is None else card
        if text:
            write_text(part / "README.md", text)
        if merge and loaded.adapter:
            _check_merged(loaded, part, dtype)


def _save_merged(loaded: LoadedModel, part: Path, dtype: str | None) -> None:
    import torch

    model = merged(loaded).model
    if dtype is not None:
        model.to(getattr(torch, dtype))  # its parameters are its own objects: those of `loaded` stay
    model.save_pretrained(part)


def _check_merged(loaded: LoadedModel, part: Path, dtype: str | None) -> None:
    """Read the merged model back, and refuse it where it does not answer as base and adapter do."""
    rows = logit_agreement.draw_probe_rows(
        loaded.model,
        encoder_decoder=loaded.encoder_decoder,
        include=adapter_file.trainable_token_ids(loaded.model),
    )
    dtype = dtype or str(next(loaded.model.get_base_model().parameters()).dtype).removeprefix("torch.")
    logit_agreement.require_same_logits(
        rows.logits(loaded.model),
        read_model(part, dtype),
        rows,
        epsilon=logit_agreement.weights_epsilon(part, dtype),
        subject="the merged model",
        where=loaded.name,
        fix="export it without merging: base and adapter stay apart",
    )


def loading_lines(folder: Path, *, shown: str | None = None) -> list[str]:
    """Write three lines of Python that load an exported folder with plain transformers and peft.

    Args:
        folder: an exported model.
        shown: its name in these lines; None is the folder's path.
    """
    path = repr(shown or str(folder))
    tokenizer = f"tokenizer = AutoTokenizer.from_pretrained({path})"
    if (folder / "config.json").is_file():
        config = folders.read_json(folder / "config.json")
        auto_class = "AutoModelForSeq2SeqLM" if config.get("is_encoder_decoder") else "AutoModelForCausalLM"
        return [
            f"from transformers import {auto_class}, AutoTokenizer",
            tokenizer,
            f"model = {auto_class}.from_pretrained({path})",
        ]
    config = folders.read_json(folder / "adapter_config.json")
    task = "Seq2SeqLM" if config.get("task_type") == "SEQ_2_SEQ_LM" else "CausalLM"
    name = str(config["base_model_name_or_path"])
    if name in bundled.table():
        # Other programs do not know the bundled name: they get its folder in this machine's cache.
        base = repr(str(bundled.find(name).folder))
        return [
            f"from peft import PeftModel; from transformers import AutoModelFor{task}, AutoTokenizer",
            tokenizer,
            f"model = PeftModel.from_pretrained(AutoModelFor{task}.from_pretrained({base}), {path})",
        ]
    return [
        f"from peft import AutoPeftModelFor{task}; from transformers import AutoTokenizer",
        tokenizer,
        f'model = AutoPeftModelFor{task}.from_pretrained({path}, dtype="float32")',
    ]


def output_folder(folder: Path, *, inputs: Sequence[Path] = (), of_run: bool = False) -> outputs.Folder:
    """The output folder of `export`, whose `check` refuses a folder that may not be replaced before the work starts."""
    if of_run:
        return outputs.Folder(
            folder, KIND_OF_RUN, advice="move it out of the run's folder", replaceable=_RUN_FILES
        )
    return outputs.Folder(folder, KIND, inputs)


def _save_adapter(loaded: LoadedModel, folder: Path, base: ModelSource) -> None:
    """Save the adapter in peft's form, with its base's name so that peft finds it on this machine."""
    for config in loaded.model.peft_config.values():
        # As a folder, where peft looks up the vocabulary's size; it would ask the hub for a name.
        config.base_model_name_or_path = str(base.weights)
    loaded.model.save_pretrained(folder)
    # peft's model card is a form with empty fields.
    (folder / "README.md").unlink(missing_ok=True)
    # peft has sets of layers' names, whose order changes from process to process; sorted, the same run gives the same bytes.
    path = folder / "adapter_config.json"
    settings = folders.read_json(path)
    settings["base_model_name_or_path"], settings["revision"] = (
        (base.name, base.revision) if base.kind == "hub" else (str(base.weights.resolve()), None)
    )
    for key in folders.ADAPTER_SETS:
        if isinstance(settings.get(key), list):
            settings[key] = sorted(settings[key])
    write_text(path, json.dumps(settings, indent=2, sort_keys=True) + "\n")
    base_record.write_record(base, folder)
