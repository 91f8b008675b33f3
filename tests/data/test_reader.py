from __future__ import annotations

import csv
import io
import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tutelage.core.errors import InputError, InputErrors
from tutelage.data import read
from tutelage.data.formats import lines, tables
from tutelage.data.formats.lines import Line
from tutelage.data.layouts import ReadOptions
from tutelage.data.reader import open_reader

GOOD = '{"prompt": "a", "completion": "b"}\n'


def write(tmp_path, content, name="rows.jsonl"):
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refused(path) -> InputError:
    with pytest.raises(InputError) as caught:
        list(read(path))
    error = caught.value
    assert not isinstance(error, InputErrors), error
    assert error.where is not None
    assert error.where.startswith(str(path))
    assert error.found
    assert error.fix
    return error


@pytest.mark.parametrize(
    ("content", "line", "problem", "found"),
    [
        (
            GOOD.encode() + b'{"a": "caf\xe9"}\n',
            2,
            "not UTF-8",
            "0xe9 at byte 11 of the line (byte 46 of the file)",
        ),
        (GOOD.encode() + b'{"a": "\xed\xa0\x80"}\n', 2, "not UTF-8", "0xed at byte 8"),
        (GOOD.encode() + b'{"a": "\xc0\xaf"}\n', 2, "not UTF-8", "0xc0"),
        (GOOD.encode() + b'{"a": "\xe2\x82"}\n', 2, "not UTF-8", "0xe2"),
        (GOOD.encode() + b'{"a": "\xf5\x80\x80\x80"}\n', 2, "not UTF-8", "0xf5"),
        (GOOD.encode() + b'{"a": "x\0y"}\n', 2, "NUL byte", "byte 9 of the line (byte 44 of the file)"),
        (GOOD + r'{"a": "x\u0000"}', 2, "NUL character", "\\u0000"),
        (GOOD + '{"prompt": "half', 2, "the last line is cut off", "without a line end"),
        (GOOD + "\n" + '{"prompt": "half\n', 3, "not valid JSON", "half"),
        (GOOD + '{"a": nan}\n', 2, "not valid JSON", "nan"),
        (GOOD + '{"a": 1, "a": 2}\n', 2, "stands twice", "2 values"),
        (GOOD + r'{"a": "\ud800"}' + "\n", 2, "lone surrogate", "\\ud800"),
        (GOOD + "[1]\n", 2, "a list, not an object", "[1]"),
        (GOOD + '{"a": ' + "[" * 70 + "]" * 70 + "}\n", 2, "nested too deeply", "64"),
        (GOOD + '"text"\n', 2, "is text, not an object", "text"),
        (GOOD + "{}\n", 2, "no fields", "{}"),
        ("[\n" + GOOD + "]\n", 1, "a list, not an object", "["),
        ('{"a": 1}\r{"a": 2}\r', 1, "not valid JSON: Extra data", "{"),
        (b"\xff\xfe" + '{"a": 1}\n'.encode("utf-16-le"), 1, "UTF-16", "ff fe"),
        (b"\x1f\x8b\x08\x00rest\n", 1, "gzip", "1f 8b"),
        (b"PK\x03\x04rest\n", 1, "zip", "50 4b"),
    ],
)
def test_a_bad_line_is_named_with_what_was_found(tmp_path, content, line, problem, found):
    path = write(tmp_path, content)
    error = refused(path)
    assert error.where == f"{path}:{line}"
    assert problem in error.problem
    assert found in error.found


def test_old_mac_line_ends_are_told(tmp_path):
    assert "\\r alone" in refused(write(tmp_path, '{"a": 1}\r{"a": 2}\r')).fix


def test_all_mistakes_of_a_file_come_together_and_the_list_is_bounded(tmp_path):
    path = write(tmp_path, GOOD + "{\n" + GOOD + '{"a": nan}\n')
    with pytest.raises(InputErrors) as caught:
        list(read(path))
    assert [error.where for error in caught.value.errors] == [f"{path}:2", f"{path}:4"]
    assert "2 mistakes" in caught.value.block()
    many = write(tmp_path, "{\n" * 500, "many.jsonl")
    with pytest.raises(InputErrors) as caught:
        list(read(many))
    assert len(caught.value.errors) == 500
    assert caught.value.block().count("not valid JSON") == 1
    assert "many.jsonl:6 and 494 more" in caught.value.block()


def test_the_reading_stops_after_so_many_mistakes(tmp_path, monkeypatch):
    monkeypatch.setattr("tutelage.data.reader.MAX_MISTAKES", 50)
    monkeypatch.setattr("tutelage.core.errors.MAX_MISTAKES", 50)
    with pytest.raises(InputErrors) as caught:
        list(read(write(tmp_path, "{\n" * 500)))
    assert len(caught.value.errors) == 50
    assert "50 mistakes or more" in caught.value.block()


