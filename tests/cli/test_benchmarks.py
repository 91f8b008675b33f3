from __future__ import annotations

import json

from tutelage.cli.main import main


def test_the_list_names_what_is_bundled(capsys):
    assert main(["benchmarks", "list", "--json"]) == 0
    (probe,) = [b for b in json.loads(capsys.readouterr().out)["benchmarks"] if b["name"] == "general-probe"]
    assert probe["items"] >= 400
    assert len(probe["parts"]) == 6


def test_show_tells_what_a_benchmark_asks(capsys):
    assert main(["benchmarks", "show", "general-probe"]) == 0
    said = capsys.readouterr().out
    assert "Apache-2.0" in said
    assert "An item of arithmetic:" in said


def test_show_needs_a_name_and_knows_the_nearest(capsys):
    assert main(["benchmarks", "show"]) == 2
    assert "needs a name" in capsys.readouterr().err
    assert main(["benchmarks", "show", "general-prob"]) == 2
    assert "did you mean general-probe?" in capsys.readouterr().err
