from __future__ import annotations

import dataclasses
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from tutelage.core import seeds
from tutelage.core.errors import InputError, MachineError
from tutelage.core.types import Response
from tutelage.results import database
from tutelage.results.store import Item, Store


def test_an_evaluation_is_found_again_by_its_names_and_other_names_are_another(
    store, begin, make_items, make_responses
):
    items = make_items(3)
    first = begin(store)
    first.declare(items)
    first.add(make_responses(items)[:2])
    again = begin(store, provenance={"started": "another day"})
    assert list(again.responses()) == ["q0", "q1"]
    for other in ({"model": "tuned"}, {"suite": "benchmark"}, {"name": "x"}, {"fingerprint": "f2"}):
        assert begin(store, **other).responses() == {}
    assert [(e.model, e.name) for e in store.evaluations(model="base", suite="task")] == [
        ("base", "bot"),
        ("base", "x"),
        ("base", "bot"),
    ]


def test_items_and_responses_come_back_as_they_were(store, begin, make_items, make_responses):
    items = make_items(5, parts=("a", "b"))
    evaluation = begin(store)
    evaluation.declare(items)
    answered = make_responses(items)
    evaluation.add(list(reversed(answered)))
    assert evaluation.items() == tuple(items)
    assert list(evaluation.responses().values()) == answered


def test_every_process_that_answered_leaves_its_provenance_and_the_others_none(
    store, begin, make_items, make_responses
):
    items = make_items(2)
    answered = make_responses(items)
    first = begin(store, provenance={"started": "monday"})
    first.declare(items)
    first.add(answered[:1])
    begin(store, provenance={"started": "tuesday"})
    begin(store, provenance={"started": "wednesday"}).add(answered[1:])
    assert [entry["started"] for entry in first.provenance()] == ["monday", "wednesday"]


def test_declaring_again_changes_nothing_and_declaring_otherwise_is_refused(store, begin, make_items):
    items = make_items(3)
    evaluation = begin(store)
    evaluation.declare(items)
    evaluation.declare(items)
    changed = [*items[:2], Item(id="q2", part="", prompt="another question", references=())]
    with pytest.raises(InputError, match="of which 2 are the ones asked before"):
        evaluation.declare(changed)
    with pytest.raises(InputError, match="begun with other items"):
        evaluation.declare(items[::-1])
    assert evaluation.items() == tuple(items)
    with pytest.raises(InputError, match="same id"):
        begin(store, name="twins").declare([items[0], items[0]])


def test_a_response_to_something_else_or_a_second_answer_or_a_nan_is_refused(
    store, begin, make_items, make_responses
):
    items = make_items(2)
    answered = make_responses(items)
    evaluation = begin(store)
    evaluation.declare(items)
    evaluation.add(answered[:1])
    evaluation.add(answered[:1])
    with pytest.raises(InputError, match="not declared"):
        evaluation.add([answered[1], Response(id="q9", text="", finish="stop", tokens=0)])
    with pytest.raises(InputError, match="another answer already"):
        evaluation.add([answered[1], Response(id="q0", text="changed", finish="stop", tokens=0)])
    with pytest.raises(InputError, match="not a finite number"):
        evaluation.add(
            [Response(id="q1", text="", finish="choice", tokens=0, choice=0, logprobs=(float("nan"),))]
        )
    assert list(evaluation.responses()) == ["q0"]


def test_an_evaluation_from_the_listing_cannot_be_written_without_provenance(
    store, begin, make_items, make_responses
):
    items = make_items(1)
    begin(store).declare(items)
    with pytest.raises(MachineError, match="for reading"):
        store.evaluations()[0].add(make_responses(items))


