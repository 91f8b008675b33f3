"""Words of other tools in a recipe: each leads to a field that exists or to a reason, all of a recipe at once."""

from __future__ import annotations

from collections import Counter

import pytest

from tutelage.config import foreign_words
from tutelage.config.foreign_words import _info, _meanings, meaning
from tutelage.config.load import from_mapping, load
from tutelage.core import yamltext
from tutelage.core.errors import InputError

TASKS = [{"data": {"path": "rows.jsonl"}}]


def mistakes(**fields):
    with pytest.raises(InputError) as raised:
        from_mapping({"tasks": TASKS, **fields})
    return {error.found: error for error in raised.value.mistakes}


def test_every_field_that_the_table_points_to_exists_and_no_word_stands_twice():
    table = yamltext.table("tutelage.config", "foreign_words.yaml")
    fields = [*table["same"], *(entry["field"] for entry in table["otherwise"])]
    assert all(_info(field).description for field in fields)
    words = Counter(
        str(word)
        for words in (
            *table["same"].values(),
            *(entry["words"] for kind in ("otherwise", "none", "not_here") for entry in table[kind]),
        )
        for word in words
    )
    assert [word for word, count in words.items() if count > 1] == []
    assert len(_meanings()) == len(words) >= 120
    assert [word for word in words if meaning(word) is None] == []


@pytest.mark.parametrize(
    ("block", "word", "value", "field", "fix"),
    [
        ("tune", "lr", 2e-4, "tune.learning_rate", "write  learning_rate: 0.0002 in the block tune"),
        ("tune", "num_train_epochs", 3, "tune.epochs", "write  epochs: 3 in the block tune"),
        ("tune", "lora_r", 8, "tune.rank", "write  rank: 8 in the block tune"),
        ("tune", "lora_alpha", 16, "tune.alpha", "write  alpha: 16 in the block tune"),
        ("tune", "max_seq_length", 512, "tune.max_length", "write  max_length: 512 in the block tune"),
        ("tune", "max_steps", -1, "tune.steps", "write  steps: 200 in the block tune, say: Stop after"),
        ("tune", "warmup_ratio", 0.1, "tune.warmup", "write  warmup: 0.1 in the block tune"),
        ("tune", "warmup_steps", 10, "tune.warmup", "a share of the steps"),
        ("tune", "gradient_accumulation_steps", 4, "tune.micro_batch_tokens", "tune.batch_size counts the rows"),
        ("tune", "per-device-train-batch-size", 4, "tune.micro_batch_tokens", "tune.batch_size counts the rows"),
        ("tune", "--LR", 1e-3, "tune.learning_rate", "write  learning_rate: 0.001"),
        ("tune", "early_stopping_patience", 3, "tune.keep", "nothing stops early"),
        ("tune", "lora_target", "q_proj", "tune.targets", 'write  targets: ["q_proj"]'),
        ("tune", "optim", "adamw_8bit", None, "the optimizer is AdamW"),
        ("tune", "bf16", True, None, "float32"),
        ("tune", "dpo_beta", 0.1, None, "does not learn from preferences"),
        (None, "tools", [], None, "does not train tool calls"),
        (None, "images", "x", None, "no images"),
        (None, "reward_funcs", [], None, "does not learn from rewards"),
        (None, "pretraining_dataset", "x", None, "does not pre-train"),
        (None, "base_model", "gpt2", "model", 'write  model: "gpt2"'),
        (None, "epochs", 3, "tune.epochs", "write  epochs: 3 in the block tune"),
        (None, "lora", {"r": 8, "bias": "none"}, "tune.method", "(in it, r is tune.rank, bias is nothing here)"),
        (None, "seed", 3, "one of track.seed, tune.seed, tasks.0.shots.seed, tasks.0.split.seed, protect.self_replay.seed",
         "write it in the block that is meant"),
    ],
)  # fmt: skip
def test_a_word_leads_to_its_field_or_to_the_reason_why_there_is_none(block, word, value, field, fix):
    error = mistakes(**({word: value} if block is None else {block: {word: value}}))[word]
    assert error.problem == f"there is no field {word}"
    assert error.expected == field
    assert fix in error.fix


def test_the_task_that_a_word_stands_in_is_named():
    rows = {"data": {"path": "rows.jsonl"}, "name": "second", "metric": "accuracy", "val_set_size": 0.2}
    with pytest.raises(InputError) as raised:
        from_mapping({"tasks": [*TASKS, rows]})
    fixes = {error.expected: error.fix for error in raised.value.mistakes}
    assert fixes == {
        "tasks.1.metrics": 'write  metrics: ["accuracy"] in the block tasks.1',
        "tasks.1.split.validation": "write  validation: 0.2 in the block tasks.1.split",
    }


def test_a_change_on_the_command_line_is_answered_by_one_that_can_be_made(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("tasks: [{data: {path: rows.jsonl}}]\n", "utf-8")
    with pytest.raises(InputError) as raised:
        load(recipe, ["epochs=3", "lr=2e-4", "metric=accuracy"])
    fixes = [error.fix.removeprefix("write --set ") for error in raised.value.mistakes]
    assert fixes == ["tune.epochs=3", "tune.learning_rate=0.0002", 'tasks.0.metrics=["accuracy"]']
    changed = load(recipe, fixes)
    assert (changed.tune.epochs, changed.tune.learning_rate) == (3.0, 2e-4)
    assert changed.tasks[0].metrics == ("accuracy",)


def test_a_method_that_tutelage_is_not_is_refused_by_name():
    error = mistakes(tune={"method": "dpo"})['"dpo"']
    assert "does not learn from preferences" in error.fix
    assert mistakes(tune={"method": "lroa"})['"lroa"'].fix == "did you mean lora?"


def test_a_word_that_nobody_knows_keeps_the_names_of_the_block():
    error = mistakes(tune={"zzz": 1})["zzz"]
    assert error.expected.startswith("one of method, rank, ")
    assert error.fix == "remove it"
    assert foreign_words.advice(("tune", "zzz"), 1, on_command_line=False) is None
