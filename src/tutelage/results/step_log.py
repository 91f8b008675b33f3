"""log.jsonl: a line of JSON for each training step, written at once, for `tail -f`, pandas and other programs.

{"step": 3, "loss": 2.11, "grad_norm": 0.8, "lr": 0.0004, "tokens": 912, "seconds": 1.4}, with "validation_loss" where it was measured
after the step. Step 0 has the validation loss alone: that of the base. Every line is written in one piece, and a resumed training
begins by writing the file anew, up to the step from which it resumes. results.sqlite has the same steps with more of each.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from tutelage.core import files, strictjson
from tutelage.core.errors import InputError
from tutelage.core.files import disk_error

_KEYS = {
    "loss": "loss",
    "grad_norm": "norm",
    "lr": "rate",
    "tokens": "tokens",
    "seconds": "seconds",
    "validation_loss": "validation_loss",
}
"""The keys of a line, and their names in the store."""


class StepLog:
    """Writes one training's log.jsonl.

    Args:
        path: the file.
        validates: whether the validation loss is measured after a step: its line waits for it.
    """

    def __init__(self, path: Path, validates: Callable[[int], bool]) -> None:
        self._path = path
        self._validates = validates
        self._handle: int | None = None

    def begin(self, steps: Iterable[Mapping[str, float]] = (), *, upto: int = 0) -> None:
        """Write the file anew with the steps that an earlier process did.

        Args:
            steps: the store's entries.
            upto: the step from which the training resumes; later entries are left out.

        Raises:
            MachineError: the disk does not take it.
        """
        self.close()
        files.write_text(self._path, "".join(_line(step) for step in steps if step["step"] <= upto))
        self._handle = os.open(self._path, os.O_WRONLY | os.O_APPEND)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Add a step's line once all is known of it.

        Raises:
            MachineError: the disk does not take it.
        """
        if self._handle is None:
            self.begin()
        if "validation_loss" not in values and self._validates(step):
            return
        assert self._handle is not None
        line = _line({"step": step, **values}).encode("ascii")
        try:
            written = os.write(self._handle, line)
        except OSError as error:
            raise disk_error(self._path, error) from error
        if written < len(line):
            os.ftruncate(self._handle, os.fstat(self._handle).st_size - written)
            raise disk_error(self._path, OSError(errno.ENOSPC, "the line was not written whole"))

    def close(self) -> None:
        """Close the file; what is written stays."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def read(path: Path) -> list[dict[str, Any]]:
    """Read a log.jsonl, also while it is written; [] where there is none, and without a last line that is not whole.

    Raises:
        InputError: a line is no JSON object.
    """
    if not path.is_file():
        return []
    text = path.read_bytes()
    steps: list[dict[str, Any]] = []
    for number, line in enumerate(text[: text.rfind(b"\n") + 1].splitlines(), start=1):
        step = strictjson.loads(line.decode("utf-8", "replace"), where=f"{path}:{number}")
        if not isinstance(step, dict) or not isinstance(step.get("step"), int):
            raise InputError(
                "the line is no step of a training",
                where=f"{path}:{number}",
                expected='a JSON object with "step"',
                fix=f"remove {path}: the run does not need it",
            )
        steps.append(step)
    return steps


def _line(step: Mapping[str, float]) -> str:
    values = {key: step[name] for key, name in _KEYS.items() if name in step}
    return json.dumps({"step": int(step["step"]), **values}, allow_nan=False) + "\n"
