from __future__ import annotations

import json

import yaml

from tutelage.cli.main import main


def test_a_missed_target_and_slices_stand_in_results_page_and_exit_code(job, capsys):
    rows = [json.loads(line) for line in (job / "rows.jsonl").read_text("utf-8").splitlines()]
    for number, row in enumerate(rows):
        row.update(answer="red" if number % 3 else "blue", kind="even" if number % 8 == 0 else "odd")
    (job / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    recipe = yaml.safe_load((job / "recipe.yaml").read_text("utf-8"))
    recipe["tasks"][0].update(
        metrics=["accuracy", "rougeL"], reach={"accuracy": 99, "rougeL": 0}, slices=["kind"]
    )
    (job / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    run = job / "run"
    assert main(["run", str(job / "recipe.yaml"), "--out", str(run)]) == 1
    results = json.loads((run / "results.json").read_text("utf-8"))
    task = results["tasks"]["colours"]
    assert {metric: target["word"] for metric, target in task["reach"].items()} == {
        "accuracy": "missed",
        "rougeL": "reached",
    }
    assert results["verdict"]["reached"] == "no"
    assert "colours misses its target" in results["verdict"]["sentence"]
    assert "the base was never told the labels" in results["verdict"]["sentence"]
    assert task["base_untold"] is True
    slices = task["slices"]["columns"]["kind"]["values"]
    assert {value: one["tuned"]["n"] for value, one in slices.items()} == {"even": 3, "odd": 3}
    page = (run / "report.html").read_text("utf-8")
    assert "The base was never told the labels" in page
    assert "colours, by kind" in page
    assert "Class by class" in page
    capsys.readouterr()
    assert main(["compare", str(run), "--items", "1"]) == 0
    text = capsys.readouterr().out
    assert "colours by kind (Accuracy):" in text
    assert "colours, class by class (tuned model):" in text
    assert "answers are no class" in text
