from __future__ import annotations

import json

import pytest

from tutelage.cli.main import main


def test_the_list_names_what_is_bundled(capsys):
    assert main(["benchmarks", "list", "--json"]) == 0
    (probe,) = [b for b in json.loads(capsys.readouterr().out)["benchmarks"] if b["name"] == "general-probe"]
    assert probe["items"] == 900
    assert probe["subsets"] == ["original"]
    assert len(probe["parts"]) == 6


def test_show_tells_what_a_benchmark_asks(capsys):
    assert main(["benchmarks", "show", "general-probe"]) == 0
    said = capsys.readouterr().out
    assert "Apache-2.0" in said
    assert "An item of arithmetic:" in said
    assert "original: the 435 items of version 1" in said


def test_a_subset_is_shown_under_its_name(capsys):
    assert main(["benchmarks", "show", "general-probe:original", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["name"], shown["items"]) == ("general-probe:original", 435)


def test_show_needs_a_name_and_knows_the_nearest(capsys):
    assert main(["benchmarks", "show"]) == 2
    assert "needs a name" in capsys.readouterr().err
    assert main(["benchmarks", "show", "general-prob"]) == 2
    assert "did you mean general-probe?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "data", "text"),
    [
        (None, "missing", "data not here"),
        ("What is it?,1,2,3,4,A\n", "missing", "data not here"),  # without the file of exemplars
        ("What is it?,1,2\n", "wrong", "not usable: "),
        ("What is it?,1,2,3,4,E\n", "wrong", "not usable: "),
    ],
)
def test_the_list_tells_missing_data_from_wrong_data(capsys, tmp_path, content, data, text):
    if content is not None:
        (tmp_path / "mmlu" / "test").mkdir(parents=True)
        (tmp_path / "mmlu" / "test" / "anatomy_test.csv").write_text(content)
    if data == "wrong":
        (tmp_path / "mmlu" / "dev").mkdir()
        (tmp_path / "mmlu" / "dev" / "anatomy_dev.csv").write_text("Which one?,1,2,3,4,A\n" * 5)
    assert main(["benchmarks", "list", "--json", "--data", str(tmp_path)]) == 0
    (mmlu,) = [b for b in json.loads(capsys.readouterr().out)["benchmarks"] if b["name"] == "mmlu"]
    assert (mmlu["items"], mmlu["data"]) == (None, data)
    assert data == "missing" or "anatomy_test.csv:1" in mmlu["why"]
    assert main(["benchmarks", "list", "--data", str(tmp_path)]) == 0
    assert text in " ".join(capsys.readouterr().out.split())


def test_show_says_how_to_get_rows_that_are_on_the_hub(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    assert main(["benchmarks", "show", "truthfulqa", "--data", str(tmp_path)]) == 0
    assert "tutelage benchmarks fetch truthfulqa" in " ".join(capsys.readouterr().out.split())


def test_what_no_hub_has_is_named_with_its_place_and_what_comes_with_its_spec_needs_no_fetching(capsys):
    assert main(["benchmarks", "fetch", "bbh"]) == 2
    told = capsys.readouterr().err
    assert "files of https://github.com/suzgunmirac/BIG-Bench-Hard" in told
    assert "DIR/bbh/bbh/" in told
    assert main(["benchmarks", "fetch", "general-probe"]) == 0
    assert "its items come with its spec" in capsys.readouterr().out
