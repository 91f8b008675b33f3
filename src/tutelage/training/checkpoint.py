"""Checkpoints that are whole or absent, hold no pickle, and are checked before they are used.

A checkpoint is a folder `step-00000040` with `state.safetensors` (trained weights and the optimizer's moments) and
`manifest.json`, written last, with the size and sha256 of the former, what the run was, and its own checksum.
Position is one number, the step: order, rate and dropout are functions of (seed, step), so there is no generator
state to keep.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from tutelage.core import files, hashing
from tutelage.core.errors import InputError, MachineError

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Position:
    """Where the loop stands: steps done, and the lowest validation loss with its step."""

    step: int
    best_loss: float | None = None
    best_step: int | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """The newest whole checkpoint, and newer ones that were damaged."""

    folder: Path
    position: Position
    damaged: tuple[str, ...]


def save(folder: Path, name: str, tensors: Mapping[str, torch.Tensor], position: Position, run: str) -> Path:
    """Write a checkpoint; the disk is asked for room first.

    Args:
        folder: the run's checkpoints.
        name: `step-…` or `best`.
        tensors: what to keep, by name.
        position: where the loop stands.
        run: the hash of everything that the weights depend on.
    """
    needed = sum(t.numel() * t.element_size() for t in tensors.values())
    files.require_space(folder, needed + (8 << 20), what="a checkpoint")
    with files.new_folder(folder / name) as part:
        state = part / "state.safetensors"
        try:
            save_file({k: t.detach().contiguous() for k, t in tensors.items()}, state)
        except SafetensorError as error:  # its only word for a refused write
            raise MachineError(
                "a checkpoint could not be written", where=str(folder), found=str(error)
            ) from error
        manifest: dict[str, Any] = {
            "format": _FORMAT,
            "run": run,
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


def newest(folder: Path, run: str) -> Found | None:
    """The newest whole checkpoint, None when there is none at all.

    Raises:
        InputError: it belongs to another run.
        MachineError: there are checkpoints, but every one is damaged.
    """
    damaged: list[str] = []
    names = sorted((p.name for p in folder.glob("step-*") if p.is_dir()), reverse=True)
    for name in names:
        position = check(folder / name, run)
        if position is not None:
            return Found(folder / name, position, tuple(damaged))
        damaged.append(name)
    if damaged:
        raise MachineError(
            "every checkpoint of this run is damaged",
            where=str(folder),
            found=", ".join(damaged),
            expected="a state that fits its manifest",
            fix="remove this folder to start the tuning again from the base model",
        )
    return None


def check(folder: Path, run: str) -> Position | None:
    """The position of a whole checkpoint, None when it is damaged."""
    manifest = _manifest(folder)
    state = folder / "state.safetensors"
    if manifest is None or not state.is_file() or state.stat().st_size != manifest["bytes"]:
        return None
    if manifest["run"] != run:
        raise InputError(
            "these checkpoints belong to another tuning",
            where=str(folder),
            found=f"run {manifest['run'][:8]}",
            expected=f"run {run[:8]}: same model, rows, order and settings",
            fix="name another folder with --out, or remove this one",
        )
    if hashing.of_file(state) != manifest["sha256"]:
        return None
    return Position(**manifest["position"])


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


def _manifest(folder: Path) -> dict[str, Any] | None:
    try:
        manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
        checksum = manifest.pop("checksum")
        whole = hashing.of_json(manifest) == checksum and manifest["format"] == _FORMAT
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return manifest if whole else None
