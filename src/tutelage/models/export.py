"""The tuned model as files that plain transformers and peft load: weights, tokenizer, chat template, settings.

merged, or tuned in full:  FOLDER/config.json, model.safetensors, generation_config.json, the tokenizer,
                           chat_template.jinja, README.md; with an adapter also FOLDER/adapter/
adapter only:              FOLDER/adapter_config.json, adapter_model.safetensors, base.json, the tokenizer,
                           chat_template.jinja, README.md
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tutelage.core import outputs
from tutelage.core.files import write_text
from tutelage.models import adapter_file, base_record, bundled, folders, logit_agreement
from tutelage.models.adapters import merge as merged
from tutelage.models.library_calls import quiet
from tutelage.models.load import LoadedModel, read_model
from tutelage.models.source import ModelSource

KIND, KIND_OF_RUN = "a model", "the tuned model of a run"
"""What the folder is marked as. An export does not replace the model inside a run's folder."""
_WRITTEN = (
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
_OF_A_RUN = frozenset(f"{place}{name}" for place in ("", "adapter/") for name in _WRITTEN)
"""The files that a run's model may have: runs of versions that did not mark their outputs can still be tuned again."""


def export(
    loaded: LoadedModel,
    folder: Path,
    *,
    merge: bool,
    base: ModelSource,
    card: str | None = None,
    inputs: Sequence[Path] = (),
    of_run: bool = False,
) -> None:
    """Write a model so that others can load it; whole or absent.

    Args:
        loaded: the tuned model; it stays as it is.
        folder: where to; a model that this function wrote and nobody changed is replaced, anything else is refused.
        merge: for an adapter, whether the sum of base and adapter is written, with the adapter beside it. Says
            nothing for a model tuned in full.
        base: what was tuned: an adapter names it.
        card: the text of README.md, empty for none; None says what was tuned on, which is `base`.
        inputs: what else the folder may not be, lie in or lie above; the base's folder is added.
        of_run: whether the folder is a run's own `model`.

    Raises:
        InputError: the folder may not be replaced; `core.outputs` says when. The merged model, read back from the disk,
            answers otherwise than base and adapter apart.
        MachineError: the disk does not take it.
    """
    with output_folder(folder, inputs=[*inputs, base.folder], of_run=of_run).new() as part, quiet():
        if loaded.adapter:
            _save_adapter(loaded, part / "adapter" if merge else part, base)
        if merge or not loaded.adapter:
            merged(loaded).model.save_pretrained(part)
        loaded.tokenizer.save_pretrained(part)
        text = base_record.model_card(base, adapter=loaded.adapter and not merge) if card is None else card
        if text:
            write_text(part / "README.md", text)
        if merge and loaded.adapter:
            _check_merged(loaded, part)


def _check_merged(loaded: LoadedModel, part: Path) -> None:
    """Read back what was merged and refuse it where it does not answer as base and adapter do."""
    rows = logit_agreement.draw_probe_rows(
        loaded.model,
        encoder_decoder=loaded.encoder_decoder,
        include=adapter_file.trainable_token_ids(loaded.model),
    )
    dtype = str(next(loaded.model.get_base_model().parameters()).dtype).removeprefix("torch.")
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
    """Three lines of Python that load an exported folder with plain transformers and peft.

    Args:
        folder: what `export` wrote.
        shown: how the lines name it; the folder's own path when None.
    """
    place = repr(shown or str(folder))
    tokenizer = f"tokenizer = AutoTokenizer.from_pretrained({place})"
    if (folder / "config.json").is_file():
        config = folders.read_json(folder / "config.json")
        kind = "AutoModelForSeq2SeqLM" if config.get("is_encoder_decoder") else "AutoModelForCausalLM"
        return [
            f"from transformers import {kind}, AutoTokenizer",
            tokenizer,
            f"model = {kind}.from_pretrained({place})",
        ]
    config = folders.read_json(folder / "adapter_config.json")
    task = "Seq2SeqLM" if config.get("task_type") == "SEQ_2_SEQ_LM" else "CausalLM"
    name = str(config["base_model_name_or_path"])
    if name in bundled.table():
        # Other programs do not know the bundled name: they are given its place in this machine's cache.
        below = repr(str(bundled.find(name).folder))
        return [
            f"from peft import PeftModel; from transformers import AutoModelFor{task}, AutoTokenizer",
            tokenizer,
            f"model = PeftModel.from_pretrained(AutoModelFor{task}.from_pretrained({below}), {place})",
        ]
    return [
        f"from peft import AutoPeftModelFor{task}; from transformers import AutoTokenizer",
        tokenizer,
        f'model = AutoPeftModelFor{task}.from_pretrained({place}, dtype="float32")',
    ]


def output_folder(folder: Path, *, inputs: Sequence[Path] = (), of_run: bool = False) -> outputs.Folder:
    """The folder for a model, as `export` takes it: `check` refuses it before the work that leads to it."""
    if of_run:
        move = "move it out of the run's folder"
        return outputs.Folder(folder, KIND_OF_RUN, advice=move, replaceable=_OF_A_RUN)
    return outputs.Folder(folder, KIND, inputs)


def _save_adapter(loaded: LoadedModel, folder: Path, base: ModelSource) -> None:
    """The adapter in peft's form, naming its base so that peft finds it on this machine."""
    for config in loaded.model.peft_config.values():
        # A folder, so that peft looks there and asks no hub whether the vocabulary has grown.
        config.base_model_name_or_path = str(base.weights)
    loaded.model.save_pretrained(folder)
    # peft's model card is a form with every field left open.
    (folder / "README.md").unlink(missing_ok=True)
    # peft keeps names of layers as sets, whose order changes from process to process: the same run, the same bytes.
    path = folder / "adapter_config.json"
    written = folders.read_json(path)
    written["base_model_name_or_path"], written["revision"] = base_record.reference_to(base)
    for key in folders.ADAPTER_SETS:
        if isinstance(written.get(key), list):
            written[key] = sorted(written[key])
    write_text(path, json.dumps(written, indent=2, sort_keys=True) + "\n")
    base_record.write_record(base, folder)
