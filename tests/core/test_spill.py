"""Rows beyond a number lie in a file: the same rows, in the same order, however they are looked at."""

from __future__ import annotations

import gc
import random
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from tutelage.core import spill as module
from tutelage.core.errors import InputError, MachineError
from tutelage.core.serialization import ENCODED, EXAMPLE, PROMPTED
from tutelage.core.spill import DiskRows, RowFormat, open_rows, select_rows, spill_rows
from tutelage.core.types import Encoded, Example, Origin, Prompted

TEXTS = ["", "plain", "é\N{GRINNING FACE}\u2028\x85", "a\nb\r\n\tc\0", '"\\', "\ud83d alone", "x" * 3000]
WORDS = RowFormat(
    lambda text: text.encode("utf-8", "surrogatepass"), lambda raw: raw.decode("utf-8", "surrogatepass")
)


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(module, "IN_MEMORY", 3)


def handles():
    return len(list(Path("/proc/self/fd").iterdir()))


def made(count, seed=0):
    rng = random.Random(seed)
    return [f"{place}:{rng.choice(TEXTS)}{'y' * rng.randint(0, 50)}" for place in range(count)]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_few_rows_are_a_tuple(few, count):
    assert spill_rows(iter(made(count)), WORDS) == tuple(made(count))


@pytest.mark.parametrize("block", [1, 100, 4000, 1 << 20])
def test_many_rows_are_the_same_however_they_are_looked_at(few, monkeypatch, block):
    monkeypatch.setattr(module, "_BLOCK", block)
    rows = made(200)
    found = spill_rows(iter(rows), WORDS)
    assert isinstance(found, DiskRows)
    assert len(found) == 200
    assert list(found) == rows
    assert list(reversed(found)) == rows[::-1]
    places = random.Random(1).choices(range(-200, 200), k=100)
    assert [found[place] for place in places] == [rows[place] for place in places]
    for cut in (slice(None), slice(5, 17), slice(-3, None), slice(90, 10, -7), slice(300, 400), slice(4, 4)):
        assert found[cut] == tuple(rows[cut])
    for place in (200, -201):
        with pytest.raises(IndexError):
            found[place]
    both = iter(found), iter(found)
    assert [next(both[0]), next(both[1]), next(both[0])] == [rows[0], rows[0], rows[1]]
    chosen = select_rows(found, [7, 7, 199, 0])
    assert (list(chosen), chosen[1:3], len(chosen)) == (
        [rows[7], rows[7], rows[199], rows[0]],
        (rows[7], rows[199]),
        4,
    )
    assert list(select_rows(chosen, [3, 2])) == [rows[0], rows[199]]
    assert select_rows(tuple(rows), [2, 1]) == (rows[2], rows[1])


def test_a_mistake_among_many_rows_goes_through_and_leaves_no_file(few):
    def rows():
        yield from made(10)
        raise InputError("row 11 is wrong")

    before = handles()
    with pytest.raises(InputError, match="row 11"):
        spill_rows(rows(), WORDS)
    gc.collect()
    assert handles() == before


