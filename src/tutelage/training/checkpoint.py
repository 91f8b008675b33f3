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
from tutelage.core.differences import differences, listed
from tutelage.core.errors import InputError, MachineError

_FORMAT = 2
_KEYS = {"format", "needs", "machine", "position", "bytes", "sha256", "checksum"}


@dataclass(frozen=True, slots=True)
class Run:
    """What a checkpoint is of, as JSON.

    Attributes:
        needs: everything that the weights depend on, by name; where any of it is another, the checkpoint is refused.
        machine: what may only round otherwise, such as versions of libraries; where it is another, that is told.
    """

    needs: Mapping[str, Any]
    machine: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Position:
    """Where the loop stands: steps done, and the lowest validation loss with its step."""

    step: int
    best_loss: float | None = None
    best_step: int | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """The newest whole checkpoint.

    Attributes:
        folder: where it lies.
        position: where it was written.
        damaged: newer ones that cannot be used, each with what is wrong with it.
        machine: what of the machine was another when it was written.
    """

    folder: Path
    position: Position
    damaged: tuple[str, ...]
    machine: tuple[str, ...] = ()


class DamagedError(Exception):
    """A checkpoint that is not as it was written; says what is wrong."""


def save(folder: Path, name: str, tensors: Mapping[str, torch.Tensor], position: Position, run: Run) -> Path:
    """Write a checkpoint; the disk is asked for room first.

    Args:
        folder: the run's checkpoints.
        name: `step-…` or `best`.
        tensors: what to keep, by name.
        position: where the loop stands.
        run: what it is of.
    """
    needed = sum(t.numel() * t.element_size() for t in tensors.values())
    files.require_space(folder, needed + (8 << 20), what="a checkpoint")
    with files.new_folder(folder / name) as part:
        state = part / "state.safetensors"
        try:
            save_file({k: t.detach().contiguous() for k, t in tensors.items()}, state)
        except SafetensorError as error:  # its only word for a refused write
            raise _refused(folder / name, error) from error
        manifest: dict[str, Any] = {
            "format": _FORMAT,
            "needs": run.needs,
            "machine": run.machine,
            "position": asdict(position),
            "bytes": state.stat().st_size,
            "sha256": hashing.of_file(state),
        }
        manifest["checksum"] = hashing.of_json(manifest)
        files.write_text(part / "manifest.json", json.dumps(manifest, indent=1))
    return folder / name


def name_of(step: int) -> str:
    """A step's checkpoint name; names sort as steps do."""
    return f"step-{step:08d}"


def newest(folder: Path, run: Run) -> Found | None:
    """The newest whole checkpoint, None when there is none at all.

    Raises:
        InputError: it belongs to another run.
        MachineError: there are checkpoints, but every one is damaged.
    """
    damaged: list[str] = []
    names = sorted((p.name for p in folder.glob("step-*") if p.is_dir()), reverse=True)
    for name in names:
        try:
            position = check(folder / name, run)
        except DamagedError as error:
            damaged.append(f"{name} ({error})")
            continue
        return Found(folder / name, position, tuple(damaged), _other_machine(folder / name, run))
    if damaged:
        raise MachineError(
            "every checkpoint of this run is damaged",
            where=str(folder),
            found=", ".join(damaged),
            expected="a state that fits its manifest",
            fix="remove this folder to start the tuning again from the base model",
        )
    return None


def check(folder: Path, run: Run) -> Position:
    """The position of a whole checkpoint.

    Raises:
        DamagedError: it is not whole.
        InputError: it belongs to another run.
    """
    try:
        manifest = _manifest(folder)
        _require_same(folder, manifest, run)
        return _checked(folder, manifest)
    except OSError as error:
        raise DamagedError(f"could not be read: {error.strerror or error}") from error


def load(folder: Path) -> dict[str, torch.Tensor]:
    """A checked checkpoint's tensors."""
    return dict(load_file(folder / "state.safetensors"))


def prune(folder: Path, *, upto: int, keep: int = 2) -> None:
    """Remove all step checkpoints but the newest `keep` of those up to step `upto`.

    What is newer than the step just written was found damaged before, and must not take a good one's place.
    """
    names = sorted(p.name for p in folder.glob("step-*") if p.is_dir())
    kept = [name for name in names if name <= name_of(upto)][-keep:]
    for name in names:
        if name not in kept:
            shutil.rmtree(folder / name, ignore_errors=True)


def _manifest(folder: Path) -> dict[str, Any]:
    """The manifest, as it was written."""
    path = folder / "manifest.json"
    if not path.is_file():
        raise DamagedError("it has no manifest.json")
    try:
        manifest: dict[str, Any] = json.loads(path.read_bytes())
        whole = (
            hashing.of_json({k: v for k, v in manifest.items() if k != "checksum"}) == manifest["checksum"]
        )
        whole = whole and (manifest["format"] != _FORMAT or manifest.keys() == _KEYS)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        whole = False
    if not whole:
        raise DamagedError("manifest.json does not fit its checksum")
    return manifest


def _require_same(folder: Path, manifest: Mapping[str, Any], run: Run) -> None:
    if manifest["format"] == _FORMAT:
        found = differences(manifest["needs"], run.needs)
    else:
        found = differences({"format": manifest["format"]}, {"format": _FORMAT})
    if found:
        raise InputError(
            "this checkpoint belongs to another tuning",
            where=str(folder),
            found=listed(found, "{path}: in the checkpoint {old}, now {new}"),
            expected="the same recipe, rows, base model and version of Tutelage",
            fix=f"bring back what it was, name another folder with --out, or remove {folder.parent} "
            "to start the tuning again from the base model",
        )


def _checked(folder: Path, manifest: Mapping[str, Any]) -> Position:
    """The position, when the state is what the manifest says."""
    state = folder / "state.safetensors"
    if not state.is_file():
        raise DamagedError("it has no state.safetensors")
    size = state.stat().st_size
    if size != manifest["bytes"]:
        raise DamagedError(f"state.safetensors has {size:,} bytes, its manifest says {manifest['bytes']:,}")
    if hashing.of_file(state) != manifest["sha256"]:
        raise DamagedError("state.safetensors does not fit its sha256")
    return Position(**manifest["position"])


def _other_machine(folder: Path, run: Run) -> tuple[str, ...]:
    found = differences(_manifest(folder)["machine"], run.machine)
    return tuple(f"{one.path}: then {one.old}, now {one.new}" for one in found)


def _refused(path: Path, error: SafetensorError) -> MachineError:
    """A refused write in words; safetensors tells the system's number in its text only."""
    number = re.search(r"os error (\d+)", str(error))
    if number is not None:
        return files.disk_error(path, OSError(int(number[1]), os.strerror(int(number[1]))))
    return MachineError("a checkpoint could not be written", where=str(path), found=str(error))
