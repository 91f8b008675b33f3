"""The machine on which a training runs: what decides its rounding, and how much memory it takes."""

from __future__ import annotations

import os
from typing import Any

import torch

from tutelage.core import provenance


def description(device: torch.device) -> dict[str, Any]:
    """What decides how sums are rounded: on another machine a training can resume, but not bit by bit."""
    versions = provenance.versions()
    return {
        **{name: versions.get(name) for name in ("torch", "transformers", "peft")},
        "device": device.type,
        "threads": torch.get_num_threads(),
    }


def resident_bytes() -> int:
    """This process's resident memory in bytes; 0 where the system does not provide it."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - faster than Path, and read at every step
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
