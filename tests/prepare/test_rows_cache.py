"""The cache of rows in words: the same rows as fresh ones, whole or absent, bounded."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess

import pytest

from tutelage.config import load
from tutelage.core import caches
from tutelage.core.errors import InputError
from tutelage.prepare import reader, rows_cache
from tutelage.prepare.reader import read_rows

RECIPE = "tasks:\n  - name: t\n    data: {path: rows.jsonl}\n"
WORDED = '    prompt: "Say {{ q | trim }}"\n    completion: "{{ a }}"\n'
CHILD = "import sys; from pathlib import Path; from tutelage.config import load; from tutelage.prepare.reader import read_rows; print(read_rows(load(Path(sys.argv[1])), None).identity)"


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """The folder of the entries, with the cache switched on."""
    monkeypatch.setenv("TUTELAGE_NO_CACHE", "0")
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "rows"


@pytest.fixture
def made(monkeypatch):
    """The tasks that were read and not found in the cache."""
    real, seen = reader.read_task, []
    monkeypatch.setattr(
        reader, "read_task", lambda r, t, f, w, **k: seen.append(t.name) or real(r, t, f, w, **k)
    )
    return seen


def write(folder, *, count=40, text=RECIPE + WORDED, more=None):
    folder.mkdir(exist_ok=True)
    said = [
        {"q": f"question {n} é\ud83d\ude00", "a": f"answer {n}", "n": n, "x": [1.5, None, {"k": [n]}]}
        for n in range(count)
    ]
    lines = [json.dumps(row) for row in said] + ([more] if more else [])
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    (folder / "recipe.yaml").write_text(text, "utf-8")
    return folder / "recipe.yaml"


def entries(kept):
    return sorted(path for path in kept.iterdir() if path.is_dir())


@pytest.mark.parametrize(
    "more", ["", "    shots: {count: 2}\n", "    split: {seed: 3, near_duplicate_threshold: 1.0}\n"]
)
def test_rows_from_the_cache_are_the_fresh_ones(tmp_path, kept, made, more):
    path = write(tmp_path / "job", text=RECIPE + WORDED + more)
    said = []
    fresh = read_rows(load(path), None, say=said.append)
    assert (said, made) == ([], ["t"])
    again = read_rows(load(path), None, say=said.append)
    assert (said, made) == (["rows of t from the cache"], ["t"])
    assert again == fresh
    assert json.dumps(dict(again.tasks[0].card)) == json.dumps(dict(fresh.tasks[0].card))
    assert hash(again.tasks[0].train[0].spans) == hash(fresh.tasks[0].train[0].spans)


def test_anything_that_changes_the_rows_is_another_entry(tmp_path, kept, made, monkeypatch):
    path = write(tmp_path / "job")
    seen = [read_rows(load(path), None).identity]
    changes = [
        lambda: write(path.parent, count=41),
        lambda: write(path.parent, text=RECIPE + WORDED.replace("Say", "Tell")),
        lambda: write(path.parent, text=RECIPE + WORDED + "    split: {seed: 1}\n"),
        lambda: write(path.parent, text=(RECIPE + WORDED).replace("name: t", "name: u")),
        lambda: monkeypatch.setattr(caches, "__version__", "9") or caches.code_version.cache_clear(),
    ]
    for number, change in enumerate(changes, 2):
        change()
        seen.append(read_rows(load(path), None).identity)
        assert len(made) == number
        assert len(entries(kept)) == number
    caches.code_version.cache_clear()
    assert len(set(seen)) == 5  # another version gives the same rows, and asks for them anew


OWN = """\
kind: hours
title: Opening hours
about: When a shop is open.
fields:
  q: {about: the question}
  a: {about: the answer}
answer: a
wordings:
  ask: {prompt: "WORDS {{ q }}", completion: "{{ a }}"}
  tell: {prompt: "Tell me: {{ q }}", completion: "{{ a }}"}
