"""The answer cache: answers are found by content alone, never lost once acknowledged, bounded, and never in the way."""

from __future__ import annotations

import dataclasses
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap

import pytest

from tutelage.core import seeds
from tutelage.core.types import Request, Response, Sampling
from tutelage.results import answer_cache as module
from tutelage.results.answer_cache import KEYS_PER_QUERY, AnswerCache, answer_key

CHOSEN = Request("a", "choose", "Which? ü\x00", choices=(" yes", " no"))
WRITTEN = Request(
    "b", "generate", "Say it.", max_new_tokens=8, stop=("\n",), history=(("system", "Be brief."),)
)
ANSWERED = Response("a", " no", "choice", 0, choice=1, logprobs=(-0.1 / 3, -7e-300), lengths=(1, 2))
SAID = Response("b", "It 🙂\u2028", "length", 8)


@pytest.fixture
def said():
    return []


@pytest.fixture
def opened(tmp_path, said):
    """Open the file, of so many bytes."""
    made = []

    def make(max_bytes=10**9, name="answers.sqlite"):
        made.append(AnswerCache(tmp_path / "answers" / name, max_bytes=max_bytes, say=said.append))
        return made[-1]

    yield make
    for answers in made:
        answers.close()


def requests(count, *, length=10):
    return [
        Request(f"q{n}", "generate", f"prompt {n}".ljust(length, "."), max_new_tokens=9) for n in range(count)
    ]


def answered(asked, *, length=10):
    return [
        (request, Response(request.id, request.prompt[:8].ljust(length, "x"), "stop", 3)) for request in asked
    ]


def test_answers_come_back_as_they_were_under_the_ids_that_ask(opened, said):
    opened().add("m", [(CHOSEN, ANSWERED), (WRITTEN, SAID)])
    asked = [dataclasses.replace(WRITTEN, id="x"), Request("c", "generate", "new"), CHOSEN]
    assert opened().find("m", asked) == [dataclasses.replace(SAID, id="x"), ANSWERED]
    assert said == []


def test_an_answer_that_is_known_stays_as_it_is(opened):
    answers = opened()
    answers.add("m", [(WRITTEN, SAID)])
    answers.add("m", [(WRITTEN, dataclasses.replace(SAID, text="else"))])
    assert answers.find("m", [WRITTEN]) == [SAID]


def test_more_than_one_statement_can_hold_and_the_same_question_twice(opened):
    asked = requests(2 * KEYS_PER_QUERY + 1)
    answers = opened()
    answers.add("m", answered(asked))
    twin = dataclasses.replace(asked[3], id="twin")
    found = answers.find("m", [*asked, twin])
    assert [response.id for response in found] == [request.id for request in [*asked, twin]]


OTHERS = {
    "kind": "choose",
    "prompt": "Say it!",
    "choices": (" yes",),
    "max_new_tokens": 9,
    "stop": ("\n", "."),
    "history": (("user", "Be brief."),),
    "form": "text",
    "continuation": " and so on",
    "sampling": Sampling(0.7, 0.9, 3),
}


def test_every_field_of_a_request_but_its_id_is_in_the_key_and_so_is_the_model():
    assert {field.name for field in dataclasses.fields(Request)} == {"id", *OTHERS}, (
        "a new field: give it a value"
    )
    key = answer_key("m", WRITTEN)
    assert answer_key("m", dataclasses.replace(WRITTEN, id="another")) == key
    assert answer_key("n", WRITTEN) != key
    keys = {
        key,
        *(answer_key("m", dataclasses.replace(WRITTEN, **{name: value})) for name, value in OTHERS.items()),
    }
    assert len(keys) == 1 + len(OTHERS)


def test_a_field_that_requests_came_to_have_leaves_the_keys_of_others_as_they_were():
    key = "83421406fe93c77010c940c8f204f7cfc7761110092eb3e3db29ac97c1d16670"
    assert answer_key("m", CHOSEN).hex() == key


def test_a_sampled_answer_is_kept_for_its_id_which_decides_what_is_drawn(opened):
    asked = dataclasses.replace(WRITTEN, sampling=Sampling(1.0))
    answers = opened()
    answers.add("m", [(asked, SAID)])
    assert answers.find("m", [asked]) == [SAID]
    assert answers.find("m", [dataclasses.replace(asked, id="twin"), WRITTEN]) == []


def test_choices_in_another_order_or_parted_otherwise_are_other_questions():
    texts = [("a", "b"), ("b", "a"), ("ab",), ("a", "b", "")]
    assert len({answer_key("m", dataclasses.replace(CHOSEN, choices=text)) for text in texts}) == 4