def test_scores_come_back_with_all_that_a_paired_comparison_needs(store, begin, make_items, make_scored):
    evaluation = begin(store)
    evaluation.declare(make_items(6, parts=("a", "b")))
    whole = {
        "bleu": make_scored([np.nan, 1 / 3, 2 / 3], rows=(0, 3, 5), metric="bleu"),
        "ter": make_scored([1.0] * 6, metric="ter", higher_is_better=False),
    }
    evaluation.write_scores("", whole, primary="ter")
    evaluation.write_scores("b", {"rouge1": make_scored([0.1, 0.2, 0.3])}, primary="rouge1")
    found = evaluation.scores()
    assert list(found) == ["bleu", "ter"]
    for name, scored in whole.items():
        assert found[name].score == scored.score
        assert found[name].rows == scored.rows
        assert found[name].higher_is_better is scored.higher_is_better
        np.testing.assert_array_equal(found[name].items, scored.items)
        np.testing.assert_array_equal(found[name].statistics, scored.statistics)
    assert evaluation.item_scores()["bleu"][1] == ("q0", "q3", "q5")
    assert evaluation.item_scores("b")["rouge1"][1] == ("q1", "q3", "q5")
    assert (evaluation.primary(), evaluation.primary("b"), evaluation.primary("c")) == ("ter", "rouge1", None)
    assert evaluation.parts() == ["", "b"]


def test_scores_are_replaced_as_a_whole(store, begin, make_items, make_scored):
    evaluation = begin(store)
    evaluation.declare(make_items(2))
    evaluation.write_scores("", {"a": make_scored([0, 1]), "b": make_scored([1, 1])}, primary="a")
    evaluation.write_scores("", {"b": make_scored([0], rows=(1,))}, primary="b", ids=["q1", "q0"])
    assert list(evaluation.scores()) == ["b"]
    assert evaluation.item_scores()["b"][1] == ("q0",)
    with pytest.raises(InputError, match="not a finite number"):
        evaluation.write_scores("", {"b": make_scored([np.inf])}, primary="b")
    with pytest.raises(InputError, match="primary metric was not scored"):
        evaluation.write_scores("", {"b": make_scored([1])}, primary="a")
    assert evaluation.scores()["b"].score.value == 0


def test_steps_are_replaced_and_ordered_and_never_nan(store):
    store.log_step(10, {"loss": 2.0})
    store.log_step(2, {"loss": 3.0, "validation_loss": 2.5})
    store.log_step(10, {"loss": 1.5})
    assert store.steps() == [{"step": 2, "loss": 3.0, "validation_loss": 2.5}, {"step": 10, "loss": 1.5}]
    with pytest.raises(InputError, match="step 11: loss"):
        store.log_step(11, {"loss": float("nan")})
    assert len(store.steps()) == 2


def test_another_version_another_program_and_no_database_are_refused(tmp_path):
    path = tmp_path / "results.sqlite"
    Store.open(path).close()
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE schema_version SET version = 3")
    raw.close()
    with pytest.raises(InputError, match=r"found: +version 3\n +expected: +version 1 or 2"):
        Store.open(path)
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as raw:
        raw.execute("CREATE TABLE recipes (name TEXT)")
    raw.close()
    with pytest.raises(InputError, match="another program"):
        Store.open(other)
    text = tmp_path / "text.sqlite"
    text.write_text("this is not a database\n" * 100)
    with pytest.raises(InputError, match="damaged or is not"):
        Store.open(text, read_only=True)
    assert text.read_text() == "this is not a database\n" * 100


def as_version_1(path):
    """Make of a results file what version 1 left."""
    with sqlite3.connect(path) as raw:
        raw.execute("ALTER TABLE responses DROP COLUMN lengths")
        raw.execute("UPDATE schema_version SET version = 1")
    raw.close()


