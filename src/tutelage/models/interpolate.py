"""A model between two others: each weight on the straight line from the base's to the tuned one's.

WiSE-FT (Wortsman et al. 2022, arXiv 2109.01903): what a tuning forgot often comes back faster on that line than what
it learned goes. The tensors go through memory one at a time, whatever the size of the models.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tutelage.core import outputs
from tutelage.core.errors import InputError
from tutelage.core.files import existing_parent, require_space, sync_file, write_text
from tutelage.models import folders, logit_agreement, weights
from tutelage.models.export import export, output_folder
from tutelage.models.load import config_of, load, read_model
from tutelage.models.quiet import quiet
from tutelage.models.resolution import base_of
from tutelage.models.source import ModelSource

_WEIGHTS = ".safetensors"


def between(source: ModelSource, share: float, folder: Path, *, inputs: Sequence[Path] = ()) -> None:
    """Write the model between a tuned one and the base that it was tuned from.

    Args:
        source: the tuned model; an adapter is merged for it.
        share: of the tuned one: 0 is the base, 1 the tuned model.
        folder: where to.
        inputs: what else the folder may not be, lie in or lie above.

    Raises:
        InputError: as `interpolate`; a prompt, which cannot be merged; nothing says what the base was.
    """
    _check_share(share)
    base = base_of(source)
    output_folder(folder, inputs=[*inputs, base.weights, source.folder]).check()
    with tempfile.TemporaryDirectory(prefix=".tutelage-", dir=existing_parent(folder)) as scratch:
        tuned, below = source.folder, base.weights
        if source.base is not None:
            tuned = Path(scratch) / "merged"
            export(load(source), tuned, merge=True, base=base)
        if _ties(below) and not _ties(tuned):
            below = _untied(base.weights, Path(scratch) / "base")
        interpolate(below, tuned, share, folder, base=base.weights)


def interpolate(below: Path, tuned: Path, share: float, folder: Path, *, base: Path | None = None) -> None:
    """Write `base + share * (tuned - base)`, with the tuned one's config, tokenizer, chat template and dtypes.

    What is written is read back: each tensor must lie on the line, the model must load, and the base's tensors must
    give the base's logits under the tuned one's config, as the tuned one's give its own.

    Args:
        below: a folder with the base's config.json and safetensors.
        tuned: another one, of the same architecture.
        share: of the tuned one, 0 to 1.
        folder: where to; whole or absent.
        base: the base as it was before its tied weights were written twice into `below`; None is `below`.

    Raises:
        InputError: a share out of range; models whose tensors differ in name or shape, or tie other weights, or whose
            settings make another model of the same tensors.
        MachineError: the disk does not take it.
    """
    _check_share(share)
    place = output_folder(folder, inputs=[base or below, tuned])
    place.check()
    for model in (base or below, tuned):
        folders.check(model)
    require_space(folder, sum(path.stat().st_size for path in folders.weight_files(tuned)), what="the model")
    with _tensors(below) as first, _tensors(tuned) as last:
        _check(below, tuned, first, last)
        with place.new() as part:
            for path in sorted(tuned.iterdir()):
                weighs = path.suffix == _WEIGHTS or path.suffix in folders.PICKLES
                if path.is_file() and not weighs and path.name != outputs.MARKER:
                    shutil.copyfile(path, part / path.name)
            for name in sorted({handle.file for handle in last.values()}):
                held = {key: one for key, one in last.items() if one.file == name}
                _write(part / name, held, first, share)
            _write_index(part, last)
            _verify_line(below, tuned, part, share, where=str(tuned))
            _verify_ends(base or below, below, tuned, part)


def _write_index(folder: Path, written: dict[str, _Tensor]) -> None:
    """Leave out of the copied index what was not written: second copies of tied weights."""
    index = folder / f"model{_WEIGHTS}.index.json"
    if index.is_file():
        stated = folders.read_json(index)
        stated["weight_map"] = {name: tensor.file for name, tensor in sorted(written.items())}
        write_text(index, json.dumps(stated, indent=2) + "\n")


def _check_share(share: float) -> None:
    if not 0 <= share <= 1:
        raise InputError(
            "not a share of the tuned model",
            where="--interpolate",
            found=str(share),
            expected="0 (the base) to 1 (the tuned model)",
            fix="write 0.5 for the middle",
        )


def _ties(folder: Path) -> bool:
    """Whether a model's config ties its output layer to its embeddings."""
    stated = folders.read_json(folder / "config.json").get("tie_word_embeddings", True)
    return bool(stated) and bool(getattr(config_of(folder), "tie_word_embeddings", False))


def _untied(base: Path, folder: Path) -> Path:
    """The same model with each tied weight written out, as a merge leaves it that changes one of them."""
    from tutelage.models import tied_weights as tied

    model = read_model(base)
    scaled = tied.scales_output(model.config)
    with quiet():
        tied.untie(model, scaled=scaled)
        model.save_pretrained(folder)
    return folder


