"""log.jsonl: whole lines, a line a step, no step twice after a resume."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tutelage.core.errors import InputError, MachineError
from tutelage.results import step_log
from tutelage.results.step_log import StepLog


def entry(step: int) -> dict[str, float]:
    """A step as the store has it."""
    return {"loss": 3 - step / 10, "norm": 0.5, "rate": 1e-3, "tokens": 100, "seconds": 2.0, "memory": 1}


def test_a_line_a_step_with_the_validation_loss_where_it_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    log = StepLog(path, lambda step: step == 2)
    log.add(0, {"validation_loss": 3.5})
    for step in (1, 2):
        log.add(step, entry(step))
    assert [line["step"] for line in step_log.read(path)] == [0, 1]  # step 2 waits for its validation
    log.add(2, {**entry(2), "validation_loss": 3.0})
    assert json.loads(path.read_text().splitlines()[2]) == {
        "step": 2,
        "loss": 2.8,
        "grad_norm": 0.5,
        "lr": 1e-3,
        "tokens": 100,
        "seconds": 2.0,
        "validation_loss": 3.0,
    }


def test_a_resumed_training_begins_with_the_steps_before_it_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"step": 4, "lo')
    assert [line["step"] for line in step_log.read(path)] == [1, 2, 3]
    log = StepLog(path, lambda _: False)
    log.begin([{"step": step, **entry(step)} for step in range(1, 8)], upto=2)
    log.add(3, entry(3))
    assert [line["step"] for line in step_log.read(path)] == [1, 2, 3]
    assert path.read_text().endswith("}\n")


def test_a_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log.jsonl"
    log = StepLog(path, lambda _: False)
    log.add(1, entry(1))
    whole = os.write

    def half(handle: int, content: Any) -> int:
        return whole(handle, content[: len(content) // 2])

    monkeypatch.setattr("tutelage.results.step_log.os.write", half)
    with pytest.raises(MachineError, match="the disk is full"):
        log.add(2, entry(2))
    monkeypatch.undo()
    assert [line["step"] for line in step_log.read(path)] == [1]
    assert path.read_text().endswith("}\n")


@pytest.mark.parametrize("line", ["[1]", '{"loss": 2}', "nonsense"])
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(f'{{"step": 1}}\n{line}\n')
    with pytest.raises(InputError) as caught:
        step_log.read(path)
    assert f"{path}:2" in str(caught.value.where)
