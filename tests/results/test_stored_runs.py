"""`tutelage runs`: what is listed, what is removed, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tutelage.cli.main import main
from tutelage.core.locks import is_held, locked
from tutelage.results import stored_runs
from tutelage.results.folder_claim import HEAD


def make_run(folder: Path, *, model: str = "tiny", size: int = 1_000_000) -> Path:
    """A run that was begun and tuned, without results."""
    (folder / "model").mkdir(parents=True)
    recipe = {"name": folder.name, "model": model, "tasks": [{"name": "letters"}]}
    (folder / "recipe.yaml").write_text(HEAD + json.dumps(recipe), "utf-8")
    (folder / "model" / "adapter_model.safetensors").write_bytes(b"0" * size)
    (folder / "results.sqlite").write_bytes(b"1" * 500)
    (folder / "tuned.json").write_text("{}", "utf-8")
    (folder / ".lock").touch()
    return folder


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / "runs" / "first")
    make_run(tmp_path / "runs" / "second", model="runs/first", size=3_000_000)
    (tmp_path / "runs" / "notes").mkdir()
    (tmp_path / "runs" / "notes" / "thesis.txt").write_text("years of work", "utf-8")
    return tmp_path


def printed(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> dict:
    assert main(["runs", *words, "--json"]) == code
    document: dict = json.loads(capsys.readouterr().out)
    return document


def test_runs_are_listed_and_shown_with_what_each_part_takes(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = {run["run"]: run for run in printed(capsys)["runs"]}
    assert set(listed) == {"runs/first", "runs/second"}
    assert listed["runs/second"]["state"] == "tuned"
    assert listed["runs/second"]["parts"]["model"] == 3_000_000
    assert listed["runs/second"]["parts"]["answers"] == 500
    files = (path for path in (place / "runs" / "second").rglob("*") if path.is_file())
    assert listed["runs/second"]["bytes"] == sum(path.stat().st_size for path in files)
    assert main(["runs"]) == 0
    assert "4.0 MB in 2 runs" in capsys.readouterr().out
    assert main(["runs", "show", "first"]) == 0
    shown = capsys.readouterr().out
    assert "letters" in shown
    assert "runs/second" in shown  # whose model it is
    assert printed(capsys, "--in", "nowhere")["runs"] == []


def test_a_run_is_removed_once_it_is_confirmed(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Terminal:
        answer = "n\n"

        def isatty(self) -> bool:
            return True

        def readline(self) -> str:
            return self.answer

    monkeypatch.setattr("sys.stdin", Terminal())
    assert main(["runs", "remove", "first"]) == 0
    said = capsys.readouterr()
    assert "1.0 MB" in said.err
    assert "runs/second is made from it" in said.err
    assert (place / "runs" / "first" / "tuned.json").is_file()
    Terminal.answer = "y\n"
    assert main(["runs", "remove", "first"]) == 0
    assert not (place / "runs" / "first").exists()
    capsys.readouterr()
    removed = printed(capsys, "remove", str(place / "runs" / "second"), "--yes")["removed"]
    assert [Path(entry["run"]).name for entry in removed] == ["second"]
    assert [path.name for path in (place / "runs").iterdir()] == ["notes"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["remove", "notes", "--yes"], 2, "holds no run"),
        (["remove", "frist", "--yes"], 2, "did you mean first?"),
        (["remove", "first", "second"], 2, "add --yes"),
        (["remove", "link", "--yes"], 2, "a link to"),
        (["remove", "second", "first", "--yes"], 2, "thesis.txt"),
        (["remove"], 2, "needs a run"),
        (["list", "first"], 2, "takes no names"),
        (["show", "first", "--yes"], 2, "belongs to remove"),
    ],
)
def test_what_is_no_run_or_not_confirmed_stays(
    place: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, said: str
) -> None:
    (place / "runs" / "link").symlink_to(place / "runs" / "first")
    if said == "thesis.txt":
        (place / "runs" / "first" / "thesis.txt").write_text("years of work", "utf-8")
    assert said in json.dumps(printed(capsys, *words, code=code))
    for name in ("first/tuned.json", "second/tuned.json", "notes/thesis.txt"):
        assert (place / "runs" / name).is_file()


def test_a_run_that_a_process_works_on_is_in_use_and_stays(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = place / "runs" / "first"
    with locked(folder / ".lock", subject="the run"):
        assert is_held(folder / ".lock")
        assert stored_runs.describe(folder).state == "in use"
        document = printed(capsys, "remove", "first", "--yes", code=3)
        assert "another process" in json.dumps(document)
    assert not is_held(folder / ".lock")
    assert (folder / "tuned.json").is_file()


def test_the_folder_in_which_one_stands_is_not_removed(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place / "runs" / "first" / "model")
    assert "cd .." in json.dumps(printed(capsys, "remove", str(place / "runs" / "first"), "--yes", code=2))
    assert (place / "runs" / "first" / "tuned.json").is_file()