def _verify_line(below: Path, tuned: Path, written: Path, share: float, *, where: str) -> None:
    """Compare each written tensor with the line, computed anew in float64 from the three files."""
    import torch

    with weights.tensors(below) as first, weights.tensors(tuned) as last, weights.tensors(written) as middle:
        for name, tensor in middle.items():
            end = last[name][...]
            if not end.is_floating_point():
                continue
            start, between = first[name][...].double(), tensor[...]
            # Two roundings in fp32, of the difference and of the sum, and one to the type of the file.
            grain = torch.finfo(between.dtype).eps + 2 * torch.finfo(torch.float32).eps
            room = grain * (start.abs() + end.double().abs()) + torch.finfo(between.dtype).tiny
            off = (between.double() - start.lerp(end.double(), share)).abs()
            if not bool((off <= room).all()):
                raise InputError(
                    "a written tensor does not lie between the two models, and nothing was kept",
                    where=where,
                    found=f"{name}: off by up to {float(off.max()):.2g}",
                    fix="try again; the disk or the memory of this machine may be changing data",
                )


def _verify_ends(base: Path, below: Path, tuned: Path, written: Path) -> None:
    """Check that the base's tensors are the base under the tuned model's config, and that what was written loads."""
    model = read_model(base)
    rows = logit_agreement.rows_for(model, pairs=bool(model.config.is_encoder_decoder))
    want = rows.logits(model)
    del model
    logit_agreement.require_same(
        want,
        weights.read(below, config_of(tuned), "float32"),
        rows,
        grain=logit_agreement.grain_of(below),
        what="the base under the settings of the tuned model",
        where=str(tuned / "config.json"),
        fix="name a model and what it was tuned from",
    )
    weights.check_finite({"logits": rows.logits(read_model(written))}, tuned)


class _Tensor:
    """A tensor in a file: its shape and type are known, its numbers are read when they are asked for."""

    def __init__(self, handle: Any, name: str, file: str) -> None:
        header = handle.get_slice(name)
        self._handle, self._name, self.file = handle, name, file
        self.shape: list[int] = list(header.get_shape())
        self.dtype: str = header.get_dtype()

    def read(self) -> Any:
        return self._handle.get_tensor(self._name)


@contextmanager
def _tensors(folder: Path) -> Iterator[dict[str, _Tensor]]:
    from safetensors import safe_open

    with ExitStack() as stack:
        found: dict[str, _Tensor] = {}
        for path in folders.weight_files(folder):
            handle = stack.enter_context(safe_open(path, framework="pt"))
            found.update({key: _Tensor(handle, key, path.name) for key in handle.keys()})  # noqa: SIM118  # no mapping
        yield found


def _check(base: Path, tuned: Path, below: dict[str, _Tensor], above: dict[str, _Tensor]) -> None:
    one, other = config_of(base), config_of(tuned)
    for key in ("model_type", "tie_word_embeddings"):
        if getattr(one, key, None) != getattr(other, key, None):
            raise InputError(
                "the two models differ in their settings",
                where=str(tuned / "config.json"),
                found=f"{key}: {getattr(other, key, None)}",
                expected=f"{key}: {getattr(one, key, None)}, as {base} has it",
                fix="name a model and what it was tuned from",
            )
    tied = bool(getattr(other, "tie_word_embeddings", True))
    _drop_copies(above, below, tied=tied)
    _drop_copies(below, above, tied=tied)
    for name in sorted(set(below) ^ set(above)):
        raise InputError(
            "the two models have other tensors",
            where=str(tuned if name in above else base),
            found=f"{name}, which the other one lacks",
            fix="write the base anew with `tutelage export BASE --to DIR`, where only the names differ",
        )
    for name, tensor in above.items():
        if tensor.shape != below[name].shape or _floats(tensor) != _floats(below[name]):
            raise InputError(
                "a tensor has another shape or kind in the two models",
                where=str(tuned),
                found=f"{name}: {tensor.dtype} {tensor.shape}",
                expected=f"{below[name].dtype} {below[name].shape}, as in {base}",
                fix="name a model and what it was tuned from",
            )


def _drop_copies(held: dict[str, _Tensor], other: dict[str, _Tensor], *, tied: bool) -> None:
    """Leave out what one file holds beside the weight to which it is tied: the same numbers under a second name."""
    for name in sorted(set(held) - set(other)) if tied else ():
        extra = held[name]
        for known in set(held) & set(other):
            if held[known].shape == extra.shape and _same(held[known], extra):
                del held[name]
                break


def _same(one: _Tensor, other: _Tensor) -> bool:
    import torch

    return bool(torch.equal(one.read(), other.read()))


def _floats(tensor: _Tensor) -> bool:
    return tensor.dtype.startswith(("F", "BF"))


def _write(path: Path, above: dict[str, _Tensor], below: dict[str, _Tensor], share: float) -> None:
    """One safetensors file, written as it is computed: length of the header, header, tensors end to end."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, tensor in above.items():
        size = _bytes(tensor)
        header[name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, tensor in above.items():
            file.write(_mixed(name, tensor, below[name], share))
    sync_file(path)


def _bytes(tensor: _Tensor) -> int:
    size = int("".join(c for c in tensor.dtype.partition("_")[0] if c.isdigit()) or 8) // 8
    for length in tensor.shape:
        size *= length
    return size


def _mixed(name: str, above: _Tensor, below: _Tensor, share: float) -> bytes:
    """The tensor between two others, in the tuned one's type; both ends are exact."""
    import torch

    end = above.read()
    if _floats(above) and share < 1:
        start = below.read()
        wide = torch.float64 if torch.float64 in (start.dtype, end.dtype) else torch.float32
        line = start.to(wide).lerp(end.to(wide), share) if share else start
        end = line.to(end.dtype)
    elif not _floats(above) and not _same(above, below):
        raise InputError(
            "a tensor of whole numbers differs, and nothing lies between",
            where=name,
            fix="name a model and what it was tuned from",
        )
    content: bytes = end.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return content
