"""Checkpoints that are whole or absent, hold no pickle, and are checked before they are used.

A checkpoint is a folder `step-00000040` with `state.safetensors` (trained weights and the optimizer's moments) and
`manifest.json`, written last, with the size and sha256 of the former, what the run was, and its own checksum.
Position is one number, the step: order, rate and dropout are functions of (seed, step), so there is no generator
state to keep.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from tutelage.core import files, hashing
from tutelage.core.differences import differences, join_differences
from tutelage.core.errors import InputError, MachineError

_FORMAT = 2
_KEYS = {"format", "needs", "machine", "position", "bytes", "sha256", "checksum"}


@dataclass(frozen=True, slots=True)
class TuningIdentity:
    """Which tuning a checkpoint belongs to, as JSON values.

    Attributes:
        needs: everything that the weights depend on, by name; a checkpoint in which any of it differs is refused.
        machine: what may change how sums are rounded, such as versions of libraries; differences are reported.
    """

    needs: Mapping[str, Any]
    machine: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Position:
    """The state of the loop beside weights and optimizer: steps done, and the lowest validation loss with its step."""

    step: int
    best_loss: float | None = None
    best_step: int | None = None


@dataclass(frozen=True, slots=True)
class LatestCheckpoint:
    """The newest whole checkpoint.

    Attributes:
        folder: its folder.
        position: the state of the loop when it was written.
        damaged: newer checkpoints that cannot be used, each with the reason.
        machine: differences from the machine that wrote it.
    """

    folder: Path
    position: Position
    damaged: tuple[str, ...]
    machine: tuple[str, ...] = ()


class DamagedError(Exception):
    """A checkpoint is not as it was written; the message says why."""


def save(
    folder: Path, name: str, tensors: Mapping[str, torch.Tensor], position: Position, identity: TuningIdentity
) -> Path:
    """Write a checkpoint, if the disk has room for it.

    Args:
        folder: the run's checkpoints.
        name: `step-…` or `best`.
        tensors: weights and moments, by name.
        position: the state of the loop.
        identity: the tuning.
    """
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    files.require_space(folder, size + (8 << 20), subject="a checkpoint")
    with files.new_folder(folder / name) as part:
        state = part / "state.safetensors"
        try:
            save_file({key: tensor.detach().contiguous() for key, tensor in tensors.items()}, state)
        except SafetensorError as error:  # how safetensors reports a failed write
            raise _write_error(folder / name, error) from error
        manifest: dict[str, Any] = {
            "format": _FORMAT,
            "needs": identity.needs,
            "machine": identity.machine,
            "position": asdict(position),
            "bytes": state.stat().st_size,
            "sha256": hashing.of_file(state),
        }
        manifest["checksum"] = hashing.of_json(manifest)
        files.write_text(part / "manifest.json", json.dumps(manifest, indent=1))
    return folder / name


def step_name(step: int) -> str:
    """The name of a step's checkpoint; names sort as steps do."""
    return f"step-{step:08d}"


def newest(folder: Path, identity: TuningIdentity) -> LatestCheckpoint | None:
    """Find the newest whole checkpoint; None when there is none at all.

    Raises:
        InputError: it belongs to another tuning.
        MachineError: there are checkpoints, but every one is damaged.
    """
    damaged: list[str] = []
    for checkpoint in reversed(_step_folders(folder)):
        try:
            position = check(checkpoint, identity)
        except DamagedError as error:
            damaged.append(f"{checkpoint.name} ({error})")
        else:
            machine = differences(_manifest(checkpoint)["machine"], identity.machine)
            lines = tuple(f"{part.path}: then {part.old}, now {part.new}" for part in machine)
            return LatestCheckpoint(checkpoint, position, tuple(damaged), lines)
    if damaged:
        raise MachineError(
            "every checkpoint of this run is damaged",
            where=str(folder),
            found=", ".join(damaged),
            expected="a state that fits its manifest",
            fix="remove this folder to start the tuning again from the base model",
        )
    return None


def check(folder: Path, identity: TuningIdentity) -> Position:
    """Check that a checkpoint is whole and of this tuning. Returns its position.

    Raises:
        DamagedError: it is not whole.
        InputError: it belongs to another tuning.
    """
    try:
        manifest = _manifest(folder)
        _require_same(folder, manifest, identity)
        _require_whole(folder / "state.safetensors", manifest)
    except OSError as error:
        raise DamagedError(f"could not be read: {error.strerror or error}") from error
    return Position(**manifest["position"])


def load(folder: Path) -> dict[str, torch.Tensor]:
    """A checked checkpoint's tensors."""
    return dict(load_file(folder / "state.safetensors"))


def prune(folder: Path, *, upto: int, keep: int = 2) -> None:
    """Remove all step checkpoints but the newest `keep` of those up to step `upto`.

    Newer ones than the step that was just written were found damaged before: they must not take a good one's place.
    """
    checkpoints = _step_folders(folder)
    newest_good = [path for path in checkpoints if path.name <= step_name(upto)][-keep:]
    for path in checkpoints:
        if path not in newest_good:
            shutil.rmtree(path, ignore_errors=True)


def _step_folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("step-*") if path.is_dir())


def _manifest(folder: Path) -> dict[str, Any]:
    """A checkpoint's manifest, if it fits its checksum."""
    path = folder / "manifest.json"
    if not path.is_file():
        raise DamagedError("it has no manifest.json")
    try:
        manifest: dict[str, Any] = json.loads(path.read_bytes())
        content = {key: value for key, value in manifest.items() if key != "checksum"}
        whole = hashing.of_json(content) == manifest["checksum"]
        whole = whole and (manifest["format"] != _FORMAT or manifest.keys() == _KEYS)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        whole = False
    if not whole:
        raise DamagedError("manifest.json does not fit its checksum")
    return manifest


def _require_same(folder: Path, manifest: Mapping[str, Any], identity: TuningIdentity) -> None:
    written = manifest["format"]
    differing = (
        differences(manifest["needs"], identity.needs)
        if written == _FORMAT
        else differences({"format": written}, {"format": _FORMAT})
    )
    if differing:
        raise InputError(
            "this checkpoint belongs to another tuning",
            where=str(folder),
            found=join_differences(differing, "{path}: in the checkpoint {old}, now {new}"),
            expected="the same recipe, rows, base model and version of Tutelage",
            fix=f"bring back what it was, name another folder with --out, or remove {folder.parent} "
            "to start the tuning again from the base model",
        )


def _require_whole(state: Path, manifest: Mapping[str, Any]) -> None:
    if not state.is_file():
        raise DamagedError("it has no state.safetensors")
    size = state.stat().st_size
    if size != manifest["bytes"]:
        raise DamagedError(f"state.safetensors has {size:,} bytes, its manifest says {manifest['bytes']:,}")
    if hashing.of_file(state) != manifest["sha256"]:
        raise DamagedError("state.safetensors does not fit its sha256")


def _write_error(path: Path, error: SafetensorError) -> MachineError:
    """The error for a failed write; safetensors gives the system's error number in its text only."""
    number = re.search(r"os error (\d+)", str(error))
    if number is not None:
        return files.disk_error(path, OSError(int(number[1]), os.strerror(int(number[1]))))
    return MachineError("a checkpoint could not be written", where=str(path), found=str(error))
