"""Interpolates two models: each weight on the straight line from the base's to the tuned one's.

WiSE-FT (Wortsman et al. 2022, arXiv 2109.01903): on that line, forgotten skills often come back faster than learned ones
fade. The tensors go through memory one at a time, whatever the size of the models.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

from tutelage.core import outputs
from tutelage.core.errors import InputError
from tutelage.core.files import existing_parent, require_space, sync, write_text
from tutelage.models import folders, logit_agreement, tied_weights, weights
from tutelage.models.export import export, output_folder
from tutelage.models.library_calls import quiet
from tutelage.models.load import load, load_config, read_model
from tutelage.models.resolution import base_of
from tutelage.models.source import ModelSource

_SUFFIX = ".safetensors"
_FIX = "name a model and what it was tuned from"


def interpolate_with_base(
    source: ModelSource, share: float, folder: Path, *, inputs: Sequence[Path] = ()
) -> None:
    """Write the model between a tuned one and its base.

    Args:
        source: the tuned model; an adapter is merged for it.
        share: of the tuned one: 0 is the base, 1 the tuned model.
        folder: where to.
        inputs: other folders that may not be replaced or contain the new one.

    Raises:
        InputError: as `interpolate`; a prompt, which cannot be merged; nothing says what the base was.
    """
    _check_share(share)
    base = base_of(source)
    output_folder(folder, inputs=[*inputs, base.weights, source.folder]).check()
    with tempfile.TemporaryDirectory(prefix=".tutelage-", dir=existing_parent(folder)) as scratch:
        tuned, untied_base = source.folder, base.weights
        if source.base is not None:
            tuned = Path(scratch) / "merged"
            export(load(source), tuned, merge=True, base=base)
        if _ties_weights(base.weights) and not _ties_weights(tuned):
            untied_base = _write_untied(base.weights, Path(scratch) / "base")
        interpolate(untied_base, tuned, share, folder, original_base=base.weights)


def interpolate(
    base: Path, tuned: Path, share: float, folder: Path, *, original_base: Path | None = None
) -> None:
    """Write `base + share * (tuned - base)`, with the tuned model's config, tokenizer, chat template and dtypes.

    What is written is read back: each tensor must lie on the line, the model must load, and the base's tensors must
    give the base's logits under the tuned model's config, as the tuned model's give its own.

    Args:
        base: a folder with the base's config.json and safetensors.
        tuned: another one, of the same architecture.
        share: of the tuned model, 0 to 1.
        folder: where to; whole or absent.
        original_base: the base before its tied weights were written twice into `base`; None is `base` itself.

    Raises:
        InputError: a share out of range; models whose tensors differ in name or shape, or tie other weights, or whose
            settings make another model of the same tensors.
        MachineError: the disk does not take it.
    """
    _check_share(share)
    original_base = original_base or base
    output = output_folder(folder, inputs=[original_base, tuned])
    output.check()
    for model in (original_base, tuned):
        folders.check(model)
    require_space(
        folder, sum(path.stat().st_size for path in folders.weight_files(tuned)), subject="the model"
    )
    with (
        folders.open_tensors(base, framework="pt") as base_tensors,
        folders.open_tensors(tuned, framework="pt") as tuned_tensors,
    ):
        _check_same_tensors(base, tuned, base_tensors, tuned_tensors)
        with output.new() as part:
            for path in sorted(tuned.iterdir()):
                is_weights = path.suffix == _SUFFIX or path.suffix in folders.PICKLES
                if path.is_file() and not is_weights and path.name != outputs.MARKER:
                    shutil.copyfile(path, part / path.name)
            for path in folders.weight_files(tuned):
                names = folders.tensor_names(path)
                if in_file := {name: tensor for name, tensor in tuned_tensors.items() if name in names}:
                    _write_file(part / path.name, base_tensors, in_file, share)
            _write_index(part, tuned_tensors)
            _verify_line(base, tuned, part, share)
            _verify_logits(original_base, base, tuned, part)


def _write_index(folder: Path, tensors: Mapping[str, Any]) -> None:
    """Leave out of the copied index what was not written: second copies of tied weights."""
    path = folder / f"model{_SUFFIX}.index.json"
    if path.is_file():
        index = folders.read_json(path)
        index["weight_map"] = {name: file for name, file in index["weight_map"].items() if name in tensors}
        write_text(path, json.dumps(index, indent=2) + "\n")


def _check_share(share: float) -> None:
    if not 0 <= share <= 1:
        raise InputError(
            "not a share of the tuned model",
            where="--interpolate",
            found=str(share),
            expected="0 (the base) to 1 (the tuned model)",
            fix="write 0.5 for the middle",
        )


def _ties_weights(folder: Path) -> bool:
    """Whether a model's config ties its output layer to its embeddings."""
    setting = folders.read_json(folder / "config.json").get("tie_word_embeddings", True)
    return bool(setting) and bool(getattr(load_config(folder), "tie_word_embeddings", False))


def _write_untied(base: Path, folder: Path) -> Path:
    """Write the same model with each tied weight as a tensor of its own, as a merge that changes one of them does."""
    model = read_model(base)
    scaled = tied_weights.scales_output(model.config)
    with quiet():
        tied_weights.untie(model, scaled=scaled)
        model.save_pretrained(folder)
    return folder


