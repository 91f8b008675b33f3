"""A prediction that is killed: the same command resumes it, and its file is that of one that was never stopped."""

from __future__ import annotations

import signal
from pathlib import Path

from prediction.conftest import write_rows
from tutelage.results.store import Store

PROGRAM = """
import os, signal
from tutelage.cli.main import entry
from tutelage.core import outputs
from tutelage.results.evaluation import Evaluation

add, write = Evaluation.add, outputs.NewFile.write

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def add_some(self, responses):
    add(self, responses[:5])
    die()

def write_and_die(self, content, **options):
    write(self, content, **options)
    die()

{kill}
entry()
"""
KILLS = {
    "before the first answer": "Evaluation.add = lambda *_: die()",
    "after some answers": "Evaluation.add = add_some",
    "when the file is written": "outputs.NewFile.write = write_and_die",
}


def test_a_killed_prediction_resumes_to_the_same_bytes(finished, warm, tmp_path):
    write_rows(tmp_path / "new.jsonl", [{"question": f"What is {i}? " * (i % 7 + 1)} for i in range(12)])
    words = ["predict", finished, "new.jsonl", "--task", "colours", "--temperature", 1, "--n", 2]
    words += ["--recipe", finished.parent / "recipe.yaml", "--out"]
    assert warm.run([*words, "whole.parquet"], cwd=tmp_path).returncode == 0
    out = tmp_path / "out.parquet"
    for moment, kill in KILLS.items():
        with warm.start([*words, out.name], cwd=tmp_path, code=PROGRAM.format(kill=kill)) as child:
            assert child.wait() == -signal.SIGKILL, moment
        assert out.exists() == (moment == "when the file is written"), moment
        if moment == "after some answers":
            (folder,) = hidden(tmp_path)
            with Store.open(tmp_path / folder / "results.sqlite", read_only=True) as store:
                assert [len(each.responses()) for each in store.evaluations()] == [5]
    resumed = warm.run([*words, out.name], cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert out.read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    assert not hidden(tmp_path)


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]