def test_another_schema_knows_nothing_of_this_one(opened, monkeypatch):
    answers = opened()
    answers.add("m", [(WRITTEN, SAID)])
    monkeypatch.setattr(module, "schema", lambda: {"version": 0})
    assert answers.find("m", [WRITTEN]) == []


def test_a_field_that_responses_come_to_have_makes_the_old_ones_unknown(monkeypatch):
    @dataclasses.dataclass(frozen=True, slots=True)
    class Richer(Response):
        more: int = 0

    before = answer_key("m", WRITTEN)
    monkeypatch.setattr(module, "Response", Richer)
    assert answer_key("m", WRITTEN) != before


def test_an_answer_that_would_not_come_back_is_not_kept(opened, said):
    answers = opened()
    broken = [
        dataclasses.replace(SAID, text="half \ud800"),
        dataclasses.replace(SAID, logprobs=(float("nan"),)),
    ]
    answers.add("m", [(WRITTEN, response) for response in broken])
    assert answers.find("m", [WRITTEN]) == []
    assert said == []


WRITER = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from tutelage.core.types import Request, Response, Sampling
    from tutelage.results.answer_cache import AnswerCache

    def fail(line):
        sys.exit(line)

    with AnswerCache(Path(sys.argv[1]), max_bytes=10**9, say=fail) as answers:
        for start in range(0, int(sys.argv[3]), 4):
            batch = []
            for n in range(start, start + 4):
                # One of four is asked by all the writers.
                prompt = f"all {n}" if n % 4 == 3 else f"{sys.argv[2]} {n}"
                batch.append((Request(str(n), "generate", prompt, max_new_tokens=n), Response(str(n), f"to {prompt} " * 50, "stop", n)))
            answers.add("m", batch)
            print(start, flush=True)
    print("all", flush=True)
    """
)


def test_of_eight_writers_some_killed_nothing_acknowledged_is_lost(tmp_path, said):
    path = tmp_path / "answers" / "answers.sqlite"
    chance = seeds.generator(11, "kills")
    killed = (1, 3, 4, 6)  # these would not end by themselves
    children = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, path, str(n), str(10**9 if n in killed else 1000)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(8)
    ]
    told: list[list[str]] = [[] for _ in children]
    for n in killed:
        for _ in range(int(chance.integers(1, 40))):
            told[n].append(children[n].stdout.readline())
        os.kill(children[n].pid, signal.SIGKILL)
    for n, child in enumerate(children):
        rest, _ = child.communicate(timeout=300)
        told[n] += rest.splitlines(keepends=True)
        assert child.returncode == (-signal.SIGKILL if n in killed else 0)
        assert (told[n][-1] == "all\n") == (n not in killed)
    with sqlite3.connect(path) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert raw.execute("PRAGMA auto_vacuum").fetchone() == (2,)
    raw.close()
    with AnswerCache(path, max_bytes=10**9, say=said.append) as answers:
        for n, lines in enumerate(told):
            acknowledged = [int(line) for line in lines if line.endswith("\n") and line != "all\n"]
            assert acknowledged
            asked, expected = [], []
            for k in (start + i for start in acknowledged for i in range(4)):
                prompt = f"all {k}" if k % 4 == 3 else f"{n} {k}"
                asked.append(Request(str(k), "generate", prompt, max_new_tokens=k))
                expected.append(Response(str(k), f"to {prompt} " * 50, "stop", k))
            assert answers.find("m", asked) == expected
    assert said == []


def test_the_file_stays_below_its_bound_and_what_was_used_longest_ago_goes_first(opened, tmp_path):
    max_bytes = 400_000
    answers = opened(max_bytes)
    asked = requests(1000)
    first, rest = asked[:20], asked[20:]
    answers.add("m", answered(first, length=1000))
    for start in range(0, len(rest), 20):
        answers.add("m", answered(rest[start : start + 20], length=1000))
        assert answers._used_bytes() <= max_bytes
        assert answers._number("PRAGMA page_count") * answers._number("PRAGMA page_size") <= max_bytes
        assert len(answers.find("m", first)) == 20  # used again and again, so they stay
        assert len(answers.find("m", rest[start : start + 20])) == 20
    kept = [response.id for response in answers.find("m", rest)]
    assert 200 < len(kept) < 400
    assert kept == [request.id for request in rest[-len(kept) :]]
    answers.close()
    assert (tmp_path / "answers" / "answers.sqlite").stat().st_size <= max_bytes


def test_a_bound_that_was_lowered_makes_the_file_smaller(opened, tmp_path):
    asked = requests(400)
    with opened() as answers:
        answers.add("m", answered(asked, length=2000))
    path = tmp_path / "answers" / "answers.sqlite"
    assert path.stat().st_size > 800_000
    with opened(200_000) as answers:
        answers.add("m", answered([WRITTEN]))
        assert len(answers.find("m", [WRITTEN])) == 1
    assert path.stat().st_size <= 200_000
    with sqlite3.connect(path) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    raw.close()


def test_a_row_that_was_damaged_is_never_given_out_and_asked_again(opened, said, tmp_path):
    with opened() as answers:
        answers.add("m", answered(requests(3)))
    with sqlite3.connect(tmp_path / "answers" / "answers.sqlite") as raw:
        rows = raw.execute("SELECT id, answer FROM answers ORDER BY id").fetchall()
        raw.execute(
            "UPDATE answers SET answer = ? WHERE id = ?",
            (rows[0][1].replace(b"prompt", b"prampt"), rows[0][0]),
        )
        raw.execute("UPDATE answers SET answer = x'ff' WHERE id = ?", (rows[1][0],))
    raw.close()
    with opened() as answers:
        assert [response.id for response in answers.find("m", requests(3))] == ["q2"]
        answers.add("m", answered(requests(3)))
        assert answers.find("m", requests(3)) == [response for _, response in answered(requests(3))]
    assert said == []


def test_two_rows_that_changed_places_are_not_given_out(opened, tmp_path):
    with opened() as answers:
        answers.add("m", answered(requests(2)))
        one, two = answers._connection.execute("SELECT answer, proof FROM answers ORDER BY id").fetchall()
        for (answer, proof), place in ((one, 2), (two, 1)):
            answers._connection.execute(
                "UPDATE answers SET answer = ?, proof = ? WHERE id = ?", (answer, proof, place)
            )
        assert answers.find("m", requests(2)) == []


def damaged(path, how):
    path.parent.mkdir()
    if how == "no database":
        path.write_text("this is not a database\n" * 1000)
    elif how == "a folder":
        path.mkdir()
    elif how == "another program's":
        with sqlite3.connect(path) as raw:
            raw.execute("CREATE TABLE answers (name TEXT)")
        raw.close()
    else:
        with AnswerCache(path, max_bytes=10**9, say=pytest.fail) as answers:
            answers.add("m", answered(requests(500), length=500))
        content = bytearray(path.read_bytes())
        if how == "cut short":
            content = content[: len(content) // 2]
        else:
            content[4096:] = b"\xa5" * (len(content) - 4096)
        path.write_bytes(content)


@pytest.mark.parametrize("how", ["no database", "a folder", "another program's", "cut short", "overwritten"])
def test_a_file_that_is_no_good_is_told_once_and_gives_no_wrong_answer(tmp_path, said, how):
    path = tmp_path / "answers" / "answers.sqlite"
    damaged(path, how)
    with AnswerCache(path, max_bytes=10**9, say=said.append) as answers:
        found = answers.find("m", requests(500))
        right = {request.id: response for request, response in answered(requests(500), length=500)}
        assert all(response == right[response.id] for response in found)
        for _ in range(2):
            answers.add("n", answered(requests(500)))
            answers.find("m", requests(500))
    assert len(said) == 1
    assert "the answer cache cannot be used, so all is asked" in said[0]
    assert str(path) in said[0]


def test_a_folder_that_cannot_be_made_is_told_once(tmp_path, said):
    (tmp_path / "file").touch()
    with AnswerCache(tmp_path / "file" / "answers.sqlite", max_bytes=10**9, say=said.append) as answers:
        answers.add("m", [(WRITTEN, SAID)])
        assert answers.find("m", [WRITTEN]) == []
    assert len(said) == 1


def test_a_full_disk_is_told_once_and_what_was_kept_is_there(opened, said):
    answers = opened()
    answers.add("m", [(WRITTEN, SAID)])
    answers._connection.execute(f"PRAGMA max_page_count = {answers._number('PRAGMA page_count') + 2}")
    answers.add("m", answered(requests(1), length=100_000))
    answers.add("m", answered(requests(1)))
    assert len(said) == 1
    assert "full" in said[0]
    assert opened().find("m", [WRITTEN, *requests(1)]) == [SAID]


def test_a_file_that_may_only_be_read_is_told_once(opened, said):
    answers = opened()
    answers.add("m", [(WRITTEN, SAID)])
    answers._connection.execute("PRAGMA query_only = ON")
    answers.add("m", answered(requests(1)))
    answers.add("m", answered(requests(1)))
    assert len(said) == 1


def test_a_stop_is_no_damage(opened, said, monkeypatch):
    answers = opened()
    monkeypatch.setattr(answers, "_delete_oldest", lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        answers.add("m", [(WRITTEN, SAID)])
    monkeypatch.undo()
    assert answers.find("m", [WRITTEN]) == []
    answers.add("m", [(WRITTEN, SAID)])
    assert answers.find("m", [WRITTEN]) == [SAID]
    assert said == []
