"""`answer: choose`: the test rows are asked with the very choices that were taught, and accuracy scores what is chosen."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from tutelage import config as recipes
from tutelage.job.run import run
from tutelage.results.store import Store


def test_test_rows_are_chosen_among_the_choices_that_were_taught(job: Path) -> None:
    told = yaml.safe_load((job / "recipe.yaml").read_text("utf-8"))
    rows = [json.loads(line) for line in (job / "rows.jsonl").read_text("utf-8").splitlines()]
    for n, row in enumerate(rows):
        row["mark"] = n % 2
    (job / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (task,) = told["tasks"]
    del task["prompt"], task["completion"]
    task |= {
        "template": "sentiment",
        "fields": {"text": "question", "label": "mark"},
        "labels": ["bad", "very good"],
        "answer": "choose",
        "inverted": 0.3,
        "metrics": ["accuracy", "f1:average=macro"],
    }
    told["watch"], told["retain"] = [], {}
    (job / "recipe.yaml").write_text(yaml.safe_dump(told, sort_keys=False), encoding="utf-8")
    out = run(recipes.load(job / "recipe.yaml"), out=job / "out")
    scores = out.results["tasks"]["colours"]
    assert scores["primary"] == "accuracy"
    with Store.open(job / "out" / "results.sqlite", read_only=True) as store:
        for evaluation in store.evaluations():
            answers = evaluation.responses()
            assert len(answers) == 6
            right = 0
            for item in evaluation.items():
                answer = answers[item.id]
                assert answer.finish == "choice"
                assert answer.text == ("bad", "very good")[answer.choice]
                assert len(answer.logprobs) == 2
                right += answer.text in item.references
            side = scores["base" if evaluation.model == "base" else "tuned"]
            assert side["accuracy"]["value"] == right / 6
    card = json.loads((job / "out" / "data" / "card.json").read_text("utf-8"))["tasks"]["colours"]
    assert set(card["wordings"]) == {"train", "validation", "test"}
    assert card["labels"] == ["bad", "very good"]
