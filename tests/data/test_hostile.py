"""Hostile data: each class is refused with the place, what was found and what to do, and nothing is written."""

from __future__ import annotations

import ctypes
import gzip
import io
import json
import os
import zipfile
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from tutelage.core.errors import InputError, InputErrors
from tutelage.data import DataSource, LabelNames, load
from tutelage.data.formats import blocks, json_document, lines

GOOD = '{"prompt": "a", "completion": "b"}\n'
TALK = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n'


def said(*turns, **fields):
    return json.dumps({"messages": list(turns), **fields}) + "\n"


def turn(role, content, **more):
    return {"role": role, "content": content, **more}


def parquet(columns):
    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream)
    return stream.getvalue()


def arrow(table):
    stream = io.BytesIO()
    with pa.ipc.new_file(stream, table.schema) as writer:
        writer.write_table(table)
    return stream.getvalue()


def zipped(name):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, "x")
    return stream.getvalue()


PARQUET = parquet({"prompt": ["a"] * 50, "completion": [str(n) for n in range(50)]})
DEEP = '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}\n"
# name of the class: (file, content, where it is told, problem, found, fix[, how])
CLASSES = {
    # bytes
    "latin-1 byte": ("r.jsonl", GOOD.encode() + b'{"a": "caf\xe9"}\n', ":2", "not UTF-8", "0xe9 at byte 11", "iconv"),
    "encoded surrogate": ("r.jsonl", b'{"a": "\xed\xa0\x80"}\n', ":1", "not UTF-8", "0xed", "iconv"),
    "overlong encoding": ("r.jsonl", b'{"a": "\xc0\xaf"}\n', ":1", "not UTF-8", "0xc0", "iconv"),
    "cut character": ("r.jsonl", b'{"a": "\xe2\x82"}\n', ":1", "not UTF-8", "0xe2", "iconv"),
    "beyond Unicode": ("r.jsonl", b'{"a": "\xf5\x80\x80\x80"}\n', ":1", "not UTF-8", "0xf5", "iconv"),
    "byte in a document": ("r.json", b'[\n{"a": "b"},\n{"a": "\xff"}\n]', ":3", "not UTF-8", "0xff at byte 8", "iconv"),
    "UTF-16": ("r.jsonl", b"\xff\xfe" + GOOD.encode("utf-16-le"), ":1", "UTF-16", "ff fe", "-f UTF-16"),
    "UTF-16 big endian": ("r.csv", b"\xfe\xff" + "a,b\n".encode("utf-16-be"), ":1", "UTF-16", "fe ff", "-f UTF-16"),
    "NUL byte": ("r.jsonl", GOOD.encode() + b'{"a": "x\0"}\n', ":2", "NUL byte", "byte 9 of the line", "UTF-8"),
    "NUL byte in a document": ("r.json", b'[{"a": 1},\n{"a": "\0"}]', ":2", "NUL byte", "byte 8 of the line", "UTF-8"),
    "NUL escape": ("r.jsonl", GOOD + r'{"a": "\u0000"}', ":2", "NUL character", "u0000", "remove"),
    "NUL escape in a document": ("r.json", '[\n{"a": "\\u0000"}]', ":2", "NUL character", "u0000", "remove"),
    "CR line ends": ("r.jsonl", '{"a": 1}\r{"a": 2}\r', ":1", "Extra data", "{", r"\r alone"),
    "CR in CSV": ("r.csv", "a,b\n1,2\r3,4\n", ":2", "carriage return", r"\r", "line ends"),
    # JSON
    "lone surrogate": ("r.jsonl", '{"a": "\\ud800"}\n', ":1", "lone surrogate", "\\ud800", "drop that half"),
    "lone surrogate key": ("r.jsonl", '{"\\udc00": "a"}\n', ":1", "lone surrogate", "\\udc00", "drop that half"),
    "1e999": ("r.jsonl", '{"a": 1e999}\n', ":1", "too large", "1e999", "in quotes"),
    "repeated key": ("r.jsonl", '{"a": 1, "a": 2}\n', ":1", "stands twice", "2 values", "keep one"),
    "repeated key of a document": ("r.json", '{"a": 1,\n"a": 2}\n', ":2", "stands twice", "a second", "keep one"),
    "long integer": ("r.jsonl", '{"a": ' + "9" * 5000 + "}\n", ":1", "too long", "5,000 digits", "in quotes"),
    "deep nesting": ("r.jsonl", GOOD + DEEP, ":2", "nested too deeply", "64", "flatten"),
    "deep nesting in a document": ("r.json", "[\n" + DEEP + "]", ":2", "nested too deeply", "64", "flatten"),
    "truncated last line": ("r.jsonl", GOOD + '{"prompt": "ha', ":2", "cut off", "without a line end", "fetch it again"),
    "truncated document": ("r.json", '[\n{"a": "b"},\n{"a": "b"}', ":3", "cut off", "the end", "fetch it again"),
    "truncated inside a row": ("r.json", '[\n{"a": "b"},\n{"a": ', ":3", "cut off", "ends with", "fetch it again"),
    "missing comma in a document": ("r.json", '[{"a": 1}\n{"a": 2}]', ":2", "not valid JSON", "{", "json.dump"),
    "trailing comma": ("r.json", '[{"a": 1},\n]', ":2", "not valid JSON", "]", "json.dump"),
    "text behind a document": ("r.json", '[{"a": 1}]\nx', ":2", "not valid JSON", "x", "json.dump"),
    "array file as JSONL": ("r.jsonl", "[\n" + GOOD + "]\n", ":1", "a list, not an object", "[", "jq"),
    "a row that is a list": ("r.jsonl", GOOD + "[1]\n", ":2", "a list, not an object", "[1]", "JSONL"),
    "a number in a list of rows": ("r.json", '[{"a": "b"},\n17]', ":2", "a number, not an object", "17", "object"),
    "rows under two names": ("r.json", '{"x": [{"a": 1}], "y": [{"a": 1}]}', ":1", "several lists", "x, y", "keep one"),
    "empty object": ("r.jsonl", GOOD + "{}\n", ":2", "no fields", "{}", "delete"),
    "a file of an empty object": ("r.json", "{}\n", ":1", "no fields", "{}", "delete"),
    "Python's quotes": ("r.jsonl", "{'a': 'b'}\n", ":1", "not valid JSON", "{'a'", "json.dumps"),
    # tables
    "ragged row": ("r.csv", "a,b\n1,2\n1,2,3\n", ":3", "another number of fields", "3 fields", "double quotes"),
    "ragged row in TSV": ("r.tsv", "a\tb\n1\n", ":2", "another number of fields", "1 fields", "CSV or JSONL"),
    "unclosed quote": ("r.csv", 'a,b\n1,2\n3,"open\n4,5\n', ":3", "never closed", "open", "doubled"),
    "text behind a quote": ("r.csv", 'a,b\n1,"x"y\n', ":2", "follows a closing quote", "y", "doubled"),
    "line break in quotes, then a short row": ("r.csv", 'a,b\n"x\ny",2\n1\n', ":4", "another number", "1 fields", "quotes"),
    "wrong delimiter": ("r.tsv", "a;b\n1;2\n", ":1", "split by semicolons", "a;b", "end in .csv"),
    "two columns of one name": ("r.csv", "a,a\n1,2\n", ":1", "two columns are called", "a,a", "rename"),
    "column without name": ("r.csv", "a,\n1,2\n", ":2", "column 2 has no name", "2", "first line"),
    "no header": ("r.tsv", "How are you?\tFine.\nWho?\tI.\n", ":1", "reads like a row", "How are", "columns: [column1, column2]"),
    # compressed
    "truncated gzip": ("r.jsonl.gz", gzip.compress(GOOD.encode() * 99)[:-9], ":", "damaged or cut off", "", "gzip -t"),
    "gzip that is none": ("r.jsonl.gz", GOOD, ":1", "damaged or cut off", "", "gzip -t"),
    "truncated zstd": ("r.jsonl.zst", zstandard.compress(GOOD.encode() * 99)[:-5], ":", "damaged or cut off", "", "zstd -t"),
    "zstd that is none": ("r.csv.zst", "a,b\n", ":1", "damaged or cut off", "", "zstd -t"),
    "gzip under another name": ("r.jsonl", gzip.compress(GOOD.encode()), ":1", "is gzip", "1f 8b", "end in .gz"),
    "zip": ("r.jsonl", zipped("../../etc/passwd"), ":1", "is zip", "50 4b", "unpack"),
    "zip by its name": ("r.zip", zipped("/x"), "", "kind of file is not known", ".zip", "unpack it"),
    # columns
    "corrupt Parquet": ("r.parquet", PARQUET[:300] + b"\xff" * 40 + PARQUET[340:-200], ", row 1", "damaged", "", "again"),
    "truncated Parquet": ("r.parquet", PARQUET[:-30], ", row 1", "damaged", "", "again"),
    "Parquet that is none": ("r.parquet", GOOD, ", row 1", "damaged", "7b 22", "ending"),
    "truncated Arrow": ("r.arrow", arrow(pa.table({"a": ["x"] * 99}))[:-80], ", row 1", "damaged", "", "again"),
    "Arrow that is none": ("r.arrow", GOOD, ", row 1", "damaged", "", "ending"),
    "only bytes in Parquet": ("r.parquet", parquet({"a": [b"x"]}), "", "no column holds text", "a (binary)", "text columns"),
    "bad text in Arrow": ("r.arrow", arrow(pa.table({"a": pa.Array.from_buffers(pa.string(), 2, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pa.py_buffer(b"x\xff")])})), ", row", "", "", ""),
    # files
    "empty file": ("r.jsonl", "", "", "empty", "0 bytes", "check what wrote it"),
    "blank lines only": ("r.csv", "\n \n", "", "empty", "no rows", "check what wrote it"),
    "header only": ("r.tsv", "a\tb\n", "", "empty", "no rows", "check what wrote it"),
    "empty list": ("r.json", "[]\n", "", "empty", "no rows", "check what wrote it"),
    "unknown ending": ("r.xlsx", "x", "", "kind of file is not known", ".xlsx", "as CSV"),
    # conversations
    "tool call": ("r.jsonl", TALK + said(turn("user", "a"), turn("assistant", "b", tool_calls=[{"id": 1}])), ":2", "tool calls", "messages[1].tool_calls", "on_bad_row: drop"),
    "tool definitions": (
        "r.jsonl",
        said(turn("user", "a"), turn("assistant", "b"), tools=[{"name": "f"}]),
        ":1",
        "tools that may be called",
        "tools",
        "drop",
    ),
    "tool call without content": (
        "r.jsonl",
        said(turn("user", "a"), {"role": "assistant", "tool_calls": [1]}),
        ":1",
        "tool calls",
        "messages[1].tool_calls",
        "drop",
    ),
    "tool's turn": ("r.jsonl", said(turn("user", "a"), turn("tool", "b")), ":1", "a tool's turn", "messages[1].role", "drop"),
    "image": ("r.jsonl", said(turn("user", [{"type": "image_url", "image_url": "x"}]), turn("assistant", "b")), ":1", "type image_url", "messages[0].content[0]", "drop"),
    "unknown speaker": ("r.jsonl", said(turn("user", "a"), turn("assistent", "b")), ":1", "messages[1].role", "assistent", "did you mean assistant"),
    "null content": ("r.jsonl", said(turn("user", "a"), turn("assistant", None)), ":1", "messages[1].content is null", "null", "correct the turn"),
    "blank content": ("r.jsonl", said(turn("user", "a"), turn("assistant", " ")), ":1", "messages[1].content is empty", '" "', "correct the turn"),
    "no answer": ("r.jsonl", TALK + TALK + said(turn("user", "a")), ":3", "no assistant's turn", "user", "correct the turn"),
    "two answers in a row": ("r.jsonl", said(turn("user", "a"), turn("assistant", "b"), turn("assistant", "c")), ":1", "second assistant's turn", "c", "join_turns"),
    "no turns": ("r.jsonl", TALK + TALK + said(), ":3", "no conversation", "without turns", "fill it"),
    "late system prompt": ("r.jsonl", said(turn("user", "a"), turn("system", "s"), turn("assistant", "b")), ":1", "system prompt behind", "s", "correct"),
    # CoNLL and parallel lines
    "token without tag": ("r.conll", "Anna\tB-PER\nlives\n\nx\tO\n", ":2", "another number of columns", "1: ", "blank line"),
    "tag that is none": ("r.conll", "Anna B-PER\nlives VERB\n", ":2", "tag that names no part", "VERB", "columns:"),
    "entity without words": ("r.conll", "x\tO\n\tB-PER\n", ":2", "tokens is empty", "B-PER", "the tag O"),
    # labels
    "label without name": ("r.csv", "text,label\nx,0\ny,7\n", ":3", "names no label", "7", "correct the row", {"labels": LabelNames(("a", "b"))}),
    "label column unclear": ("r.csv", "text,x,y\na,b,c\n", ":2", "which one holds the label", "text, x, y", "column: y", {"labels": LabelNames(("a",))}),
    # layouts
    "layout of another kind": ("r.jsonl", GOOD, ":1", "Definition", "no such field", "leave it out", {"layout": "super-ni"}),
}  # fmt: skip


