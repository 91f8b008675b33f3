from __future__ import annotations

import json

import pytest

from tutelage.cli.main import main


def test_a_single_run_is_compared_with_its_base_and_shows_what_is_still_wrong_first(fake_run, capsys):
    run = fake_run()
    assert main(["compare", str(run.folder), "--items", "2"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(run.comparison.verdict.sentence)
    before, _, probe = text.partition("\ngeneral-probe: of 240 items ")
    task = before.partition("\nsupport-bot: of 60 items ")[2]
    assert task.splitlines()[0].endswith("(right or wrong by States the fact, else Rightly refuses)")
    assert "none cut off" in task.splitlines()[0]
    titles = [
        line.split(":")[0].strip() for line in probe.splitlines() if line.startswith("  ") and line[2] != " "
    ]
    assert titles[:2] == ["still wrong"] * 2
    assert titles.index("still wrong") < titles.index("newly wrong") < titles.index("newly right")
    assert "    tuned     " in probe


def test_failures_of_a_run_for_programs(fake_run, capsys):
    assert main(["compare", str(fake_run().folder), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert list(document) == ["base", "tuned", "tasks", "watched", "verdict", "failures"]
    probe = next(each for each in document["failures"] if each["name"] == "general-probe")
    wrong = probe["items"] - round(document["watched"]["general-probe"]["tuned"]["accuracy"]["value"] * 240)
    assert probe["wrong"] == wrong
    assert len(probe["still_wrong"]) + document["watched"]["general-probe"]["newly_wrong"] == wrong
    assert probe["cut_off"] == []


@pytest.mark.parametrize("left", ["results.sqlite", "nothing"])
def test_what_is_no_finished_run_has_nothing_to_be_compared_with(fake_run, capsys, left):
    folder = fake_run().folder
    (folder / "results.json").unlink()
    if left == "nothing":
        (folder / "results.sqlite").unlink()
    assert main(["compare", str(folder)]) == 2
    message = capsys.readouterr().err
    assert "no results.json" in message
    assert "`tutelage compare FIRST SECOND`" in message
