"""Columns that a template does not read: used, refused with a fix that works, or named."""

from __future__ import annotations

import json

import pytest

from tutelage.config import load
from tutelage.core.errors import InputError
from tutelage.prepare.reader import read_rows

WORDS = ["apple", "river", "stone", "cloud", "tiger", "paper", "green", "seven", "north", "music"]


def read(folder, rows, *, task="", data=""):
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = f"tasks:\n  - name: t\n    data: {{path: rows.jsonl{data}}}\n{task}"
    (folder / "recipe.yaml").write_text(text)
    (task_rows,) = read_rows(load(folder / "recipe.yaml"), None).tasks
    return task_rows


def table(**columns):
    """Thirty rows of two unlike texts, each with further columns."""
    return [
        {"prompt": f"{WORDS[n % 10]} {n} {WORDS[n // 3]}", "completion": WORDS[n % 7], **columns}
        for n in range(30)
    ]


def test_columns_without_meaning_are_named_once_and_empty_ones_are_not(tmp_path):
    assert read(tmp_path, table(topic="x", note="", id="7")).card["columns"] == {"unused": ["topic"]}
    assert "columns" not in read(tmp_path, table(topic="x"), data=", columns: [prompt, completion]").card


def test_what_metrics_and_slices_read_is_used(tmp_path):
    rows = table(
        must_contain=["a"], must_not_contain=["b"], answerable=True, refusal=["no"], topic="x", source="y"
    )
    task = "    metrics: [states_fact, wrongly_refuses]\n    slices: [topic]\n"
    assert read(tmp_path, rows, task=task).card["columns"] == {"unused": ["source"]}


@pytest.mark.parametrize("column", ["input", "context", "reasoning", "choices"])
def test_a_column_that_carries_meaning_is_refused_and_both_fixes_work(tmp_path, column):
    rows = table(**{column: ["left", "right"] if column == "choices" else "and a part"})
    with pytest.raises(InputError, match=f"the column {column} holds") as caught:
        read(tmp_path, rows)
    lines, _, columns = caught.value.fix.partition("  ; or write into data  ")
    prompt, _, completion = lines.removeprefix("write into the task  ").partition("  and  ")
    row = read(tmp_path, rows, task=f"    {prompt}\n    {completion}\n").train[0]
    assert ("left, right" if column == "choices" else "and a part") in row.prompt + row.completion
    row = read(tmp_path, rows, data=", " + columns.removesuffix("  to leave it out")).train[0]
    assert "part" not in row.prompt + row.completion


@pytest.mark.parametrize("task", ["", '    prompt: "{{ prompt }}"\n    completion: "{{ completion }}"\n'])
def test_system_and_history_stand_before_the_prompt(tmp_path, task):
    rows = table(system="You are Ada.", history=[["Hi", "Hello"]])
    read_rows_ = read(tmp_path, rows, task=task)
    expected = (("system", "You are Ada."), ("user", "Hi"), ("assistant", "Hello"))
    assert {row.history for row in (*read_rows_.train, *read_rows_.test)} == {expected}
    assert read_rows_.card["columns"] == {"system": ["system"], "history": ["history"]}


def test_a_prompt_that_reads_the_system_column_has_it_once(tmp_path):
    task = '    prompt: "{{ system }} {{ prompt }}"\n    completion: "{{ completion }}"\n'
    assert read(tmp_path, table(system="Ada"), task=task).train[0].history == ()


def test_a_later_turn_stays_with_the_row_whose_answer_its_history_holds(tmp_path):
    rows = []
    for row in table():
        rows += [{**row, "history": []}, {"prompt": f"and {row['prompt'][::-1]}", "completion": "x", "history": [[row["prompt"], row["completion"]]]}]  # fmt: skip
    task_rows = read(tmp_path, rows)
    trained = {(row.prompt, row.completion) for row in task_rows.train}
    histories = [row.history for row in task_rows.test if row.history]
    assert histories
    assert not {(history[0][1], history[1][1]) for history in histories} & trained


def test_a_history_that_cannot_be_read_is_refused_with_its_row(tmp_path):
    with pytest.raises(InputError, match="holds no turns that can be read") as caught:
        read(tmp_path, [*table(history=[["a", "b"]]), {**table()[0], "history": "said before"}])
    assert "rows.jsonl:31" in caught.value.where


def test_a_split_that_stands_in_the_file_is_used_unless_columns_leave_it_out(tmp_path):
    rows = [{**row, "split": ("train", "dev", "test")[n % 3]} for n, row in enumerate(table())]
    assert read(tmp_path, rows).card["splits"] == {"train": 10, "validation": 10, "test": 10}
    assert read(tmp_path, rows).card["columns"] == {"split": ["split"]}
    again = read(tmp_path, rows, data=", columns: [prompt, completion]")
    assert again.card["splits"] == {"train": 24, "validation": 3, "test": 3}


def test_near_duplicate_conversations_stay_together_instead_of_being_refused(tmp_path):
    said = "please tell me where my very important parcel with number 7 is"
    rows = [
        {"messages": [{"role": "user", "content": row["prompt"] if n > 9 else said + "!" * n}, {"role": "assistant", "content": "ok"}]}
        for n, row in enumerate(table())
    ]  # fmt: skip
    task_rows = read(tmp_path, rows)
    sides = [{said in row.prompt for row in part} for part in (task_rows.train, task_rows.test)]
    assert sum(True in side for side in sides) <= 1
    assert task_rows.card["leaks"] == {"exact": [], "near": []}