def refused(source, root):
    with pytest.raises(InputError) as caught:
        load(source, root=root)
    error = caught.value
    assert not isinstance(error, InputErrors), error
    return error


@pytest.mark.parametrize("name", CLASSES)
def test_a_hostile_class_is_named_with_place_found_and_fix(tmp_path, name):
    file, content, where, problem, found, fix, *how = CLASSES[name]
    path = tmp_path / file
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    error = refused(DataSource(path=file, **(how[0] if how else {})), tmp_path)
    assert error.where is not None
    assert error.where.startswith(f"{path}{where}")
    assert where.endswith(":") or not where or error.where[len(str(path)) :].startswith(where)
    assert problem in error.problem
    assert error.found
    assert found in error.found
    assert error.fix
    assert fix in error.fix


def test_there_are_at_least_45_classes():
    assert len(CLASSES) >= 45


@pytest.mark.parametrize(("ending", "pack"), [(".gz", gzip.compress), (".zst", zstandard.compress)])
def test_a_file_that_unpacks_to_far_too_much_is_stopped_on_the_way(tmp_path, monkeypatch, ending, pack):
    monkeypatch.setattr(blocks, "FREE_UNPACKED_BYTES", 3_000_000)
    path = tmp_path / f"bomb.jsonl{ending}"
    path.write_bytes(pack(b'{"a": "' + b" " * 60_000_000 + b'"}\n'))
    error = refused(DataSource(path=path.name), tmp_path)
    assert error.where == f"{path}:1"
    assert "unpacks to far more" in error.problem
    assert int(error.found.split()[0].replace(",", "")) < 10_000_000
    assert "200 times" in error.expected


