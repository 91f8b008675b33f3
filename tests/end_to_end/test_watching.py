"""A run that is watched: its log, its page while it is at work, and that watching changes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tutelage.cli import live_page as watching
from tutelage.cli.main import main
from tutelage.core.errors import InputError
from tutelage.report import live_page
from tutelage.results import step_log
from tutelage.training.events import Event, StepDone


def run(job: Path, out: str, *words: str) -> int:
    return main(["run", str(job / "recipe.yaml"), "--out", str(job / out), *words])


def weights(folder: Path) -> bytes:
    return (folder / "model" / "adapter_model.safetensors").read_bytes()


def logged(folder: Path) -> list[dict[str, Any]]:
    """The training log without what depends on the machine's load."""
    return [
        {key: value for key, value in step.items() if key != "seconds"}
        for step in step_log.read(folder / "log.jsonl")
    ]


def test_a_watched_run_gives_the_same_weights_and_shows_itself(
    job: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(job, "plain") == 0
    said = capsys.readouterr().err.splitlines()
    assert said[0] == f"run folder: {job / 'plain'}"
    assert [line.split(" (")[0] for line in said if " of 5: " in line] == [
        "1 of 5: prepare",
        "2 of 5: base",
        "3 of 5: tune",
        "4 of 5: tuned",
        "5 of 5: report",
    ]
    steps = logged(job / "plain")
    assert [step["step"] for step in steps] == [*range(13)]
    assert set(steps[0]) == {"step", "validation_loss"}
    assert set(steps[1]) == {"step", "loss", "grad_norm", "lr", "tokens"}
    assert "validation_loss" in steps[2]

    pages: list[str] = []
    write = live_page.write

    def keep(*args: Any, **kwargs: Any) -> Path:
        path = write(*args, **kwargs)
        pages.append(path.read_text("utf-8"))
        return path

    monkeypatch.setattr(live_page, "write", keep)
    monkeypatch.setattr(watching, "PAGE_SECONDS", 0.0)
    monkeypatch.setattr(watching, "SHARE", 1e9)
    assert run(job, "watched", "--live") == 0
    assert f"live page: {job / 'watched' / 'report.html'}" in capsys.readouterr().err
    assert weights(job / "watched") == weights(job / "plain")
    assert logged(job / "watched") == steps

    training = [page for page in pages if "3 of 5: tune" in page and "<polyline" in page]
    assert len(training) >= 12
    for words in ('http-equiv="refresh"', "before the first step", "Gradient norm", "Expected", "base model"):
        assert words in training[-1]
    assert "4 of 5: tuned" in pages[-1]
    final = (job / "watched" / "report.html").read_text("utf-8")
    assert "What it learned, what it forgot" in final
    assert "before the first step" in final
    assert 'http-equiv="refresh"' not in final


def test_a_stopped_run_has_a_page_and_resumes_its_log(
    job: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(job, "whole") == 0
    out = job / "stopped"
    event = watching.LivePage.event

    def stop(self: watching.LivePage, happened: Event) -> None:
        event(self, happened)
        if isinstance(happened, StepDone) and happened.step == 5:
            raise InputError("stopped by the test")

    monkeypatch.setattr(watching.LivePage, "event", stop)
    assert run(job, "stopped", "--live") == 2
    assert [step["step"] for step in logged(out)] == [0, 1, 2, 3, 4, 5]
    page = (out / "report.html").read_text("utf-8")
    assert "step 5" in page
    assert 'http-equiv="refresh"' not in page
    assert live_page.is_live(out / "report.html")
    (out / "report.html").unlink()
    capsys.readouterr()
    assert main(["report", str(out), "--json"]) == 0
    assert Path(json.loads(capsys.readouterr().out)["report"]) == out / "report.html"
    assert "Nothing works on it now" in (out / "report.html").read_text("utf-8")
    # A newer line than the checkpoint from which the run resumes is written once more, and stands there once.
    monkeypatch.undo()
    assert run(job, "stopped") == 0
    assert logged(out) == logged(job / "whole")
    assert weights(out) == weights(job / "whole")
    # A page of the unfinished run beside finished results is written anew.
    (out / "report.html").unlink()
    live_page.write(out)
    assert run(job, "stopped") == 0
    assert not live_page.is_live(out / "report.html")


def test_a_page_that_cannot_be_written_stops_no_run(
    job: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: Any, **__: Any) -> Path:
        raise InputError("somebody edited the page")

    monkeypatch.setattr(live_page, "write", refuse)
    assert run(job, "out", "--live", "--set", "tune.steps=2") == 0
    assert capsys.readouterr().err.count("somebody edited the page") == 1


def test_texts_of_data_and_models_stay_texts(tmp_path: Path) -> None:
    from tutelage.core.types import Response
    from tutelage.results.store import Item, Store

    evil = "</p><script>alert(1)</script>\x1b[2J"
    (tmp_path / "recipe.yaml").write_text(json.dumps({"name": evil}), "utf-8")
    with Store.open(tmp_path / "results.sqlite") as store:
        evaluation = store.evaluation(model="base", suite="task", name=evil, fingerprint="x", provenance={})
        evaluation.declare([Item("1", "", evil, (evil,))])
        evaluation.add([Response("1", evil, "stop", 1)])
    assert live_page.is_unfinished(tmp_path)
    page = live_page.write(tmp_path, status=evil, reload=4).read_text("utf-8")
    assert "<script" not in page
    assert "\x1b" not in page
    assert page.count("&lt;script&gt;") >= 5
