"""Rows of mapped Arrow files: the same values as the strict reader gives, at any place, and errors where a file is damaged."""

from __future__ import annotations

import datetime as dt
import json
import random
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pytest

from tutelage.core.errors import InputError
from tutelage.data import read
from tutelage.data.mapped import MappedRows

COUNT = 1000
ROWS = {
    "text": [None if n % 7 == 3 else f"Zeile {n}: äöü 漢字 " + "x" * (n % 40) for n in range(COUNT)],
    "large": pa.array([f"l{n}" for n in range(COUNT)], pa.large_string()),
    "number": [None if n % 5 == 0 else n * 10**12 for n in range(COUNT)],
    "small": pa.array([n % 100 - 50 for n in range(COUNT)], pa.int8()),
    "share": [n / 8 for n in range(COUNT)],
    "single": pa.array([n / 4 for n in range(COUNT)], pa.float32()),
    "true": [n % 2 == 0 for n in range(COUNT)],
    "tags": [["a", None, str(n)] for n in range(COUNT)],
    "inner": [{"k": n, "v": "w"} for n in range(COUNT)],
    "kind": pa.array(["one", "two"] * (COUNT // 2)).dictionary_encode(),
    "day": [dt.date(2024, 5, 6) + dt.timedelta(days=n) for n in range(COUNT)],
    "price": [Decimal("1.50") + n for n in range(COUNT)],
    "nothing": pa.nulls(COUNT),
}


def write(path, table, *, stream=False, chunk=64):
    make = pa.ipc.new_stream if stream else pa.ipc.new_file
    with make(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=chunk)
    return path


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("chunk", [64, COUNT])
def test_values_are_those_of_the_strict_reader(tmp_path, stream, chunk):
    path = write(tmp_path / "r.arrow", pa.table(ROWS), stream=stream, chunk=chunk)
    wanted = list(read(path, shown="r.arrow"))
    rows = MappedRows(path, shown="r.arrow")
    assert len(rows) == COUNT
    assert list(rows) == wanted
    places = random.Random(0).choices(range(COUNT), k=500)
    assert rows.take(places) == [wanted[place] for place in places]
    assert rows.take(np.array(places)) == [wanted[place] for place in places]
    assert rows[5] == wanted[5]
    assert rows[-1] == wanted[-1]
    assert [type(rows[9].fields[name]) for name in ("number", "small", "share", "true")] == [
        int, int, float, bool,
    ]  # fmt: skip


def test_batches_that_are_slices_of_larger_ones(tmp_path):
    table = pa.table(ROWS)
    sliced = pa.Table.from_batches([table.to_batches()[0].slice(start, 37) for start in (3, 111, 500)])
    path = write(tmp_path / "r.arrow", sliced)
    assert list(MappedRows(path)) == list(read(path))


def test_feather_files_are_mapped_when_they_are_not_compressed(tmp_path):
    path = tmp_path / "r.feather"
    pyarrow.feather.write_feather(pa.table(ROWS), str(path), compression="uncompressed")
    assert list(MappedRows(path)) == list(read(path))
    for compression in ("lz4", "zstd"):
        pyarrow.feather.write_feather(pa.table(ROWS), str(path), compression=compression)
        with pytest.raises(InputError, match="compressed") as told:
            MappedRows(path)
        assert 'compression="uncompressed"' in told.value.fix


def test_parts_keep_the_files_row_numbers(tmp_path):
    rows = MappedRows(write(tmp_path / "r.arrow", pa.table(ROWS)), shown="r.arrow")
    part = rows.part(100, 300, name="task")
    assert len(part) == 200
    assert part[0].fields == rows[100].fields
    assert (part[0].id, str(part[0].origin)) == ("task:101", "r.arrow, row 101")
    assert part[50:60][3].fields == rows[153].fields
    assert next(iter(part.part(199, 200))).origin == rows[299].origin
    for start, stop in ((-1, 5), (5, 4), (0, 201)):
        with pytest.raises(ValueError, match="no part"):
            part.part(start, stop)
    for place in (200, -201):
        with pytest.raises(IndexError):
            part[place]
    with pytest.raises(IndexError):
        part.take([0, 200])
    with pytest.raises(ValueError, match="no step"):
        part[::2]
    assert part.take([]) == []


@pytest.mark.parametrize("stream", [False, True])
def test_a_reader_gives_what_take_gives_or_nothing(tmp_path, stream):
    rows = MappedRows(write(tmp_path / "r.arrow", pa.table(ROWS), stream=stream)).part(100, 900)
    wanted = list(rows)
    for name in ROWS:
        read = rows.reader([name])
        values = [read(place) for place in range(800)]
        assert values == [
            [row.fields[name]] if name not in ("tags", "inner", "day", "price") else None for row in wanted
        ]
    read = rows.reader(["share", "text", "share"])
    assert read(7) == [wanted[7].fields[name] for name in ("share", "text", "share")]
    with pytest.raises(IndexError):
        read(800)
    assert rows.reader(["text", "other"])(7) is None


def test_a_reader_leaves_what_is_wrong_to_take(tmp_path):
    table = pa.table({"text": ["a", "b\0", "c"], "share": [0.5, 0.5, float("nan")], "label": [0, 1, 2]})
    told = {"info": {"features": {"label": {"_type": "ClassLabel", "names": ["x", "y", "z"]}}}}
    table = table.replace_schema_metadata({b"huggingface": json.dumps(told).encode()})
    rows = MappedRows(write(tmp_path / "r.arrow", table))
    assert [rows.reader(["text"])(place) for place in range(3)] == [["a"], None, ["c"]]
    assert [rows.reader(["share"])(place) for place in range(3)] == [[0.5], [0.5], None]
    assert rows.reader(["label"])(0) is None
    broken = MappedRows(damaged(tmp_path, b"text-00700", b"text-\xff\xfe700"))
    assert broken.reader(["text"])(699) == ["text-00699"]
    assert broken.reader(["text"])(700) is None
    found, put = (np.array([50, end], np.int32).tobytes() for end in (60, -1))
    broken = MappedRows(damaged(tmp_path, found, put, chunk=COUNT))
    assert broken.reader(["text"])(4) == ["text-00004"]
    assert broken.reader(["text"])(5) is None


def test_labels_and_columns_left_out(tmp_path):
    told = {"info": {"features": {"label": {"_type": "ClassLabel", "names": ["neg", "pos"]}}}}
    table = pa.table({"label": [1, 0, 7], "text": ["a", "b", "c"], "image": [b"x", b"y", b"z"]})
    table = table.replace_schema_metadata({b"huggingface": json.dumps(told).encode()})
    rows = MappedRows(write(tmp_path / "r.arrow", table))
    assert [row.fields["label"] for row in rows.take([0, 1])] == ["pos", "neg"]
    assert len(rows.notes) == 2
    with pytest.raises(InputError, match="names no label") as told_error:
        rows[2]
    assert told_error.value.where.endswith("row 3")


def damaged(tmp_path, find, put, **how):
    """A file in which some bytes are others."""
    table = pa.table(
        {"text": [f"text-{n:05}" for n in range(COUNT)], "tags": [[f"t{n}"] for n in range(COUNT)]}
    )
    path = write(tmp_path / "r.arrow", table, **how)
    data = path.read_bytes()
    assert find in data
    path.write_bytes(data.replace(find, put))
    return path


def test_a_row_that_is_not_utf8_is_named_and_the_others_are_read(tmp_path):
    rows = MappedRows(damaged(tmp_path, b"text-00700", b"text-\xff\xfe700"), shown="r.arrow")
    assert rows[699].fields["text"] == "text-00699"
    with pytest.raises(InputError, match="not UTF-8") as told:
        rows.take([1, 2, 700, 701])
    assert told.value.where == "r.arrow, row 701"


@pytest.mark.parametrize("value", [2**30, -5])
def test_a_text_that_would_begin_outside_of_the_file_is_named(tmp_path, value):
    offset = np.array([10 * 5], np.int32).tobytes() + np.array([10 * 6], np.int32).tobytes()
    wrong = np.array([10 * 5], np.int32).tobytes() + np.array([value], np.int32).tobytes()
    path = damaged(tmp_path, offset, wrong, chunk=COUNT)
    rows = MappedRows(path, shown="r.arrow")
    assert rows[4].fields["text"] == "text-00004"
    with pytest.raises(InputError, match="damaged") as told:
        rows[5]
    assert told.value.where == "r.arrow, row 6"


def test_lists_with_wrong_places_are_refused(tmp_path):
    places = np.arange(500, 504, dtype=np.int32)
    wrong = places.copy()
    wrong[1] = 2**30
    path = damaged(tmp_path, places.tobytes(), wrong.tobytes(), chunk=COUNT)
    with pytest.raises(InputError, match="damaged"):
        MappedRows(path)[0]


@pytest.mark.parametrize("stream", [False, True])
def test_no_cut_file_is_read_as_a_whole_one(tmp_path, stream):
    path = write(tmp_path / "r.arrow", pa.table(ROWS), stream=stream)
    data = path.read_bytes()
    wanted = len(data) - (8 if stream else 0)  # a stream may end without its end mark
    for end in random.Random(1).sample(range(1, wanted), 60):
        path.write_bytes(data[:end])
        try:
            rows = MappedRows(path)
        except InputError:
            continue
        assert stream  # cut between two batches
        assert len(rows) < COUNT
        assert rows[len(rows) - 1].fields["large"] == f"l{len(rows) - 1}"


def test_random_damage_gives_rows_or_named_errors(tmp_path):
    table = pa.table({name: ROWS[name] for name in ("text", "number", "tags", "kind")})
    path = write(tmp_path / "r.arrow", table)
    data = path.read_bytes()
    chance = random.Random(2)
    outcomes = []
    for _ in range(150):
        broken = bytearray(data)
        for _ in range(chance.randint(1, 8)):
            broken[chance.randrange(len(data))] = chance.randrange(256)
        path.write_bytes(broken)
        outcomes += taken(path, chance)
    assert set(outcomes) == {"refused", "named", "read"}


def taken(path, chance):
    """What becomes of rows of a file that may be damaged."""
    try:
        rows = MappedRows(path, shown="r.arrow")
    except InputError:
        return ["refused"]
    outcomes = []
    for place in chance.sample(range(len(rows)), min(20, len(rows))):
        try:
            outcomes.append("read" if len(rows[place].fields) == len(rows.columns) else "short")
        except InputError as error:
            outcomes.append("named" if error.where.startswith("r.arrow") else "unnamed")
    return outcomes


def test_a_file_that_changed_is_refused(tmp_path):
    path = write(tmp_path / "r.arrow", pa.table(ROWS))
    rows = MappedRows(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match="changed while it was mapped"):
        rows[999]
    with pytest.raises(InputError, match="changed while it was mapped"):
        rows.reader(["text"])(999)


def test_column_names_that_are_not_utf8_are_damage(tmp_path):
    path = damaged(tmp_path, b"tags", b"t\xf9gs")
    with pytest.raises(InputError, match="damaged"):
        MappedRows(path)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("r.parquet", b"PAR1", "only Arrow files"),
        ("r.arrow", b"", "empty"),
        ("r.arrow", b"{}\n{}\n", "damaged"),
        ("r.feather", b"FEA1" + bytes(100), "damaged"),
    ],
)
def test_other_files_are_refused(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=said):
        MappedRows(tmp_path / name)


def test_a_file_that_is_not_there_or_has_no_rows(tmp_path):
    with pytest.raises(InputError, match="not there"):
        MappedRows(tmp_path / "r.arrow")
    write(tmp_path / "r.arrow", pa.table({"text": pa.array([], pa.string())}))
    with pytest.raises(InputError, match="empty"):
        MappedRows(tmp_path / "r.arrow")
