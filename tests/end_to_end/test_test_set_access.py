"""Test rows looked at before the tuning had ended: kept, told by the run, in its card and on its page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tutelage.cli.main import main


@pytest.fixture(autouse=True)
def _there(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(job)


def card(job: Path) -> dict[str, object]:
    (folder,) = (job / "runs").glob("recipe-*")
    return dict(json.loads((folder / "data" / "card.json").read_text("utf-8"))["tasks"]["colours"])


def test_a_look_is_kept_and_the_run_says_so(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "recipe.yaml", "--split", "test", "--rows", "2", "--look-at-test"]) == 0
    assert main(["inspect", "recipe.yaml", "--row", "rows.jsonl:1", "--look-at-test"]) == 0  # the first again
    (first, second) = map(json.loads, (job / "runs" / "looked.jsonl").read_text("utf-8").splitlines())
    assert (len(first["rows"]), len(second["rows"])) == (2, 1)
    capsys.readouterr()
    assert main(["run", "recipe.yaml"]) in (0, 1)
    assert "2 test rows of colours were looked at before" in capsys.readouterr().err
    assert card(job)["looked"] == {"rows": 2, "first": first["when"]}
    (page,) = (job / "runs").glob("recipe-*/report.html")
    assert f"before tuning ended</dt><dd>2, first on {first['when']}</dd>" in page.read_text("utf-8")


def test_after_the_tuning_a_look_is_free(job: Path) -> None:
    assert main(["run", "recipe.yaml"]) in (0, 1)
    assert "looked" not in card(job)
    assert main(["inspect", "recipe.yaml", "--split", "test"]) == 0
    assert not (job / "runs" / "looked.jsonl").exists()


def test_a_damaged_record_is_told_and_not_passed_over(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (job / "runs").mkdir()
    (job / "runs" / "looked.jsonl").write_text('{"when": 1\n', "utf-8")
    assert main(["run", "recipe.yaml"]) == 2
    assert "runs/looked.jsonl:1" in capsys.readouterr().err