def test_the_file_has_no_name_and_goes_with_its_reader(few, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(module.tempfile, "tempdir", None)
    before = handles()
    found = spill_rows(made(10), WORDS)
    assert list(tmp_path.iterdir()) == []
    assert handles() == before + 1
    del found
    gc.collect()
    assert handles() == before


FULL = """
import resource, sys
from tutelage.core import spill
from tutelage.core.errors import MachineError
spill.IN_MEMORY, spill._BLOCK = 3, 1000
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
    spill.spill_rows([b"x" * 100] * 99, spill.RowFormat(bytes, bytes))
except MachineError as error:
    print(error.problem, error.fix)
"""


@pytest.mark.parametrize("most", [0, 500, 5000, 9899])
def test_a_full_disk_is_told(most):
    done = subprocess.run([sys.executable, "-c", FULL, str(most)], capture_output=True, text=True, check=True)
    assert "do not fit" in done.stdout
    assert "TMPDIR" in done.stdout


def test_an_error_of_the_source_is_no_full_disk(few):
    def rows():
        yield from made(10)
        raise FileNotFoundError("rows2.jsonl")

    with pytest.raises(FileNotFoundError, match="rows2"):
        spill_rows(rows(), WORDS)


@pytest.mark.parametrize("count", [0, 3, 50])
def test_a_file_of_lines_is_opened_as_what_was_written(few, tmp_path, count):
    rows = [row.replace("\n", " ") for row in made(count)]
    path = tmp_path / "rows"
    path.write_bytes(b"".join(WORDS.write(row) + b"\n" for row in rows))
    found = open_rows(path, WORDS)
    assert (type(found) is tuple) is (count <= 3)
    path.unlink()  # who has it open still reads it
    assert tuple(found) == tuple(rows)


def test_a_file_whose_last_line_has_no_end_is_not_whole(few, tmp_path):
    (tmp_path / "rows").write_bytes(b"one\ntwo")
    with pytest.raises(ValueError, match="no end"):
        open_rows(tmp_path / "rows", WORDS)


def test_reads_that_are_cut_short_are_continued(few, tmp_path, monkeypatch):
    rows, pread = made(10), module.os.pread
    found = spill_rows(rows, WORDS)
    monkeypatch.setattr(module.os, "pread", lambda handle, size, start: pread(handle, min(size, 7), start))
    assert list(found) == rows
    monkeypatch.setattr(module.os, "pread", lambda *_: b"")
    with pytest.raises(MachineError, match="not there any more"):
        list(found)


def value(rng, depth=0):
    kinds = [None, True, False, 0, -1, 2**70, 0.1, -0.0, 1e300, rng.choice(TEXTS), rng.random()]
    if depth < 3:
        kinds += [[value(rng, depth + 1) for _ in range(rng.randint(0, 3))]] * 3
        kinds += [{rng.choice(TEXTS): value(rng, depth + 1) for _ in range(rng.randint(0, 3))}] * 3
    return rng.choice(kinds)


def test_rows_of_every_stage_are_read_as_they_were_written():
    rng = random.Random(3)

    def text():
        return rng.choice(TEXTS)

    def history():
        return tuple((text(), text()) for _ in range(rng.randint(0, 3)))

    for _ in range(300):
        fields = {f"f{place}": value(rng) for place in range(rng.randint(0, 4))}
        origin = Origin(text(), rng.randint(1, 10**9), rng.choice(["line", "row"]), rng.randint(0, 3))
        example = Example(text(), fields, origin, history())
        prompted = Prompted(
            text(), text(), text(), text(), text(), origin, fields,
            spans=tuple((text(), rng.randint(0, 9), rng.randint(9, 99)) for _ in range(rng.randint(0, 3))),
            shots=rng.randint(0, 5), references=(text(), text()), choices=(text(),) * rng.randint(0, 2),
            history=history(), source=text(), listed=rng.random() < 0.5, group=text(),
        )  # fmt: skip
        ids = tuple(rng.randint(0, 2**31 - 1) for _ in range(rng.randint(0, 50)))
        source = rng.choice([None, (), (5, 2**31 - 1)])
        encoded = Encoded(text(), text(), ids, tuple(i % 2 == 0 for i in ids), source, rng.randint(0, 9))
        for row, form in ((example, EXAMPLE), (prompted, PROMPTED), (encoded, ENCODED)):
            written = form.write(row)
            again = form.read(written)
            assert again == row
            assert repr(again) == repr(row)  # 1 and 1.0 and True are equal, and not the same
            assert form is ENCODED or b"\n" not in written


def test_memory_does_not_grow_with_rows(monkeypatch):
    monkeypatch.setattr(module, "IN_MEMORY", 100)
    monkeypatch.setattr(module, "_BLOCK", 1 << 16)

    def peak(count):
        ids = tuple(range(300, 600))
        tracemalloc.start()
        rows = spill_rows((Encoded(f"r:{n}", "t", ids, (True,) * 300) for n in range(count)), ENCODED)
        total = sum(row.n_loss for row in rows)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert total == 300 * count
        return found

    # Where each row begins is all that is held of it: a number of eight bytes, with the room of a growing array.
    assert peak(4000) - peak(1000) < 3000 * 24
