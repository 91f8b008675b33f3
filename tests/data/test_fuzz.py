"""Whatever bytes a file holds, only errors with a place and a problem come out of reading it."""

from __future__ import annotations

import gzip
import io
import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tutelage.core.errors import InputError
from tutelage.data import DataSource, load

FEW, MANY = 300, 20_000
NAMES = [
    "f.jsonl",
    "f.json",
    "f.csv",
    "f.tsv",
    "f.conll",
    "f.jsonl.gz",
    "f.jsonl.zst",
    "f.parquet",
    "f.arrow",
]
TURN = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(["user", "assistant", "system", "tool", 1, None]),
        "content": st.sampled_from(
            ["a", "", None, 3, [{"type": "text", "text": "b"}], [{"type": "image"}], [1]]
        ),
        "from": st.sampled_from(["human", "gpt", "x", {}]),
        "value": st.sampled_from(["a", " ", None]),
        "weight": st.sampled_from([0, 1, "x", [1]]),
        "tool_calls": st.sampled_from([None, [1]]),
    },
)
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "messages": st.lists(TURN, max_size=4) | ANY,
        "conversations": st.lists(TURN, max_size=4) | ANY,
        "prompt": ANY | st.lists(TURN, max_size=2),
        "completion": ANY | st.lists(TURN, max_size=2),
        "Definition": ANY,
        "output": ANY,
        "instruction": ANY,
        "instances": ANY | st.lists(st.fixed_dictionaries({"output": ANY}), max_size=2),
        "tokens": st.lists(st.text(max_size=2), max_size=3) | ANY,
        "tags": st.lists(st.sampled_from(["O", "B-X", "I-X", "", "Z", 1]), max_size=3) | ANY,
        "translation": st.dictionaries(st.sampled_from(["en", "de", "fr"]), ANY, max_size=3) | ANY,
        "en": ANY,
        "de": ANY,
        "system": ANY,
    },
)


def parquet(rows):
    stream = io.BytesIO()
    pq.write_table(pa.table({"prompt": rows, "n": list(range(len(rows)))}), stream, compression="none")
    return stream.getvalue()


def arrow(rows):
    stream = io.BytesIO()
    table = pa.table({"prompt": rows})
    with pa.ipc.new_file(stream, table.schema) as writer:
        writer.write_table(table)
    return stream.getvalue()


SEEDS = {
    "f.jsonl": [b'{"a": "b"}\n{"a": 1.5, "c": [{"d": null}]}\n'],
    "f.json": [
        b'[{"a": "b"},\n {"a": 1e5}]',
        b'{"Instances": [{"input": "x"}], "n": 1}',
        b'{"a": 1}\n{"a": 2}\n',
    ],
    "f.csv": [b'a,b\n1,"x ""y"" z"\n"two\nlines",3\n'],
    "f.tsv": [b"a\tb\n1\t2\n"],
    "f.conll": [b"Anna\tB-PER\nruns\tO\n\nin\tO\nRome\tB-LOC\n"],
    "f.jsonl.gz": [gzip.compress(b'{"a": "b"}\n' * 9)],
    "f.jsonl.zst": [pa.compress(b'{"a": "b"}\n' * 9, "zstd", asbytes=True)],
    "f.parquet": [parquet(["a", "bc", None])],
    "f.arrow": [arrow(["a", "bc", None])],
}


PIECES = [
    b'"',
    b"\\",
    b"{",
    b"]",
    b"[",
    b":",
    b",",
    b"\n",
    b"\r",
    b"\t",
    b"\xff",
    b"\0",
    b"1e999",
    b"NaN",
    b"\\ud800",
    b"",
]


def damaged(rng, name):
    """Random bytes, or a good file with some bytes changed, cut out or put in."""
    if rng.random() < 0.1:
        return rng.randbytes(rng.randint(0, 80))
    content = bytearray(rng.choice(SEEDS[name]))
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(max(1, len(content)))
        piece = rng.choice(PIECES) if rng.random() < 0.6 else rng.randbytes(rng.randint(1, 3))
        content[at : at + rng.randint(0, 9)] = piece
    return bytes(content)


def outcome(folder: Path, name: str, content: bytes, **how):
    (folder / name).write_bytes(content)
    try:
        return f"{len(load(DataSource(path=name, **how), root=folder).examples)} rows"
    except InputError as error:
        return error.block()


def check(folder, name, content):
    told = outcome(folder, name, content, on_bad_row="drop" if len(content) % 2 else "stop")
    assert told.endswith(" rows") or str(folder / name) in told


def fuzz_bytes(folder, name, examples):
    rng = random.Random(f"{name}, {examples}")
    for _ in range(examples):
        check(folder, name, damaged(rng, name))


def fuzz_rows(folder, examples):
    @given(
        st.lists(FIELDS, min_size=1, max_size=3),
        st.sampled_from(
            [
                None,
                "messages",
                "sharegpt",
                "super-ni",
                "self-instruct",
                "flan-cot",
                "entities",
                "translation",
                "classification",
            ]
        ),
    )
    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def run(rows, layout):
        content = "".join(json.dumps(row) + "\n" for row in rows).encode()
        told = outcome(folder, "rows.jsonl", content, layout=layout)
        assert told.endswith(" rows") or "rows.jsonl" in told

    run()


@pytest.mark.parametrize("name", NAMES)
def test_only_our_errors_come_out_of_any_bytes(tmp_path, name):
    fuzz_bytes(tmp_path, name, FEW)


def test_only_our_errors_come_out_of_any_rows(tmp_path):
    fuzz_rows(tmp_path, FEW)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", NAMES)
def test_only_our_errors_come_out_of_20000_inputs(tmp_path, name):
    fuzz_bytes(tmp_path, name, MANY)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_only_our_errors_come_out_of_20000_rows(tmp_path):
    fuzz_rows(tmp_path, MANY)