def test_a_file_of_version_1_is_read_as_it_is_and_brought_up_when_it_is_written(
    tmp_path, begin, make_items, make_responses
):
    path = tmp_path / "results.sqlite"
    items = make_items(3)
    answered = make_responses(items)
    with Store.open(path) as store:
        evaluation = begin(store)
        evaluation.declare(items)
        evaluation.add(answered[:2])
    as_version_1(path)
    before = path.read_bytes()
    old = [dataclasses.replace(response, lengths=()) for response in answered[:2]]
    with Store.open(path, read_only=True) as store:
        assert list(store.evaluations()[0].responses().values()) == old
    assert path.read_bytes() == before
    with Store.open(path) as store:
        evaluation = begin(store)
        evaluation.add(answered)  # the same answers again are no others
        assert list(evaluation.responses().values()) == [*old, answered[2]]
    with Store.open(path, read_only=True) as store:
        assert list(store.evaluations()[0].responses().values()) == [*old, answered[2]]


def test_two_processes_that_bring_up_a_file_at_once_do_it_once(tmp_path):
    path = tmp_path / "results.sqlite"
    Store.open(path).close()
    as_version_1(path)
    program = "import sys; from pathlib import Path; from tutelage.results.store import Store; Store.open(Path(sys.argv[1])).close()"
    children = [subprocess.Popen([sys.executable, "-c", program, path]) for _ in range(4)]
    assert [child.wait(120) for child in children] == [0, 0, 0, 0]
    with sqlite3.connect(path) as raw:
        assert raw.execute("SELECT version FROM schema_version").fetchall() == [(2,)]
    raw.close()


