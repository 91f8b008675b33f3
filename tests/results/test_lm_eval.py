"""An evaluation in lm-evaluation-harness's layout: its keys, its files, its numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tutelage.cli.main import main

LAYOUT = yaml.safe_load(Path(__file__).with_name("lm_eval_0.4.13.yaml").read_text("utf-8"))
TYPES = {"str": str, "int": int, "float": float, "bool": bool, "list": list, "dict": dict}
SPEC = """\
version: 3
name: prices
title: What it costs
data: {path: rows.jsonl, part: kind}
form: text
prompt: "{{ question }}"
join: " "
choices: options
answer: "{{ right }}"
shots: {path: rows.jsonl, count: 1}
metrics: [accuracy, "choice_accuracy:by=bytes"]
"""


def fits(value, layout, where="document"):
    """Whether a value has the keys of a layout, each of its type; `task` and `group` stand for any name."""
    if isinstance(layout, str):
        assert isinstance(value, TYPES[layout]), f"{where}: {value!r} is no {layout}"
        return
    assert isinstance(value, dict), where
    for key, inner in layout.items():
        names = list(value) if key in ("task", "group") else [key]
        assert names, where
        for name in names:
            assert name in value, f"{where}: no {name}"
            fits(value[name], inner, f"{where}.{name}")


@pytest.fixture
def evaluated(tmp_path, tiny_model_folder):
    place = tmp_path / "prices"
    place.mkdir()
    rows = [
        {
            "kind": ["a", "b"][n % 2],
            "question": f"Plan {n}?",
            "options": ["12 euros", "no"],
            "right": ["12 euros", "no"][n % 3 == 0],
        }
        for n in range(12)
    ]
    (place / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    (place / "spec.yaml").write_text(SPEC, "utf-8")
    out = tmp_path / "out"
    assert (
        main(
            [
                "evaluate",
                str(tiny_model_folder),
                "--benchmark",
                str(place),
                "--limit",
                "4",
                "--out",
                str(out),
                "--json",
            ]
        )
        == 0
    )
    return out


def test_the_layout_is_theirs(evaluated, tmp_path, capsys):
    capsys.readouterr()
    assert (
        main(["export", str(evaluated), "--to", str(tmp_path / "theirs"), "--format", "lm-eval", "--json"])
        == 0
    )
    files = json.loads(capsys.readouterr().out)["files"]
    assert [name.partition("_2")[0] for name in files] == ["results", "samples_prices_a", "samples_prices_b"]
    document = json.loads((tmp_path / "theirs" / files[0]).read_text("utf-8"))
    fits(document, LAYOUT["results"])
    ours = json.loads((evaluated / "evaluation.json").read_text("utf-8"))["benchmarks"]["prices"]
    assert document["results"]["prices_a"]["acc,none"] == ours["parts"]["a"]["accuracy"]["value"]
    assert (
        document["groups"]["prices"]["acc_bytes,none"] == ours["scores"]["choice_accuracy:by=bytes"]["value"]
    )
    assert document["group_subtasks"] == {"prices": ["prices_a", "prices_b"]}
    assert document["n-samples"]["prices_b"] == {"original": 6, "effective": 4}
    assert document["n-shot"]["prices_a"] == 1
    assert document["versions"]["prices_a"] == 3
    samples = [json.loads(line) for line in (tmp_path / "theirs" / files[1]).read_text("utf-8").splitlines()]
    for sample in samples:
        fits(sample, LAYOUT["sample"])
        assert len(sample["resps"]) == len(sample["arguments"]) == 2
        best = max((0, 1), key=lambda n: float(sample["filtered_resps"][n][0]))  # called at once
        assert sample["acc"] == float(sample["doc"]["choices"][best] == sample["target"])
    mean = sum(sample["acc"] for sample in samples) / 4
    assert mean == document["results"]["prices_a"]["acc,none"]


def test_what_is_in_use_and_what_does_not_belong_is_refused(evaluated, tmp_path, capsys):
    words = ["export", str(evaluated), "--to", str(evaluated), "--format", "lm-eval"]
    assert main(words) == 2
    assert "the folder is in use" in capsys.readouterr().err
    assert main([*words[:3], str(tmp_path / "x"), *words[4:], "--merge"]) == 2
    assert "--merge" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
    assert main(["export", str(tmp_path), "--to", str(tmp_path / "x"), "--format", "lm-eval"]) == 2
    assert "there are no results here" in capsys.readouterr().err
