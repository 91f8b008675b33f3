"""The cache of answers: many writers, some killed, lose nothing that was acknowledged; a damaged file gives no wrong answer."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import fields, replace

import pytest

from tutelage.core.nouns import Request, Response
from tutelage.recipe import answering
from tutelage.recipe.answering import AnswerCache
from tutelage.results.answers import Answers

MOST = 50_000_000
ASKED = Request("r", "choose", "Is it?", choices=("yes", "no"))
SAID = Response("r", "yes", "choice", 0, choice=0, logprobs=(-0.5, -1.25), lengths=(1, 2))

# What a writer does: keep an answer, then say so. What it said must be there whatever happens to it.
WRITER = """
import sys
from pathlib import Path
from tutelage.core.nouns import Response
from tutelage.results.answers import Answers

path, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
with Answers(path, most=50_000_000) as answers:
    for n in range(count):
        answers.put({f"{name}-{n}-{k}": Response("", f"text {name} {n} {k}", "stop", n) for k in range(3)})
        print(n, flush=True)
"""


def test_what_was_kept_comes_back_whole(tmp_path):
    path = tmp_path / "a" / "answers.sqlite"
    long = replace(SAID, id="", text='é\n\0 "x"', logprobs=(-1e-300, -123.456789012345678))
    with Answers(path, most=MOST) as answers:
        answers.put({"k": long, "g": Response("", "", "length", 7)})
    with Answers(path, most=MOST) as answers:
        assert answers.get(["g", "nothing", "k"]) == {"g": Response("", "", "length", 7), "k": long}


def test_eight_writers_of_which_some_are_killed_lose_nothing_acknowledged(tmp_path):
    path = tmp_path / "answers.sqlite"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), f"w{n}", "60" if n % 2 else "100000"],
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(8)
    ]
    said: dict[str, list[int]] = {}
    deadline = time.monotonic() + 60
    while not (path.exists() and path.stat().st_size > 20_000) and time.monotonic() < deadline:
        time.sleep(0.05)
    for n, writer in enumerate(writers):
        if n % 2 == 0:
            time.sleep(0.15)
            os.kill(writer.pid, signal.SIGKILL)
    for n, writer in enumerate(writers):
        out, _ = writer.communicate(timeout=120)
        said[f"w{n}"] = [int(line) for line in out.split("\n")[:-1]]
        assert (writer.returncode == 0) == (n % 2 == 1)
    assert [len(said[f"w{n}"]) for n in (1, 3, 5, 7)] == [60] * 4
    assert sum(len(said[f"w{n}"]) for n in (0, 2, 4, 6)) > 0
    with Answers(path, most=MOST) as answers:
        for name, numbers in said.items():
            keys = [f"{name}-{n}-{k}" for n in numbers for k in range(3)]
            found = answers.get(keys)
            assert all(found[key].text == "text " + key.replace("-", " ") for key in keys)
    with sqlite3.connect(path) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_the_file_keeps_to_its_size_and_what_was_used_longest_ago_goes(tmp_path):
    path = tmp_path / "answers.sqlite"
    with Answers(path, most=1_000_000) as answers:
        answers.put({"first": SAID, "old": SAID})
        for n in range(400):
            answers.put({f"{n}-{k}": replace(SAID, text="x" * 1000) for k in range(10)})
            if n % 20 == 0:
                assert "first" in answers.get(["first"])  # used again and again
        assert answers.get(["old"]) == {}
        assert answers.get(["399-9"])
    assert path.stat().st_size <= 1_100_000


def test_an_answer_that_differs_from_its_checksum_is_not_there(tmp_path):
    path = tmp_path / "answers.sqlite"
    with Answers(path, most=MOST) as answers:
        answers.put({"k": SAID, "l": SAID})
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE answers SET answer = replace(answer, 'yes', 'not') WHERE key = 'k'")
    with Answers(path, most=MOST) as answers:
        assert list(answers.get(["k", "l"])) == ["l"]


CHANGES = {
    "kind": "generate",
    "prompt": "Is it so?",
    "choices": ("yes", "no "),
    "max_new_tokens": 3,
    "stop": ("\n",),
    "history": (("user", "Hello"),),
    "form": "text",
}


@pytest.fixture
def held(tmp_path):
    with Answers(tmp_path / "answers.sqlite", most=MOST) as answers:
        yield answers


@pytest.mark.parametrize("field", CHANGES)
def test_another_question_finds_nothing(held, field):
    cache = AnswerCache(held, "model", print)
    cache.keep([(ASKED, SAID)])
    assert cache.find([replace(ASKED, **{field: CHANGES[field]})]) == []


def test_the_same_question_under_another_name_finds_it_and_another_model_does_not(held):
    assert {one.name for one in fields(Request)} == {"id", *CHANGES}
    AnswerCache(held, "model", print).keep([(ASKED, SAID)])
    found = AnswerCache(held, "model", print).find([replace(ASKED, id="x"), replace(ASKED, id="y")])
    assert found == [replace(SAID, id="x"), replace(SAID, id="y")]
    assert AnswerCache(held, "another", print).find([ASKED]) == []
    made = {
        answering.cache_of(held, weights, device, print)._model
        for weights in "ab"
        for device in ("cpu", "cuda:0")
    }
    assert len(made) == 4


def test_a_damaged_file_is_said_and_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path))
    monkeypatch.delenv("TUTELAGE_NO_CACHE", raising=False)
    told = []
    with answering.opened(told.append) as answers:
        answering.cache_of(answers, "f", "cpu", told.append).keep([(ASKED, SAID)])
    (path,) = tmp_path.rglob("answers.sqlite")
    path.write_bytes(b"no database" * 1000)
    with answering.opened(told.append) as answers:
        assert answers is None
    assert len(told) == 1
    assert "remove the file if it is damaged" in told[0]
    monkeypatch.setenv("TUTELAGE_NO_CACHE", "1")
    with answering.opened(told.append) as answers:
        assert answers is None
    assert len(told) == 1


def test_a_cache_that_fails_on_the_way_is_said_once(held):
    told = []
    cache = AnswerCache(held, "model", told.append)
    cache.keep([(ASKED, SAID)])
    held._connection.execute("DROP TABLE answers")
    assert cache.find([ASKED]) == []
    cache.keep([(ASKED, SAID)])
    assert len(told) == 1
