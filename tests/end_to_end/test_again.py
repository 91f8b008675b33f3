"""The same folder again after something changed: what no longer holds is done again, what still holds is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tutelage import config as recipes
from tutelage.core.errors import InputError
from tutelage.core.types import Request, Response
from tutelage.engine import Engine
from tutelage.job import run as running
from tutelage.job.run import run, train
from tutelage.results.store import Store


def load(job: Path, *sets: str) -> recipes.Recipe:
    return recipes.load(job / "recipe.yaml", sets=["watch=[]", "retain={}", "tune.steps=2", *sets])


def rows(job: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (job / "rows.jsonl").read_text("utf-8").splitlines()]


def write(job: Path, held: list[dict[str, object]]) -> None:
    (job / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in held), "utf-8")


def test_a_corrected_test_answer_is_scored_again_without_tuning_again(job: Path) -> None:
    run(load(job), out=job / "out")
    tuned = (job / "out" / "tuned.json").stat().st_mtime_ns
    held = rows(job)
    for row in held:
        row["answer"] = "It is pink." if row["split"] == "test" else row["answer"]
    write(job, held)
    again = run(load(job), out=job / "out")
    assert again.fresh
    assert (job / "out" / "tuned.json").stat().st_mtime_ns == tuned
    with Store.open(job / "out" / "results.sqlite", read_only=True) as store:
        last = store.evaluations(model="tuned", suite="task")[-1]
        assert {item.references for item in last.items()} == {("It is pink.",)}


def test_a_changed_field_that_a_metric_reads_is_noticed(job: Path) -> None:
    held = [{**row, "must_contain": ["red"]} for row in rows(job)]
    write(job, held)
    recipe = load(job, "tasks.0.metrics=[states_fact]")
    run(recipe, out=job / "out")
    write(job, [{**row, "must_contain": ["plan"]} for row in held])
    assert run(recipe, out=job / "out").fresh


def test_an_edited_chat_template_is_noticed(job: Path) -> None:
    text = "{% for m in messages %}{{ m.role }}: {{ m.content }}{{ eos_token }}{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
    (job / "mine.jinja").write_text(text, "utf-8")
    run(load(job, "chat_template=mine.jinja"), out=job / "out")
    assert not run(load(job, "chat_template=mine.jinja"), out=job / "out").fresh
    (job / "mine.jinja").write_text(text.replace(": ", " > "), "utf-8")
    assert run(load(job, "chat_template=mine.jinja"), out=job / "out").fresh


def test_a_damaged_results_file_is_written_anew(job: Path) -> None:
    first = run(load(job), out=job / "out")
    (job / "out" / "results.json").write_text('{"schema": 1', "utf-8")
    again = run(load(job), out=job / "out")
    assert again.fresh
    assert again.results["tasks"] == first.results["tasks"]


def test_a_stop_before_the_page_leaves_no_older_page(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(load(job), out=job / "out")
    (job / "out" / "results.json").unlink()

    def stop(_: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(running.report, "write", stop)
        with pytest.raises(KeyboardInterrupt):
            run(load(job), out=job / "out")
    assert not (job / "out" / "report.html").exists()
    run(load(job), out=job / "out")
    assert (job / "out" / "report.html").is_file()


def test_fewer_training_rows_leave_no_steps_of_the_longer_tuning(job: Path) -> None:
    sets = ["tune.steps=null", "tune.epochs=2"]
    run(load(job, *sets), out=job / "out")
    write(job, [row for i, row in enumerate(rows(job)) if row["split"] != "train" or i % 4 == 2])
    run(load(job, *sets), out=job / "out")
    with Store.open(job / "out" / "results.sqlite", read_only=True) as store:
        assert [step["step"] for step in store.steps()] == [0, 1, 2, 3]


def test_train_after_run_keeps_what_the_card_says_of_the_training(job: Path) -> None:
    run(load(job), out=job / "out")
    before = (job / "out" / "data" / "card.json").read_text("utf-8")
    (job / "out" / "checkpoints").mkdir()
    train(load(job), out=job / "out")
    assert (job / "out" / "data" / "card.json").read_text("utf-8") == before
    assert not (job / "out" / "checkpoints").exists()


def test_one_test_row_is_refused_before_anything_is_done(job: Path) -> None:
    held = [row for row in rows(job) if row["split"] != "test"]
    write(job, [*held, {"question": "Which?", "answer": "Red.", "split": "test"}])
    with pytest.raises(InputError, match="too few test rows"):
        run(load(job), out=job / "out")
    assert not (job / "out").exists()


def test_shortened_test_prompts_are_counted_in_the_card(job: Path) -> None:
    held = rows(job)
    held.append({"question": "blue " * 200 + "?", "answer": "Red.", "split": "test"})
    write(job, held)
    run(load(job, "tune.max_length=128"), out=job / "out")
    card = json.loads((job / "out" / "data" / "card.json").read_text("utf-8"))
    assert card["tasks"]["colours"]["tokens"]["test"] == {"rows": 7, "truncated": 1}


def test_the_lines_that_load_the_model_hold_from_any_folder(
    job: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(job)
    outcome = run(load(job), out=Path("out"))
    assert str(job / "out" / "model") in outcome.results["provenance"]["load"][1]


def test_a_second_run_asks_the_base_nothing_and_an_adapter_of_another_seed_everything(
    job: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUTELAGE_NO_CACHE", "0")
    monkeypatch.setenv("TUTELAGE_CACHE", str(job / "cache"))
    real = Engine.answer
    asked: list[str] = []

    def answer(self: Engine, requests: list[Request], **how: Any) -> list[Response]:
        asked.append("tuned" if hasattr(self.model, "peft_config") else "base")
        return real(self, requests, **how)

    monkeypatch.setattr(Engine, "answer", answer)
    first = run(load(job), out=job / "one")
    assert asked == ["base", "tuned"]
    other = run(load(job, "tune.seed=1"), out=job / "two")
    assert asked == ["base", "tuned", "tuned"]
    again = run(load(job), out=job / "three")  # the same adapter, made anew
    assert asked == ["base", "tuned", "tuned"]
    assert again.results["tasks"] == first.results["tasks"]
    assert other.results["tasks"]["colours"]["base"] == first.results["tasks"]["colours"]["base"]
    with Store.open(job / "three" / "results.sqlite", read_only=True) as store:
        for evaluation in store.evaluations():
            assert [one["answers"] for one in evaluation.provenance()] == ["cache"]
