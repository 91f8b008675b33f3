"""A training that is killed or stopped while samples are asked: no finished step is asked again, and it ends in the same."""

from __future__ import annotations

import json
import signal
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tutelage.config import load
from tutelage.engine import Engine
from tutelage.job.run import train
from tutelage.results.store import Store

if TYPE_CHECKING:
    from tests.warm import Warm

# The program, to which a signal is sent when it has stored answers of a step for the n-th time.
SIGNALLED = """
import os, sys
from tutelage.results.evaluation import Evaluation

number, at = int(sys.argv[1]), int(sys.argv[2])
sys.argv[:3] = ["tutelage"]
add, count = Evaluation.add, 0

def added(evaluation, responses):
    global count
    add(evaluation, responses)
    if evaluation.model.startswith("step"):
        count += 1
        if count == at:
            os.kill(os.getpid(), number)

Evaluation.add = added
from tutelage.cli.main import entry
entry()
"""


@pytest.fixture
def tracked(job: Path) -> Path:
    """The job's recipe with samples at a step that has a checkpoint (4), at one that has none (7), and at the last one."""
    recipe = yaml.safe_load((job / "recipe.yaml").read_text("utf-8"))
    recipe["track"] = {"at": [4, 7], "items": 6}
    recipe["tune"]["dropout"] = 0.2
    (job / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    return job


def answered(folder: Path) -> set[tuple[str, str, str]]:
    """Model, suite and id of every stored response of a step."""
    with Store.open(folder / "results.sqlite") as store:
        return {
            (evaluation.model, evaluation.suite, item)
            for evaluation in store.evaluations()
            if evaluation.model.startswith("step")
            for item in evaluation.responses()
        }


def outcome(folder: Path) -> tuple[dict[str, bytes], bytes]:
    """Weights and curve."""
    weights = {path.name: path.read_bytes() for path in sorted((folder / "model").rglob("*.safetensors"))}
    return weights, (folder / "curve.json").read_bytes()


def count_questions(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    counts: Counter[str] = Counter()
    answer = Engine.answer

    def counted(engine: Engine, requests: Any, **named: Any) -> Any:
        counts.update(request.id for request in requests)
        return answer(engine, requests, **named)

    monkeypatch.setattr(Engine, "answer", counted)
    return counts


@pytest.mark.parametrize(
    ("number", "at"),
    [(signal.SIGKILL, 1), (signal.SIGKILL, 3), (signal.SIGKILL, 4), (signal.SIGINT, 1), (signal.SIGTERM, 4)],
)
def test_what_is_answered_is_not_asked_again_and_the_end_is_the_same(
    tracked: Path, warm: Warm, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, at: int
) -> None:
    words = ["train", "recipe.yaml", "--out", "out"]
    done = warm.run([int(number), at, *words], code=SIGNALLED, cwd=tracked, timeout=300)
    codes = {signal.SIGKILL: -signal.SIGKILL, signal.SIGINT: 130, signal.SIGTERM: 143}
    assert done.returncode == codes[number], done.stderr
    before = answered(tracked / "out")
    assert before
    checkpoints = {path.name for path in (tracked / "out" / "checkpoints").glob("step-*")}
    stopped = max(int(model.removeprefix("step ")) for model, _, _ in before)
    if number != signal.SIGKILL:
        assert f"stopped after step {stopped} of 12, whose checkpoint is written" in done.stderr
        assert f"step-{stopped:08d}" in checkpoints
    recipe = load(tracked / "recipe.yaml")
    with monkeypatch.context() as patched:
        counts = count_questions(patched)
        train(recipe, out=tracked / "out")
    after = answered(tracked / "out")
    assert before < after
    assert counts.total() == len(after) - len(before)  # each of them once, the base's not again
    train(recipe, out=tracked / "whole")
    assert outcome(tracked / "out") == outcome(tracked / "whole")
    assert answered(tracked / "whole") == after
    curve = json.loads((tracked / "out" / "curve.json").read_text("utf-8"))
    assert [point["step"] for point in curve["tasks"]["colours"]["points"]] == [0, 4, 7, 12]