def test_a_line_of_any_length_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 5_000_000)
    monkeypatch.setattr(json_document, "MAX_LINE_BYTES", 5_000_000)
    for name, head in (("r.jsonl", b'{"a": "'), ("r.json", b'[{"a": "')):
        (tmp_path / name).write_bytes(head + b"x" * 12_000_000 + b'"}')
        error = refused(DataSource(path=name), tmp_path)
        assert "too long" in error.problem
        assert error.where == f"{tmp_path / name}:1"


def test_a_file_that_changes_while_it_is_read_is_told(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_text(GOOD * 50_000)
    rows = iter(lines.Lines(path, str(path)))
    next(rows)
    with path.open("a") as file:
        file.write(GOOD)
    with pytest.raises(InputError, match="changed while it was read") as caught:
        list(rows)
    assert caught.value.where.startswith(f"{path}:")


def test_a_file_without_the_right_to_read_is_told(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_text(GOOD)
    path.chmod(0)
    with without_roots_rights():
        assert "may not be read" in refused(DataSource(path="r.jsonl"), tmp_path).problem


@contextmanager
def without_roots_rights():
    """Take the capabilities from this thread by which root reads files whose mode forbids it (Linux, capget(2))."""
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    before = (ctypes.c_uint32 * 6)()  # twice: effective, permitted, inheritable
    assert libc.capget(header, before) == 0
    fewer = (ctypes.c_uint32 * 6)(*before)
    fewer[0] &= ~0b110  # CAP_DAC_OVERRIDE is 1, CAP_DAC_READ_SEARCH is 2
    assert libc.capset(header, fewer) == 0
    try:
        yield
    finally:
        assert libc.capset(header, before) == 0


def test_missing_folders_globs_devices_and_mixed_kinds(tmp_path):
    (tmp_path / "data").mkdir()
    for name in ("a.jsonl", "b.jsonl", "INDEX.tsv"):
        (tmp_path / "data" / name).write_text(GOOD)
    error = refused(DataSource(path="data"), tmp_path)
    assert "several formats" in error.problem
    assert "tsv: INDEX.tsv" in error.found
    assert "data/*.jsonl" in error.fix
    assert "no file matches the pattern" in refused(DataSource(path="data/x*.jsonl"), tmp_path).problem
    assert "named twice" in refused(DataSource(path=("data/a.jsonl", "data/a.jsonl")), tmp_path).problem
    (tmp_path / "empty").mkdir()
    assert "no data file" in refused(DataSource(path="empty"), tmp_path).problem
    os.mkfifo(tmp_path / "pipe.jsonl")
    assert "not a plain file" in refused(DataSource(path="pipe.jsonl"), tmp_path).problem
    (tmp_path / "loop.jsonl").symlink_to("loop.jsonl")
    assert refused(DataSource(path="loop.jsonl"), tmp_path).where.endswith("loop.jsonl")
    assert "no file can have" in refused(DataSource(path="a\0b.jsonl"), tmp_path).problem


def test_parallel_files_of_different_lengths_and_blank_lines(tmp_path):
    (tmp_path / "t.en").write_text("one\ntwo\nthree\n")
    (tmp_path / "t.de").write_text("eins\nzwei\n")
    error = refused(DataSource(path=("t.en", "t.de")), tmp_path)
    assert error.where == f"{tmp_path / 't.de'}:3"
    assert "different numbers of lines" in error.problem
    (tmp_path / "t.de").write_text("eins\n\ndrei\n")
    error = refused(DataSource(path=("t.en", "t.de")), tmp_path)
    assert error.where == f"{tmp_path / 't.de'}:2"
    (tmp_path / "t.x").write_text("a\nb\nc\n")
    error = refused(DataSource(path=("t.en", "t.x")), tmp_path)
    assert "columns: [en, x]" in error.fix


def test_invisible_characters_are_kept_and_told(tmp_path):
    (tmp_path / "r.jsonl").write_text(GOOD + '{"prompt": "a\u202eb", "completion": ["\u200b"]}\n')
    loaded = load(DataSource(path="r.jsonl"), root=tmp_path)
    assert loaded.examples[1].fields["prompt"] == "a\u202eb"
    (note,) = loaded.source["notes"]
    assert note.startswith("invisible or direction-changing characters stand in 1 rows")
    assert note.endswith("r.jsonl:2")


def test_only_newlines_end_a_line_and_odd_spaces_stay(tmp_path):
    odd = "a\u2028b\u2029c\u0085d"
    (tmp_path / "r.json").write_text(json.dumps([{"a": odd}, {"a": "x"}], ensure_ascii=False, indent=1))
    first, second = load(DataSource(path="r.json"), root=tmp_path).examples
    assert first.fields["a"] == odd
    assert (first.origin.line, second.origin.line) == (2, 5)


def test_bad_rows_are_dropped_when_that_is_asked_for_and_listed(tmp_path):
    (tmp_path / "r.jsonl").write_text(GOOD + '{"a": nan}\n' + GOOD + "[]\n" + GOOD)
    loaded = load(DataSource(path="r.jsonl", on_bad_row="drop"), root=tmp_path)
    assert [row.origin.line for row in loaded.examples] == [1, 3, 5]
    assert [(row.where.rpartition(":")[2], row.why.partition(" (")[0]) for row in loaded.dropped] == [
        ("2", "not valid JSON: Expecting value"),
        ("4", "the line is a list, not an object"),
    ]


def test_when_more_than_half_is_bad_nothing_is_dropped(tmp_path):
    (tmp_path / "r.jsonl").write_text(GOOD + "[]\n" * 2)
    with pytest.raises(InputErrors) as caught:
        load(DataSource(path="r.jsonl", on_bad_row="drop"), root=tmp_path)
    assert "more than half" in caught.value.errors[0].problem
    assert "2 with a mistake, 1 without" in caught.value.errors[0].found
    (tmp_path / "all.jsonl").write_text("[1]\n")
    with pytest.raises(InputError):
        load(DataSource(path="all.jsonl", on_bad_row="drop"), root=tmp_path)