@pytest.mark.parametrize("content", ["", "\n", "\n \n\n"])
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv", "rows.tsv"])
def test_an_empty_file_is_refused(tmp_path, content, name):
    error = refused(write(tmp_path, content, name))
    assert "empty" in error.problem
    assert error.expected == "at least one row"


def test_a_table_of_only_a_header_is_empty(tmp_path):
    assert "empty" in refused(write(tmp_path, "a,b\n", "rows.csv")).problem


def test_a_missing_file_gets_the_nearest_name(tmp_path):
    write(tmp_path, GOOD, "training.jsonl")
    error = refused(tmp_path / "trainning.jsonl")
    assert error.found == "no such file"
    assert "training.jsonl" in error.fix
    assert "no such folder" in refused(tmp_path / "nowhere" / "x.jsonl").found


def test_a_folder_and_a_pipe_are_no_files(tmp_path):
    write(tmp_path, GOOD)
    error = refused(tmp_path)
    assert "folder" in error.problem
    assert "rows.jsonl" in error.fix
    os.mkfifo(tmp_path / "pipe.jsonl")
    assert "pipe" in refused(tmp_path / "pipe.jsonl").found


@pytest.mark.parametrize(
    ("name", "found"),
    [("rows.xlsx", ".xlsx"), ("rows", "without an ending"), ("a.xml.gz", ".xml"), ("rows.jsonl.zip", ".zip")],
)
def test_an_unknown_ending_is_refused_with_the_known_ones(tmp_path, name, found):
    error = refused(write(tmp_path, GOOD, name))
    assert found in error.found
    assert ".jsonl" in error.expected


def test_a_line_beyond_the_limit_is_refused_without_reading_it_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 1000)
    path = write(tmp_path, GOOD + '{"a": "' + "x" * 2000 + '"}\n')
    error = refused(path)
    assert error.where == f"{path}:2"
    assert "100,000,000" in error.expected or "1,000" in error.expected


def test_a_mistake_in_a_json_file_is_named_with_its_column_wherever_the_text_is_cut(tmp_path, monkeypatch):
    before = ' {"a": "two"}, {"a": '
    path = write(tmp_path, f'[{{"a": "one"}},\n{before}tru\n}}, {{"a": "three"}}]', "rows.json")
    for size in (lines.BLOCK_SIZE, 40, 5):
        monkeypatch.setattr(lines, "BLOCK_SIZE", size)
        error = refused(path)
        assert error.where == f"{path}:2"
        assert f"(column {len(before) + 1})" in error.problem


def test_only_newlines_end_a_line(tmp_path):
    odd = "a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg"
    path = write(
        tmp_path,
        json.dumps({"a": odd.replace("\x0b", "").replace("\x0c", "").replace("\x1c", "")}, ensure_ascii=False)
        + "\r\n"
        + GOOD,
    )
    first, second = read(path)
    assert first.fields["a"] == "a\u2028b\u2029c\u0085defg"
    assert second.origin.line == 2


def test_rows_carry_their_physical_line_and_a_unique_name(tmp_path):
    path = write(tmp_path, "\n" + GOOD + "\r\n" + GOOD.strip())
    rows = list(read(path, shown="data/rows.jsonl"))
    assert [str(row.origin) for row in rows] == ["data/rows.jsonl:2", "data/rows.jsonl:4"]
    assert [row.id for row in rows] == ["rows.jsonl:2", "rows.jsonl:4"]
    assert rows[0].fields == {"prompt": "a", "completion": "b"}


def test_csv_takes_quotes_line_breaks_and_a_byte_order_mark(tmp_path):
    content = '\ufeffq,a\r\nplain,"with, comma"\r\n"two\r\nlines","say ""hi"""\r\n\r\n5" pipe,\r\n'
    rows = list(read(write(tmp_path, content, "rows.csv")))
    assert [dict(row.fields) for row in rows] == [
        {"q": "plain", "a": "with, comma"},
        {"q": "two\nlines", "a": 'say "hi"'},
        {"q": '5" pipe', "a": ""},
    ]
    assert [row.origin.line for row in rows] == [2, 3, 6]


def test_tsv_has_no_quotes(tmp_path):
    rows = list(read(write(tmp_path, 'q\ta\n"x\t5" y\n', "rows.tsv")))
    assert dict(rows[0].fields) == {"q": '"x', "a": '5" y'}


