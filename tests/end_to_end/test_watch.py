"""A recipe that watches a benchmark over rows: the same sampled items before and after, budgets by the name that the recipe uses."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from tutelage.cli.main import main
from tutelage.results.store import Store

SPEC = """\
version: 1
name: prices
title: What it costs
data: {path: rows.jsonl, part: kind}
form: text
prompt: "{{ question }}"
join: " "
choices: ["12 euros", "a month"]
answer: "{{ right }}"
parts: {small: {group: plans}, large: {group: plans}, gone: {}}
"""


def test_the_same_items_before_and_after_with_groups_averages_and_a_budget(job: Path) -> None:
    (job / "bench").mkdir()
    rows = [
        {
            "kind": ["small", "large"][n % 2],
            "question": f"Plan {n}?",
            "right": ["12 euros", "a month"][n % 3 == 0],
        }
        for n in range(40)
    ]
    (job / "bench" / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    (job / "bench" / "spec.yaml").write_text(SPEC, "utf-8")
    recipe = yaml.safe_load((job / "recipe.yaml").read_text("utf-8"))
    recipe["watch"] = [{"benchmark": "./bench", "limit": 6}]
    recipe["retain"] = {"./bench": 100.0}
    (job / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False), "utf-8")
    out = job / "out"
    assert main(["run", str(job / "recipe.yaml"), "--out", str(out)]) == 0
    results = json.loads((out / "results.json").read_text("utf-8"))
    (watched,) = results["watched"].values()
    assert list(watched["parts"]) == ["plans", "macro", "small", "large"]
    assert watched["difference"]["accuracy"]["n"] == 12
    assert watched["parts"]["macro"]["difference"]["accuracy"]["n"] == 12
    assert watched["told"] == {
        "version": 1,
        "missing_parts": ["gone"],
        "sampled_of": 40,
        "sizes": {"small": 20, "large": 20},
        "notes": [watched["told"]["notes"][0]],
    }
    assert watched["told"]["notes"][0].startswith("the base is not clearly above chance")
    page = (out / "report.html").read_text("utf-8")
    assert "not here, and in no average: gone" in page
    assert "a sample of its 40 items was asked" in page
    with Store.open(out / "results.sqlite", read_only=True) as store:
        asked = {
            one.model: [item.key for item in one.items()]
            for one in store.evaluations()
            if one.name == "prices"
        }
    assert asked["base"] == asked["tuned"]
    assert len(asked["base"]) == 12
    recipe["watch"] = [{"benchmark": "./bench"}, {"benchmark": "bench/spec.yaml"}]
    (job / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False), "utf-8")
    assert main(["run", str(job / "recipe.yaml"), "--out", str(job / "again")]) == 2
