"""Saves checkpoints while the n-th system call fails, for every n; prints a JSON line for each. Needs failing.c before libc."""

from __future__ import annotations

import ctypes
import errno
import json
import sys
from itertools import product
from pathlib import Path

import numpy as np  # noqa: F401 - safetensors imports it at the first save
import torch

from tutelage.core import files
from tutelage.core.errors import MachineError
from tutelage.training import checkpoint
from tutelage.training.checkpoint import Position, TuningIdentity

RUN = TuningIdentity({"identity": "x"})
SHIM = ctypes.CDLL(None)
SHIM.fault_disarm.restype = ctypes.c_char_p


def tensors(step):
    return {"weight.a": torch.full((400, 400), float(step)), "exp_avg.a": torch.arange(160_000.0) + step}


def save(folder, step):
    checkpoint.save(folder, checkpoint.step_name(step), tensors(step), Position(step), RUN)


def trial(folder, n, code, *, replaces):
    """Save step 4 while the n-th call fails, and look at what is there; None when none failed."""
    for step in (2, 4) if replaces else (2,):
        save(folder, step)
    problem = None
    SHIM.fault_arm(n, code)
    try:
        save(folder, 4)
    except MachineError as error:
        problem = error.as_json()
    finally:
        fired = SHIM.fault_disarm().decode()
    if not fired:
        return None if problem is None else {"n": n, "fired": "nothing", "problem": problem}
    files.sweep_parts(folder)
    found = checkpoint.newest(folder, RUN)
    state = checkpoint.load(found.folder)
    want = tensors(found.position.step)
    return {
        "n": n,
        "code": errno.errorcode[code],
        "replaces": replaces,
        "fired": fired,
        "problem": problem,
        "used": found.position.step,
        "damaged": list(found.damaged),
        "whole": state.keys() == want.keys() and all(torch.equal(state[k], v) for k, v in want.items()),
        "left": sorted(p.name for p in folder.iterdir()),
    }


if __name__ == "__main__":
    save(Path(sys.argv[1]) / "first", 1)  # imports what is imported late
    for failure, over in product((errno.EIO, errno.ENOSPC), (False, True)):
        for number in range(1, 200):
            folder = Path(sys.argv[1]) / f"{failure}-{over}-{number}"
            told = trial(folder, number, failure, replaces=over)
            if told is None:
                break
            print(json.dumps(told))  # noqa: T201  # the test reads it