def _verify_line(base: Path, tuned: Path, written: Path, share: float) -> None:
    """Compare each written tensor with the line, computed again in float64 from the three files."""
    import torch

    with (
        folders.open_tensors(base, framework="pt") as base_tensors,
        folders.open_tensors(tuned, framework="pt") as tuned_tensors,
        folders.open_tensors(written, framework="pt") as written_tensors,
    ):
        for name, stored in written_tensors.items():
            end = tuned_tensors[name][...]
            if not end.is_floating_point():
                continue
            start, middle = base_tensors[name][...].double(), stored[...]
            # Two roundings in fp32, of the difference and of the sum, and one to the type of the file.
            epsilon = torch.finfo(middle.dtype).eps + 2 * torch.finfo(torch.float32).eps
            tolerance = epsilon * (start.abs() + end.double().abs()) + torch.finfo(middle.dtype).tiny
            difference = (middle.double() - start.lerp(end.double(), share)).abs()
            if not bool((difference <= tolerance).all()):
                raise InputError(
                    "a written tensor does not lie between the two models, and nothing was kept",
                    where=str(tuned),
                    found=f"{name}: off by up to {float(difference.max()):.2g}",
                    fix="try again; the disk or the memory of this machine may be changing data",
                )


def _verify_logits(original_base: Path, base: Path, tuned: Path, written: Path) -> None:
    """Check that the base's tensors are the base under the tuned model's config, and that what was written loads."""
    model = read_model(original_base)
    rows = logit_agreement.draw_probe_rows(model, encoder_decoder=bool(model.config.is_encoder_decoder))
    expected = rows.logits(model)
    del model
    logit_agreement.require_same_logits(
        expected,
        weights.load_model(base, load_config(tuned), "float32"),
        rows,
        epsilon=logit_agreement.weights_epsilon(base),
        subject="the base under the settings of the tuned model",
        where=str(tuned / "config.json"),
        fix=_FIX,
    )
    weights.check_finite({"logits": rows.logits(read_model(written))}, tuned)


def _check_same_tensors(
    base: Path, tuned: Path, base_tensors: dict[str, Any], tuned_tensors: dict[str, Any]
) -> None:
    base_config, tuned_config = load_config(base), load_config(tuned)
    for key in ("model_type", "tie_word_embeddings"):
        base_value, tuned_value = getattr(base_config, key, None), getattr(tuned_config, key, None)
        if base_value != tuned_value:
            raise InputError(
                "the two models differ in their settings",
                where=str(tuned / "config.json"),
                found=f"{key}: {tuned_value}",
                expected=f"{key}: {base_value}, as {base} has it",
                fix=_FIX,
            )
    if getattr(tuned_config, "tie_word_embeddings", True):
        _drop_copies(tuned_tensors, base_tensors)
        _drop_copies(base_tensors, tuned_tensors)
    for name in sorted(set(base_tensors) ^ set(tuned_tensors)):
        raise InputError(
            "the two models have other tensors",
            where=str(tuned if name in tuned_tensors else base),
            found=f"{name}, which the other one lacks",
            fix="write the base anew with `tutelage export BASE --to DIR`, where only the names differ",
        )
    for name, tensor in tuned_tensors.items():
        in_base = base_tensors[name]
        if tensor.get_shape() != in_base.get_shape() or _is_float(tensor) != _is_float(in_base):
            raise InputError(
                "a tensor has another shape or kind in the two models",
                where=str(tuned),
                found=f"{name}: {tensor.get_dtype()} {tensor.get_shape()}",
                expected=f"{in_base.get_dtype()} {in_base.get_shape()}, as in {base}",
                fix=_FIX,
            )


def _is_float(tensor: Any) -> bool:
    return str(tensor.get_dtype()).startswith(("F", "BF"))


def _drop_copies(tensors: dict[str, Any], other: dict[str, Any]) -> None:
    """Drop the tensors that the other model lacks and that repeat one which it has: copies of tied weights."""
    import torch

    for name in sorted(set(tensors) - set(other)):
        copy = tensors[name]
        candidates = [tensors[shared] for shared in set(tensors) & set(other)]
        if any(t.get_shape() == copy.get_shape() and torch.equal(t[...], copy[...]) for t in candidates):
            del tensors[name]


def _write_file(path: Path, base: Mapping[str, Any], tuned: Mapping[str, Any], share: float) -> None:
    """Write one safetensors file as it is computed: length of the header, header, tensors end to end."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, tensor in tuned.items():
        dtype, shape = tensor.get_dtype(), tensor.get_shape()
        bits = "".join(char for char in dtype.partition("_")[0] if char.isdigit())
        end = offset + int(bits or 8) // 8 * prod(shape)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, end]}
        offset = end
    content = json.dumps(header, separators=(",", ":")).encode()
    content += b" " * (-len(content) % 8)
    with path.open("wb") as file:
        file.write(len(content).to_bytes(8, "little") + content)
        for name, tensor in tuned.items():
            file.write(_interpolated(name, base[name], tensor, share))
    sync(path)


def _interpolated(name: str, base: Any, tuned: Any, share: float) -> bytes:
    """The bytes of the tensor on the line, in the tuned model's dtype; both ends are exact."""
    import torch

    end = tuned[...]
    if end.is_floating_point() and share < 1:
        start = base[...]
        dtype = torch.float64 if torch.float64 in (start.dtype, end.dtype) else torch.float32
        point = start.to(dtype).lerp(end.to(dtype), share) if share else start
        end = point.to(end.dtype)
    elif not end.is_floating_point() and not torch.equal(end, base[...]):
        raise InputError("a tensor of whole numbers differs, and nothing lies between", where=name, fix=_FIX)
    return bytes(end.contiguous().reshape(-1).view(torch.uint8).numpy())