"""


@pytest.mark.parametrize(
    "named", ["./hours.yaml/ask", "./hours.yaml", "deep/hours.yaml/ask", "~/hours.yaml/ask"]
)
def test_an_edited_file_of_templates_is_noticed(tmp_path, kept, made, monkeypatch, named):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    path = write(tmp_path / "job", text=f"{RECIPE}    template: {named}\n")
    file = named.rpartition(".yaml")[0] + ".yaml"
    own = tmp_path / "home" / file[2:] if file[0] == "~" else path.parent / file
    own.parent.mkdir(exist_ok=True)
    for words in ("Please say:", "Say now:", "Please say:"):
        own.write_text(OWN.replace("WORDS", words), "utf-8")
        prompts = [row.prompt for row in read_rows(load(path), None).tasks[0].test]
        assert any(prompt.startswith(words) for prompt in prompts)
        assert all(prompt.startswith((words, "Tell me:")) for prompt in prompts)
    assert made == ["t", "t"]  # the third time the first one's rows are there


def test_the_order_of_labels_is_noticed(tmp_path, kept, made):
    """Prompts list the labels in the recipe's order."""
    prompts = []
    for labels in ("{0: bad, 1: good}", "{1: good, 0: bad}"):
        words = f"    template: sentiment/direct-question\n    fields: {{text: q, label: n}}\n    labels: {labels}\n"
        path = write(tmp_path / "job", text=RECIPE + words)
        rows_ = [{"q": f"question {n}", "n": n % 2} for n in range(40)]
        (path.parent / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows_), "utf-8")
        prompts.append(read_rows(load(path), None).tasks[0].test[0].prompt)
    assert made == ["t", "t"]
    assert prompts[0].index("bad") < prompts[0].index("good")
    assert prompts[1].index("good") < prompts[1].index("bad")


def test_times_and_other_blocks_are_nothing_to_it(tmp_path, kept, made):
    path = write(tmp_path / "job")
    read_rows(load(path), None)
    os.utime(path.parent / "rows.jsonl", (1, 1))
    write(path.parent, text=f"tune: {{epochs: 7}}\n{RECIPE}{WORDED}")
    read_rows(load(path), None)
    assert made == ["t"]


def test_a_mistake_is_told_each_time_and_nothing_is_kept(tmp_path, kept):
    path = write(tmp_path / "job", more='{"q": "x", "a": null}')
    told = []
    for _ in range(2):
        with pytest.raises(InputError) as caught:
            read_rows(load(path), None)
        told.append(str(caught.value))
    assert told[0] == told[1]
    assert not kept.exists()


@pytest.mark.parametrize("harm", ["cut", "changed", "half a line", "no manifest", "no rows", "strange"])
@pytest.mark.parametrize("file", ["train.rows", "card.json"])
def test_a_damaged_entry_is_said_and_made_anew(tmp_path, kept, made, harm, file):
    path = write(tmp_path / "job")
    fresh = read_rows(load(path), None)
    (entry,) = entries(kept)
    content = (entry / file).read_bytes()
    if harm in ("cut", "changed"):
        (entry / file).write_bytes(content[:-9] if harm == "cut" else content[::-1])
    elif harm == "half a line":  # as a manifest that was written after the damage would have it
        (entry / file).write_bytes(content[:-9])
        rows_cache.store.write_manifest(entry, {"key": entry.name})
    elif harm == "strange":
        (entry / "manifest.json").write_text('{"files": []}')
    else:
        (entry / ("manifest.json" if harm == "no manifest" else file)).unlink()
    said = []
    assert read_rows(load(path), None, say=said.append) == fresh
    assert said == ["rows in the cache are damaged: they are made anew"]
    assert made == ["t", "t"]
    assert (entry / file).read_bytes() == content
    assert read_rows(load(path), None, say=said.append) == fresh
    assert said[1:] == ["rows of t from the cache"]


