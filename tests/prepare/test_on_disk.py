"""Many rows lie on disk, few in memory; nothing of what a run reads may tell which."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys

import pytest

from tutelage.config import load
from tutelage.core import spill
from tutelage.core.errors import InputError
from tutelage.core.spill import DiskRows
from tutelage.inspection.train_use_parity import check_parity
from tutelage.models import load_tokenizer, resolve
from tutelage.prepare.preparation import prepare
from tutelage.prepare.reader import read_rows

OWN = '    prompt: "Say {{ q | trim }}"\n    completion: "{{ a }}"\n'
KIND = "    template: sentiment\n    fields: {text: q, label: a}\n    labels: [good, bad]\n"
TASKS = {
    "own": OWN,
    "shots": OWN + "    shots: {count: 2, sampled_per: row}\n",
    "kind": KIND + "    options: mixed\n    inverted: 0.3\n",
    "styles": KIND
    + "    styles: {zero-shot: 1, few-shot: 1, zero-shot-options: 1, few-shot-options: 1}\n    shots: {count: 3, same_template: true}\n",
    "groups": OWN + "    split: {group_by: g, validation: 0.2, test: 0.2}\n",
    "dates": OWN + "    split: {date: n, near_duplicate_threshold: 1.0}\n",
    "strata": OWN + "    split: {stratify: a, seed: 3}\n",
}


def write(folder, text, *, count=120, bad=()):
    rng = random.Random(5)
    words = ["red", "blue", "green", "small", "large", "open", "closed", "old", "new", "hot", "cold"]
    rows = [
        {
            "q": " ".join(rng.choices(words, k=12)) + f" {n}é",
            "a": rng.choice(["good", "bad"]),
            "n": n,
            "g": n // 4,
        }
        for n in range(count)
    ]
    for place in bad:
        rows[place]["q"] = None
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    (folder / "recipe.yaml").write_text(text, "utf-8")
    return load(folder / "recipe.yaml")


def whole(rows):
    """All that was read, as values that can be compared."""
    return (
        rows.identity,
        rows.training_hashes,
        [
            (t.task, *map(tuple, (t.train, t.validation, t.test)), json.dumps(dict(t.card)), t.held_out)
            for t in rows.tasks
        ],
    )


def encoded(recipe, rows, words):
    made = prepare(recipe, rows, words)
    check_parity(recipe, made, words, say=lambda _: None)
    order = [made.row_at(position) for position in range(2 * made.mixture.epoch)]
    return (
        made.identity,
        json.dumps(made.card),
        [(tuple(task.train), tuple(task.validation), task.questions) for task in made.tasks],
        tuple(made.validation),
        order,
    )


@pytest.mark.parametrize("which", TASKS)
def test_rows_on_disk_are_those_in_memory(tmp_path, tiny_model_folder, monkeypatch, which):
    recipe = write(tmp_path, f"tasks:\n  - name: t\n    data: {{path: rows.jsonl}}\n{TASKS[which]}")
    words = load_tokenizer(resolve(str(tiny_model_folder)))
    rows = read_rows(recipe, None)
    before = whole(rows), encoded(recipe, rows, words)
    monkeypatch.setattr(spill, "IN_MEMORY", 10)
    rows = read_rows(recipe, None)
    assert isinstance(rows.tasks[0].train, DiskRows)
    assert isinstance(prepare(recipe, rows, words).tasks[0].train, DiskRows)
    assert (whole(rows), encoded(recipe, rows, words)) == before


def test_two_tasks_of_one_source_and_rows_from_the_cache(tmp_path, monkeypatch):
    text = "tasks:\n" + "".join(
        f"  - name: {name}\n    data: {{path: rows.jsonl}}\n{OWN}    split: {{seed: {seed}}}\n"
        for name, seed in (("one", 1), ("two", 2))
    )
    recipe = write(tmp_path, text)
    before = whole(read_rows(recipe, None))
    assert sum(task[4].count('"shared"') for task in before[2]) > 0
    monkeypatch.setattr(spill, "IN_MEMORY", 10)
    monkeypatch.setenv("TUTELAGE_NO_CACHE", "0")
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    said = []
    for _ in range(2):
        found = read_rows(recipe, None, say=said.append)
        assert whole(found) == before
    assert said == ["rows of 2 tasks from the cache"]
    assert isinstance(found.tasks[0].train, DiskRows)


def test_mistakes_and_dropped_rows_are_told_alike(tmp_path, monkeypatch):
    told = []
    for few in (10**6, 10):
        monkeypatch.setattr(spill, "IN_MEMORY", few)
        block = f"tasks:\n  - name: t\n    data: {{path: rows.jsonl}}\n{OWN}"
        with pytest.raises(InputError) as caught:
            read_rows(write(tmp_path, block, bad=(3, 50, 119)), None)
        dropping = block.replace("rows.jsonl}", "rows.jsonl, on_bad_row: drop}")
        rows = read_rows(write(tmp_path, dropping, bad=(3, 50, 119)), None)
        told.append((str(caught.value), whole(rows)))
    assert told[0] == told[1]
    assert "rows.jsonl:51" in told[0][0]
    assert told[0][1][2][0][4].count("rows.jsonl:51") == 1


CHILD = """
import resource, sys
from pathlib import Path
from tutelage.core import spill
from tutelage.models import load_tokenizer, resolve
from tutelage.config import load
from tutelage.prepare.reader import read_rows
from tutelage.prepare.preparation import prepare
import tutelage.templates, tutelage.tokens.batch_encoding, datasketch
spill.IN_MEMORY = 500
words = load_tokenizer(resolve(sys.argv[2]))
recipe = load(Path(sys.argv[1]))
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
rows = read_rows(recipe, None)
made = prepare(recipe, rows, words)
print(made.mixture.epoch, peak() - before)
"""


def test_memory_hardly_grows_with_rows(tmp_path, tiny_model_folder):
    """With the search for near-duplicates off: its index has some kilobytes a row."""
    found = []
    for count in (3_000, 12_000):
        said = f"{OWN}    split: {{near_duplicate_threshold: 1.0, validation: 0.01, test: 50}}\n"
        write(tmp_path, f"tasks:\n  - name: t\n    data: {{path: rows.jsonl}}\n{said}", count=count)
        done = subprocess.run(
            [sys.executable, "-c", CHILD, str(tmp_path / "recipe.yaml"), str(tiny_model_folder)],
            capture_output=True, text=True, check=True, env={**os.environ, "TOKENIZERS_PARALLELISM": "false"},
        )  # fmt: skip
        found.append(tuple(map(int, done.stdout.split())))
    (few, less), (many, more) = found
    assert many > 3.5 * few
    # In memory a row has some 8 kB here: fields, words and tokens. What is left are keys and places.
    assert (more - less) / (many - few) < 1.2, found