def test_reading_what_is_not_there_makes_nothing(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        Store.open(tmp_path / "gone.sqlite", read_only=True)
    with pytest.raises(InputError, match="a folder"):
        Store.open(tmp_path, read_only=True)
    empty = tmp_path / "empty.sqlite"
    empty.touch()
    with pytest.raises(InputError, match="no results in this file yet"):
        Store.open(empty, read_only=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty.sqlite"]


def test_a_reader_in_another_process_sees_what_is_committed_while_the_writer_goes_on(
    store, begin, make_items, make_responses
):
    items = make_items(2)
    evaluation = begin(store)
    evaluation.declare(items)
    evaluation.add(make_responses(items)[:1])
    program = (
        "import sys; from pathlib import Path; from tutelage.results.store import Store\n"
        "with Store.open(Path(sys.argv[1]), read_only=True) as s: print(list(s.evaluations()[0].responses()))"
    )
    with database.transaction(store._connection, store.path):
        store._connection.execute("DELETE FROM responses")
        seen = subprocess.run(
            [sys.executable, "-c", program, store.path],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert seen.stdout.strip() == "['q0']"


def test_a_folder_that_may_not_be_written_to_can_still_be_read(tmp_path, monkeypatch):
    path = tmp_path / "results.sqlite"
    with Store.open(path) as store:
        store.log_step(1, {"loss": 1.0})
    real = database._open_uri

    def no_shared_memory(path, mode):
        if mode == "ro":
            raise_on_use = sqlite3.connect(":memory:")
            raise_on_use.set_authorizer(lambda *_: sqlite3.SQLITE_DENY)
            return _Refusing(raise_on_use)
        return real(path, mode)

    monkeypatch.setattr(database, "_open_uri", no_shared_memory)
    with Store.open(path, read_only=True) as store:
        assert store.steps() == [{"step": 1, "loss": 1.0}]


class _Refusing:
    """What SQLite does with a write-ahead file in a folder where it cannot make its shared memory."""

    def __init__(self, connection):
        self.connection = connection

    def execute(self, *_):
        raise sqlite3.OperationalError("unable to open database file")

    def close(self):
        self.connection.close()


def test_a_full_disk_is_said_and_what_was_finished_is_kept(store, begin, make_items):
    evaluation = begin(store)
    evaluation.declare(make_items(2))
    evaluation.add([Response(id="q0", text="kept", finish="stop", tokens=1)])
    pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
    store._connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(MachineError, match="disk is full"):
        evaluation.add([Response(id="q1", text="x" * 100_000, finish="stop", tokens=1)])
    assert list(evaluation.responses()) == ["q0"]


def test_a_text_that_cannot_be_kept_is_named(store, begin, make_items):
    evaluation = begin(store)
    with pytest.raises(InputError, match="half a character"):
        evaluation.declare([Item(id="a", part="", prompt="broken \ud800", references=())])
    evaluation.declare(make_items(1))
    with pytest.raises(InputError, match="half a character"):
        evaluation.add([Response(id="q0", text="\udfff", finish="stop", tokens=1)])
    assert evaluation.responses() == {}


WRITER = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from tutelage.core.types import Response
    from tutelage.results.store import Item, Store

    store = Store.open(Path(sys.argv[1]))
    evaluation = store.evaluation(model="base", suite="task", name="bot", fingerprint="f", provenance={"by": sys.argv[2]})
    evaluation.declare([Item(id=str(n), part="", prompt=f"p{n}", references=("r",)) for n in range(1000)])
    done = evaluation.responses()
    for start in range(0, 1000, 4):
        batch = [Response(id=str(n), text=f"answer {n} " * 50, finish="stop", tokens=n) for n in range(start, start + 4)]
        batch = [response for response in batch if response.id not in done]
        if batch:
            evaluation.add(batch)
            store.log_step(start, {"loss": 1.0})
            print(start, flush=True)
    print("all", flush=True)
    """
)


def test_killed_at_any_time_what_was_acknowledged_is_there_once(tmp_path):
    path = tmp_path / "results.sqlite"
    chance = seeds.generator(7, "kills")
    acknowledged: set[int] = set()
    for attempt in range(8):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, path, str(attempt)], stdout=subprocess.PIPE, text=True
        )
        lines_wanted = int(chance.integers(1, 30))
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(lines_wanted)]
        time.sleep(chance.random() * 0.01)
        os.kill(child.pid, signal.SIGKILL)
        rest, _ = child.communicate()
        acknowledged |= {
            int(line) for line in [*lines, *rest.splitlines(keepends=True)] if line.endswith("\n")
        }
        with sqlite3.connect(path) as raw:
            assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert raw.execute("PRAGMA foreign_key_check").fetchall() == []
            ids = [int(i) for (i,) in raw.execute("SELECT item_id FROM responses")]
        raw.close()
        assert len(ids) == len(set(ids))
        assert set(ids) >= {start + n for start in acknowledged for n in range(4)}
        # A transaction is whole or absent, and at most the one in flight is there without its acknowledgement.
        assert all({start + n for n in range(4)} <= set(ids) for start in {i - i % 4 for i in ids})
        assert len(ids) <= 4 * (len(acknowledged) + attempt + 1)
    done = subprocess.run(
        [sys.executable, "-c", WRITER, path, "last"], check=True, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.endswith("all\n")
    with Store.open(path, read_only=True) as store:
        (evaluation,) = store.evaluations()
        responses = evaluation.responses()
        assert list(responses) == [str(n) for n in range(1000)]
        assert all(responses[str(n)].text == f"answer {n} " * 50 for n in range(1000))
        assert evaluation.provenance()[-1] == {"by": "last"}


def test_several_processes_may_write_at_once_though_one_is_the_rule(tmp_path):
    program = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from tutelage.core.types import Response
        from tutelage.results.store import Item, Store

        with Store.open(Path(sys.argv[1])) as store:
            one = store.evaluation(model=sys.argv[2], suite="task", name="bot", fingerprint="f", provenance={})
            one.declare([Item(id=str(n), part="", prompt="p", references=()) for n in range(40)])
            for n in range(40):
                one.add([Response(id=str(n), text=sys.argv[2], finish="stop", tokens=1)])
        """
    )
    path = tmp_path / "results.sqlite"
    children = [subprocess.Popen([sys.executable, "-c", program, path, f"model{n}"]) for n in range(4)]
    assert [child.wait(120) for child in children] == [0, 0, 0, 0]
    with Store.open(path, read_only=True) as store:
        for evaluation in store.evaluations():
            assert {r.text for r in evaluation.responses().values()} == {evaluation.model}
            assert len(evaluation.responses()) == 40
        assert len(store.evaluations()) == 4
