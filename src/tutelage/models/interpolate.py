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
from tutelage.core.files import existing_parent, require_space, sync_file
from tutelage.models import folders
from tutelage.models.source import ModelSource, base_of

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
    from tutelage.models.export import export, output_folder
    from tutelage.models.load import load

    base = base_of(source)
    output_folder(folder, inputs=[*inputs, base.weights, source.folder]).check()
    if source.base is None:
        interpolate(base.weights, source.folder, share, folder)
        return
    with tempfile.TemporaryDirectory(prefix=".tutelage-", dir=existing_parent(folder)) as scratch:
        merged = Path(scratch) / "merged"
        export(load(source), merged, merge=True, base=base)
        interpolate(base.weights, merged, share, folder)


def interpolate(base: Path, tuned: Path, share: float, folder: Path) -> None:
    """Write `base + share * (tuned - base)`, with the tuned one's config, tokenizer, chat template and dtypes.

    Args:
        base: a folder with config.json and safetensors.
        tuned: another one, of the same architecture.
        share: of the tuned one, 0 to 1.
        folder: where to; whole or absent.

    Raises:
        InputError: a share out of range; models whose tensors differ in name or shape, or tie other weights.
        MachineError: the disk does not take it.
    """
    from tutelage.models.export import output_folder

    if not 0 <= share <= 1:
        raise InputError(
            "not a share of the tuned model",
            where="--interpolate",
            found=str(share),
            expected="0 (the base) to 1 (the tuned model)",
            fix="write 0.5 for the middle",
        )
    place = output_folder(folder, inputs=[base, tuned])
    place.check()
    require_space(folder, sum(p.stat().st_size for p in tuned.glob(f"*{_WEIGHTS}")), what="the model")
    with _tensors(base) as below, _tensors(tuned) as above:
        _check(base, tuned, below, above)
        with place.new() as part:
            for path in sorted(tuned.iterdir()):
                weights = path.suffix == _WEIGHTS or path.suffix in folders.PICKLES
                if path.is_file() and not weights and path.name != outputs.MARKER:
                    shutil.copyfile(path, part / path.name)
            for name in sorted({handle.file for handle in above.values()}):
                held = {key: one for key, one in above.items() if one.file == name}
                _write(part / name, held, below, share)


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

    folders.check(folder)
    index = folder / f"model{_WEIGHTS}.index.json"
    names = set(folders.read_json(index)["weight_map"].values()) if index.is_file() else {f"model{_WEIGHTS}"}
    with ExitStack() as stack:
        found: dict[str, _Tensor] = {}
        for name in sorted(names):
            handle = stack.enter_context(safe_open(folder / name, framework="pt"))
            found.update({key: _Tensor(handle, key, name) for key in handle.keys()})  # noqa: SIM118  # no mapping
        yield found


def _check(base: Path, tuned: Path, below: dict[str, _Tensor], above: dict[str, _Tensor]) -> None:
    one, other = (folders.read_json(folder / "config.json") for folder in (base, tuned))
    for key in ("model_type", "tie_word_embeddings"):
        if one.get(key) != other.get(key):
            raise InputError(
                "the two models differ in their settings",
                where=str(tuned / "config.json"),
                found=f"{key}: {other.get(key)}",
                expected=f"{key}: {one.get(key)}, as {base} has it",
                fix="name a model and what it was tuned from",
            )
    _drop_copies(above, below, tied=bool(other.get("tie_word_embeddings", True)))
    _drop_copies(below, above, tied=bool(other.get("tie_word_embeddings", True)))
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
