"""Files give the same rows and errors in whatever pieces they are read."""

from __future__ import annotations

import json
import random
import re

import pytest

from tutelage.core.errors import InputError
from tutelage.data import DataSource, LabelNames, load, read
from tutelage.data.formats import jsonl, lines

ODD = [
    "é", "€", "\u200b", "\u0000", "\\\\", '\\"', "\\u0022", "\\u0000", "\\u00e9", "\\ud800", "\\ud83d\\ude00", "\\u200b",
    '"', "\\", "{", "}", "[", "]", ":", ",", "NaN", "-Infinity", "1e999", "-0", "0.1", "1e-400", "9223372036854775807",
    "-9223372036854775809", "18446744073709551616", "12345678901234567890123.5", "9" * 120, '"a": 1, ', '"a"', "\t", "\x01",
    "\r", " ", "null", "tru", "[" * 70, "]" * 70, '{"a":', "\ufeff", "\x7f", "1.7976931348623159e308", "5e-324",
]  # fmt: skip


def value(rng, depth=3):
    pick = rng.randrange(7 if depth else 5)
    if pick < 2:
        return "".join(
            rng.choices(
                ["a", "b ", "\n", '"', "\\", "é", "1" * 21, "-", "[", "😀", "\u2019"], k=rng.randrange(6)
            )
        )
    if pick == 2:
        return rng.choice(
            [0, -1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, rng.getrandbits(60)]
        )
    if pick == 3:
        return rng.uniform(-1, 1) * 10 ** rng.randint(-300, 300)
    if pick == 4:
        return rng.choice([None, True, False])
    if pick == 5:
        return [value(rng, depth - 1) for _ in range(rng.randrange(4))]
    return {rng.choice("abcdef"): value(rng, depth - 1) for _ in range(rng.randrange(4))}


def damaged(rng):
    """A row in JSON, as it is or with something put in, put over or cut out."""
    text = json.dumps(
        {name: value(rng) for name in "abc"[: rng.randint(0, 3)]}, ensure_ascii=rng.random() < 0.5
    )
    for _ in range(rng.choice([0, 0, 1, 1, 2])):
        at = rng.randint(0, len(text))
        text = text[:at] + rng.choice(ODD) + text[at + rng.choice([0, 0, 1, 3]) :]
    return text


def outcome(path):
    try:
        return [(row.id, repr(row.fields), row.origin) for row in read(path)]
    except InputError as error:
        return error.block()


def jsonl_outcomes(path, content):
    """What each row gives: its line and fields, or its error."""
    path.write_bytes(content)
    try:
        rows = list(jsonl.rows(lines.Lines(path, "rows.jsonl"), "rows.jsonl"))
    except InputError as error:
        rows = [error]
    return [row.block() if isinstance(row, InputError) else (row.line, repr(row.fields)) for row in rows]


def test_a_jsonl_file_gives_its_lines_one_by_one(tmp_path, monkeypatch):
    """A line gives the same row or error, whatever lines stand around it and wherever blocks are cut."""
    rng = random.Random(2)
    for _ in range(150):
        texts = [
            damaged(rng) if rng.random() < 0.4 else json.dumps({"a": value(rng)})
            for _ in range(rng.randint(1, 9))
        ]
        if texts[0].lstrip().startswith("["):
            continue  # refused as a whole
        end = rng.choice(["\n", "\r\n"])
        content = end.join(texts).encode() + rng.choice([b"", b"\n", b"\n\n", b"\n\xff\n", b"\n\0"])
        expected, start = [], 0
        for line in re.findall(rb"[^\n]*\n|[^\n]+$", content):
            before = re.sub(
                rb"[^\n]", b" ", content[:start]
            )  # blanks, so that errors name the same line and byte
            expected += jsonl_outcomes(tmp_path / "line.jsonl", before + line)
            start += len(line)
        monkeypatch.setattr(lines, "BLOCK_SIZE", rng.choice([7, 50, 1 << 20]))
        assert jsonl_outcomes(tmp_path / "rows.jsonl", content) == expected


CELLS = [
    "a",
    "",
    "é",
    '"x"',
    '"x, y"',
    '"two\nlines"',
    '"two\r\nlines"',
    '"say ""hi"""',
    '""',
    '""""',
    '5" pipe',
    '"x"y',
    '"',
    "\r",
    "\0",
    " ",
    "\u200b",
]


@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv"])
def test_tables_read_the_same_in_blocks_of_any_size(tmp_path, monkeypatch, name):
    rng = random.Random(3)
    delimiter = "," if name == "rows.csv" else "\t"
    path = tmp_path / name
    for _ in range(400):
        good = rng.random() < 0.5
        rows = [
            delimiter.join(
                rng.choices(CELLS[: 10 if good else None], k=2 if rng.random() < 0.97 else rng.randint(1, 3))
            )
            for _ in range(rng.randint(1, 12))
        ]
        end = rng.choice(["\n", "\r\n"])
        head = rng.choice([f"a{delimiter}b", f'"a"{delimiter}b'])
        path.write_bytes(
            end.join([head, *rows]).encode() + rng.choice([b"", b"\n", b"\r\n", b"\n\n", b"\n\xff\n"])
        )
        whole = outcome(path)
        with monkeypatch.context() as patch:
            patch.setattr(lines, "BLOCK_SIZE", rng.choice([7, 20, 50]))
            assert outcome(path) == whole, path.read_bytes()


@pytest.mark.parametrize("on_bad_row", ["stop", "drop"])
@pytest.mark.parametrize("column", [None, "lable"])
def test_a_label_column_that_no_row_has_is_told_once(tmp_path, on_bad_row, column):
    (tmp_path / "r.csv").write_text("text,x,y\n" + "a,b,c\n" * 30)
    (tmp_path / "r.jsonl").write_text('{"text": "a", "x": 1}\n' * 30)
    labels = LabelNames(("a",), column=column)
    for name in ("r.csv", "r.jsonl")[: 2 if on_bad_row == "stop" else 1]:
        with pytest.raises(InputError) as caught:
            load(DataSource(path=name, labels=labels, on_bad_row=on_bad_row), root=tmp_path)
        assert "30" not in caught.value.problem
        assert caught.value.where == f"{tmp_path / name}:{2 if name == 'r.csv' else 1}"