@pytest.mark.parametrize(
    ("content", "line", "problem", "found"),
    [
        ('a,b\n1,2\n3,"never closed\n4,5\n6,7\n', 3, "opened and never closed", "never closed"),
        ('a,b\n1,"x"y\n', 2, "text follows a closing quote", "y"),
        ("a,b\n1,2\n1,2,3\n", 3, "another number of fields", "3 fields"),
        ("a,b\n1\n", 2, "another number of fields", "1 fields"),
        ('a,b\n"x\ny",2\n1\n', 4, "another number of fields", "1 fields"),
        ("a,a\n1,2\n", 1, 'two columns are called "a"', "a,a"),
        ("a,\n1,2\n", 2, "column 2 has no name", "2"),
        ("a,b\n1,2\r3,4\n", 2, "carriage return", "\\r"),
        (b"a,b\n1,\xff\n", 2, "not UTF-8", "0xff at byte 3"),
        (b"a,b\n1,\0\n", 2, "NUL byte", "byte 3"),
    ],
)
def test_a_bad_csv_is_named_with_its_line(tmp_path, content, line, problem, found):
    path = write(tmp_path, content, "rows.csv")
    error = refused(path)
    assert error.where == f"{path}:{line}"
    assert problem in error.problem
    assert found in error.found


@pytest.mark.parametrize(("delimiter", "name"), [(";", "semicolons"), ("\t", "tabs")])
def test_a_csv_as_spreadsheets_write_it_in_many_countries(tmp_path, delimiter, name):
    lines = [["q", "a"], ['"1,5; of\t""it"""', "2,5"], ['"two\nlines"', "c"]]
    path = write(tmp_path, "".join(delimiter.join(cells) + "\n" for cells in lines), "rows.csv")
    reader = open_reader(path, "rows.csv", ReadOptions())
    assert [dict(row.fields) for row in reader] == [
        {"q": '1,5; of\t"it"', "a": "2,5"},
        {"q": "two\nlines", "a": "c"},
    ]
    assert reader.notes == (f"the fields are separated by {name}",)
    with pytest.raises(InputError) as caught:
        list(read(write(tmp_path, delimiter.join(["q", "a"]) + "\n1\n", "short.csv")))
    assert f"a {name[:-1]} in double quotes" in caught.value.fix


def test_a_comma_in_the_first_line_makes_a_csv_of_commas(tmp_path):
    path = write(tmp_path, 'a;b,"c;d"\n1;2,3\n', "rows.csv")
    assert [dict(row.fields) for row in read(path)] == [{"a;b": "1;2", "c;d": "3"}]


def test_a_tsv_of_tags_is_read_as_sentences(tmp_path):
    tagged = "Anna\tB-PER\nlives\tO\n\nin\tO\nRome\tB-LOC\n"
    (first, second) = read(write(tmp_path, tagged, "rows.tsv"))
    assert first.fields["tokens"] == ["Anna", "lives"]
    assert second.fields["tags"] == ["O", "B-LOC"]
    rows = list(read(write(tmp_path, "token\ttag\n" + tagged, "named.tsv")))
    assert dict(rows[0].fields) == {"token": "Anna", "tag": "B-PER"}


def test_a_quoted_field_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "MAX_LINE_BYTES", 1000)
    path = write(tmp_path, 'a,b\n1,"open\n' + "x\n" * 2000, "rows.csv")
    error = refused(path)
    assert error.where == f"{path}:2"
    assert "too long" in error.problem


CELLS = st.text(alphabet='ab",\n \u2028é', max_size=6)


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=5))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_csv_reads_what_pythons_csv_writes(pairs):
    stream = io.StringIO()
    csv.writer(stream, quoting=csv.QUOTE_ALL).writerows(pairs)
    physical = [
        Line(n, text.removesuffix("\r"), True) for n, text in enumerate(stream.getvalue().split("\n")[:-1], 1)
    ]
    records = list(tables.csv_records(physical, "f.csv"))
    assert [tuple(record.values) for record in records] == pairs


@given(st.binary(max_size=60) | st.text(alphabet='{}[]",:ab1\n\r\\u ', max_size=60).map(str.encode))
@settings(max_examples=400, deadline=None, derandomize=True)
def test_only_our_errors_come_out_of_any_bytes(tmp_path_factory, content):
    folder = tmp_path_factory.getbasetemp()
    for name in ("fuzz.jsonl", "fuzz.csv", "fuzz.tsv"):
        path = write(folder, content, name)
        try:
            outcome = str(len(list(read(path))))
        except InputError as error:
            outcome = error.block()
        assert outcome.isdigit() or str(path) in outcome