def test_the_entries_used_longest_ago_go(tmp_path, kept, made, monkeypatch):
    paths = [write(tmp_path / f"job{n}", count=40 + n) for n in range(3)]
    for place, path in enumerate(paths[:2]):
        read_rows(load(path), None)
        for entry in entries(kept):
            if entry.stat().st_mtime > 100:
                os.utime(entry / "manifest.json", (place + 1, place + 1))
                os.utime(entry, (1, 1))
    first, second = sorted(entries(kept), key=lambda entry: (entry / "manifest.json").stat().st_mtime)
    read_rows(load(paths[0]), None)  # used now
    size = sum(file.stat().st_size for file in first.iterdir())
    monkeypatch.setenv("TUTELAGE_ROWS_CACHE_MB", str(2.5 * size / 1e6))
    foreign = first.parent / "of somebody else"
    foreign.mkdir()
    (foreign / "thesis.txt").write_bytes(bytes(3 * size))
    read_rows(load(paths[2]), None)
    shutil.rmtree(foreign)  # which was kept
    assert first in entries(kept)
    assert second not in entries(kept)
    assert len(entries(kept)) == 2
    monkeypatch.setenv("TUTELAGE_ROWS_CACHE_MB", "0.001")  # too small for any
    write(tmp_path / "job3", count=50)
    read_rows(load(tmp_path / "job3" / "recipe.yaml"), None)
    assert len(entries(kept)) == 2


def test_it_can_be_turned_off_and_a_cache_that_cannot_be_written_is_no_mistake(
    tmp_path, kept, made, monkeypatch
):
    path = write(tmp_path / "job")
    kept.parent.write_text("a file where the folder should be")
    read_rows(load(path), None)
    kept.parent.unlink()
    monkeypatch.setenv("TUTELAGE_NO_CACHE", "1")
    read_rows(load(path), None)
    assert not kept.exists()
    assert made == ["t", "t"]


def test_only_what_cannot_be_stored_is_left_out_silently(tmp_path, kept, monkeypatch):
    def fault(*_):
        raise TypeError("a fault of the program")

    path = write(tmp_path / "job")
    with monkeypatch.context() as patch:
        patch.setattr(rows_cache.store, "write_manifest", fault)
        with pytest.raises(TypeError, match="a fault of the program"):
            read_rows(load(path), None)
    monkeypatch.setattr(rows_cache, "PROMPTED", rows_cache.PROMPTED._replace(write=fault))
    read_rows(load(path), None)
    assert entries(kept) == []


def test_two_processes_at_once_and_one_killed_while_it_writes(tmp_path, kept, made, warm):
    def child(path, code=CHILD):
        return warm.start([path], code=code, cwd=tmp_path, stdout=subprocess.PIPE)

    path = write(tmp_path / "job")
    # It stops with its entry half written, and is killed there.
    stopped = child(
        path,
        "import time; from tutelage.prepare import rows_cache\n"
        "rows_cache.store.write_manifest = lambda *_: (print('writing', flush=True), time.sleep(60))\n"
        + CHILD,
    )
    assert stopped.stdout.readline() == "writing\n"
    stopped.send_signal(signal.SIGKILL)
    stopped.wait()
    stopped.stdout.close()
    assert len(entries(kept)) == 1  # what is half written has another name
    both = [child(path), child(path)]
    told = [one.communicate(timeout=120)[0] for one in both]
    assert [one.returncode for one in both] == [0, 0]
    assert told[0] == told[1]
    (entry,) = entries(kept)
    files = ["card.json", "manifest.json", "test.rows", "train.rows", "validation.rows"]
    assert sorted(file.name for file in entry.iterdir()) == files
    assert read_rows(load(path), None).identity == told[0].strip()
    assert made == []


def test_a_size_that_is_no_number_is_told_before_any_row_is_read(tmp_path, kept, made, monkeypatch):
    monkeypatch.setenv("TUTELAGE_ROWS_CACHE_MB", "2 GB")
    path = write(tmp_path / "job")
    with pytest.raises(InputError, match="TUTELAGE_ROWS_CACHE_MB"):
        read_rows(load(path), None)
    assert made == []
