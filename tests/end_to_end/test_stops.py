"""A tuning that is stopped, spoiled, or found again under other circumstances, through the program."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import chdir
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tutelage import config as recipes
from tutelage.cli.main import main
from tutelage.core.errors import InputError
from tutelage.evaluation.progress import SilentListener
from tutelage.job.run import train
from tutelage.models import smoke_test
from tutelage.training import loop as training
from tutelage.training.events import Event, StepDone

if TYPE_CHECKING:
    from tests.warm import Warm

# The program, to which the signals of its arguments are sent once a step is in its store, or while a checkpoint is written.
SIGNALLED = """
import os, sys
from tutelage.results.store import Store
from tutelage.training import checkpoint

first, second = int(sys.argv[1]), int(sys.argv[2])
sys.argv[:3] = ["tutelage"]
log_step, save_file = Store.log_step, checkpoint.save_file

def logged(store, step, values):
    log_step(store, step, values)
    if step == 5 and first:
        os.kill(os.getpid(), first)

def saved(*given):
    save_file(*given)
    if second:
        os.kill(os.getpid(), second)

Store.log_step, checkpoint.save_file = logged, saved
from tutelage.cli.main import entry
entry()
"""
SETS = [
    "--set",
    "watch=[]",
    "--set",
    "retain={}",
    "--set",
    "tune.checkpoint_every=100",
    "--set",
    "tune.dropout=0.1",
]


def words(out: str) -> list[str]:
    return ["train", "recipe.yaml", "--out", out, *SETS]


@pytest.fixture
def signalled(job: Path, warm: Warm) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(first: int, second: int = 0, *, options: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        numbers = [int(first), int(second)]
        return warm.run([*numbers, *words("out"), *options], code=SIGNALLED, cwd=job, timeout=300)

    return run


def saved(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted((folder / "model").rglob("*.safetensors"))}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_with_a_checkpoint_and_says_how_to_go_on(
    job: Path,
    signalled: Callable[..., subprocess.CompletedProcess[str]],
    capsys: pytest.CaptureFixture[str],
    number: int,
    code: int,
) -> None:
    options = ["--json"] if number == signal.SIGTERM else []
    done = signalled(number, options=options)
    assert done.returncode == code, done.stderr
    assert "stopping: writing the checkpoint of step 5; Ctrl-C again stops at once" in done.stderr
    problem = "stopped after step 5 of 12, whose checkpoint is written"
    fix = f"to go on, run it again: {shlex.join(['tutelage', *words('out'), *options])}"
    if options:
        assert (
            json.loads(done.stdout)["error"].items()
            >= {"problem": problem, "fix": fix, "exit_code": 143}.items()
        )
    else:
        assert problem in done.stderr
        assert fix in done.stderr
    assert "Traceback" not in done.stderr
    assert [p.name for p in (job / "out" / "checkpoints").glob("step-*")] == ["step-00000005"]
    assert not (job / "out" / "model").exists()
    with chdir(job):
        assert main(words("out")) == 0
        assert "resumes from step 5" in capsys.readouterr().err
        assert main(words("whole")) == 0
    assert saved(job / "out") == saved(job / "whole")


def test_a_second_ctrl_c_stops_at_once_and_leaves_nothing_half_written(
    job: Path, signalled: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    done = signalled(signal.SIGINT, signal.SIGINT)
    assert done.returncode == 130, done.stderr
    assert "stopped: what was finished is kept" in done.stderr
    assert "Traceback" not in done.stderr
    assert [p.name for p in (job / "out" / "checkpoints").iterdir() if p.name != "best"] == []


class Pulled(BaseException):
    """The plug."""


class Pull(SilentListener):
    """Pulls it at step 5, one step after the second checkpoint."""

    def event(self, event: Event) -> None:
        if isinstance(event, StepDone) and event.step == 5:
            raise Pulled


def recipe(job: Path, *sets: str) -> recipes.Recipe:
    return recipes.load(job / "recipe.yaml", sets=["watch=[]", "retain={}", *sets])


@pytest.fixture
def pulled(job: Path) -> Path:
    """A job on a model of its own, whose tuning was ended at step 5 with checkpoints of steps 2 and 4."""
    model = recipes.load(job / "recipe.yaml").model
    shutil.copytree(model, job / "model")
    text = (job / "recipe.yaml").read_text("utf-8").replace(str(model), str(job / "model"))
    (job / "recipe.yaml").write_text(text, "utf-8")
    with pytest.raises(Pulled):
        train(recipe(job), out=job / "out", listener=Pull())
    assert [p.name for p in sorted((job / "out" / "checkpoints").glob("step-*"))] == [
        "step-00000002",
        "step-00000004",
    ]
    return job


def other_rows(job: Path) -> None:
    held = [json.loads(line) for line in (job / "rows.jsonl").read_text("utf-8").splitlines()]
    held[2]["answer"] = "Plan 2 is pink."
    (job / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in held[:-1]), "utf-8")


def other_weights(job: Path, more: float = 0.5) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    state = load_file(job / "model" / "model.safetensors")
    state["model.norm.weight"] = state["model.norm.weight"] + torch.tensor(more)
    save_file(state, job / "model" / "model.safetensors", metadata={"format": "pt"})


def other_template(job: Path) -> None:
    path = job / "model" / "chat_template.jinja"
    path.write_text("A talk. " + path.read_text("utf-8"), "utf-8")


ROWS = (
    "data.tasks.colours.sha256: in the checkpoint ",
    "data.tasks.colours.training_rows: in the checkpoint 12, now 11",
)


@pytest.mark.parametrize(
    ("changes", "version", "named"),
    [
        ([other_rows], None, ROWS),
        ([other_weights], None, ("base_model: in the checkpoint ",)),
        ([other_template], None, ("base_model: ", "data.chat_template: in the checkpoint ")),
        ([], "9.9.9", ('tutelage: in the checkpoint "0.1.0", now "9.9.9"',)),
        ([other_rows, other_weights], "9.9.9", (*ROWS, "base_model: ", "tutelage: ")),
    ],
    ids=["data", "base model", "chat template", "version", "all at once"],
)
def test_a_checkpoint_of_something_else_is_refused_with_every_difference(
    pulled: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: list[Callable[[Path], None]],
    version: str | None,
    named: tuple[str, ...],
) -> None:
    before = {p: p.read_bytes() for p in (pulled / "out" / "checkpoints").rglob("*") if p.is_file()}
    for change in changes:
        change(pulled)
    if version is not None:
        monkeypatch.setattr(training, "__version__", version)
    with pytest.raises(InputError, match="this checkpoint belongs to another tuning") as caught:
        train(recipe(pulled), out=pulled / "out")
    found = str(caught.value.found)
    for one in named:
        assert one in found
    # One row less is one step less, by which the rate falls and validations come.
    steps = ("tune.steps", "tune.validate_every") if other_rows in changes else ()
    places = {one.partition(": ")[0] for one in found.split("; ")}
    assert places - set(steps) == {one.partition(": ")[0] for one in named}
    assert str(pulled / "out" / "checkpoints") in str(caught.value.fix)
    assert not (pulled / "out" / "model").exists()
    assert before == {p: p.read_bytes() for p in (pulled / "out" / "checkpoints").rglob("*") if p.is_file()}


def test_another_recipe_is_refused_with_every_difference(
    pulled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = ["--set", "watch=[]", "--set", "retain={}", "--set", "tune.seed=1", "--set", "tune.rank=8"]
    assert main(["train", str(pulled / "recipe.yaml"), "--out", str(pulled / "out"), *sets]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "the output folder holds another recipe's run" in said
    assert "tune.rank is 4 there and 8 here; tune.seed is 0 there and 1 here" in said


def flipped(newest: Path) -> None:
    content = bytearray((newest / "state.safetensors").read_bytes())
    content[-7] ^= 1
    (newest / "state.safetensors").write_bytes(content)


def cut(newest: Path) -> None:
    content = (newest / "state.safetensors").read_bytes()
    (newest / "state.safetensors").write_bytes(content[:1000])


def unsigned(newest: Path) -> None:
    (newest / "manifest.json").unlink()


def emptied(newest: Path) -> None:
    (newest.parent / "step-00000006").mkdir()
    flipped(newest)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (flipped, "step-00000004 (state.safetensors does not fit its sha256)"),
        (cut, "step-00000004 (state.safetensors has 1,000 bytes, its manifest says "),
        (unsigned, "step-00000004 (it has no manifest.json)"),
        (
            emptied,
            "step-00000006 (it has no manifest.json), step-00000004 (state.safetensors does not fit its sha256)",
        ),
    ],
)
def test_damage_costs_steps_and_is_told(
    pulled: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[Path], None], told: str
) -> None:
    damage(pulled / "out" / "checkpoints" / "step-00000004")
    program = ["train", str(pulled / "recipe.yaml"), "--set", "watch=[]", "--set", "retain={}"]
    assert main([*program, "--out", str(pulled / "out")]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert f"skipped damaged checkpoints: {told}" in said
    assert "resumes from step 2" in said
    assert main([*program, "--out", str(pulled / "whole")]) == 0
    assert saved(pulled / "out") == saved(pulled / "whole")


def test_nothing_but_damage_is_refused_and_never_the_base_model(
    pulled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in (pulled / "out" / "checkpoints").glob("step-*"):
        flipped(folder)
    program = ["train", str(pulled / "recipe.yaml"), "--set", "watch=[]", "--set", "retain={}"]
    assert main([*program, "--out", str(pulled / "out")]) == 3
    assert "every checkpoint of this run is damaged" in capsys.readouterr().err
    assert not (pulled / "out" / "model").exists()


def test_a_loss_that_is_not_finite_stops_with_the_step_and_the_lines_of_its_rows(
    pulled: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    other_weights(pulled, 3e38)
    monkeypatch.setattr(
        smoke_test, "check_model", lambda *_: None
    )  # it would refuse such a model before the training does
    program = ["train", str(pulled / "recipe.yaml"), "--out", str(pulled / "spoiled")]
    assert main([*program, "--set", "watch=[]", "--set", "retain={}"]) == 2
    said = capsys.readouterr().err
    assert "step 1: the loss is no longer a finite number" in said
    assert re.search(
        r"found: +loss nan; rows rows\.jsonl:\d+(, rows\.jsonl:\d+)* of the task colours\n", said
    )
    assert list((pulled / "spoiled" / "checkpoints").iterdir()) == []
