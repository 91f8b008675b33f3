"""What every format's rows go through: columns picked, line breaks and numbers cleaned, nameless columns left out."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tutelage.core.errors import InputError
from tutelage.data import DataSource
from tutelage.data.source import load


def loaded(folder, name, **how):
    return load(DataSource(path=name, **how), root=folder)


def first(folder, name, **how):
    return dict(loaded(folder, name, **how).examples[0].fields)


@pytest.mark.parametrize("name", ["r.jsonl", "r.json", "r.csv", "r.parquet"])
def test_columns_pick_and_an_unknown_name_is_refused_with_the_nearest(tmp_path, name):
    row = {"prompt": "a", "completion": "b", "topic": "c"}
    if name == "r.csv":
        (tmp_path / name).write_text("prompt,completion,topic\na,b,c\n")
    elif name == "r.parquet":
        pq.write_table(pa.Table.from_pylist([row]), tmp_path / name)
    else:
        (tmp_path / name).write_text(json.dumps([row] if name == "r.json" else row))
    assert first(tmp_path, name, columns=("prompt", "completion")) == {"prompt": "a", "completion": "b"}
    assert loaded(tmp_path, name).columns == ("prompt", "completion", "topic")
    with pytest.raises(InputError, match="no such column") as caught:
        loaded(tmp_path, name, columns=("prompt", "completions"))
    assert "completion" in (caught.value.fix or "")


def test_a_table_without_header_takes_its_names_from_columns(tmp_path):
    (tmp_path / "r.csv").write_text("one,two\nthree,four\n")
    assert first(tmp_path, "r.csv", columns=("a", "b")) == {"a": "one", "b": "two"}


def test_narrow_floats_are_the_shortest_numbers_also_inside_lists_and_objects(tmp_path):
    table = pa.table(
        {
            "score": pa.array([3.8], pa.float32()),
            "half": pa.array([0.1], pa.float16()),
            "list": pa.array([[0.2]], pa.list_(pa.float32())),
            "struct": pa.array([{"x": 4.6}], pa.struct([("x", pa.float32())])),
            "wide": pa.array([3.799999952316284], pa.float64()),
        }
    )
    pq.write_table(table, tmp_path / "r.parquet")
    assert first(tmp_path, "r.parquet") == {
        "score": 3.8, "half": 0.1, "list": [0.2], "struct": {"x": 4.6}, "wide": 3.799999952316284,
    }  # fmt: skip


def test_nan_is_null_and_noted_in_jsonl_and_parquet(tmp_path):
    (tmp_path / "r.jsonl").write_text('{"a": "x", "n": NaN, "m": [1, -Infinity]}\n')
    pq.write_table(pa.table({"a": ["x"], "n": [float("nan")]}), tmp_path / "r.parquet")
    assert first(tmp_path, "r.jsonl") == {"a": "x", "n": None, "m": [1, None]}
    assert first(tmp_path, "r.parquet") == {"a": "x", "n": None}
    assert "1 rows have NaN" in str(loaded(tmp_path, "r.parquet").source["notes"])


def test_windows_line_breaks_are_read_alike_in_csv_and_json(tmp_path):
    (tmp_path / "r.csv").write_bytes(b'a,b\r\n"x\r\ny",z\r\n')
    (tmp_path / "r.jsonl").write_text(json.dumps({"a": "x\r\ny", "b": "z"}) + "\n")
    assert first(tmp_path, "r.csv") == first(tmp_path, "r.jsonl") == {"a": "x\ny", "b": "z"}
    assert "Windows line breaks" in str(loaded(tmp_path, "r.jsonl").source["notes"])


def test_a_nameless_index_or_empty_column_is_left_out_and_any_other_refused(tmp_path):
    (tmp_path / "index.csv").write_text(",a,b,\n7,x,y,\n3,x,y,\n")
    assert first(tmp_path, "index.csv") == {"a": "x", "b": "y"}
    notes = str(loaded(tmp_path, "index.csv").source["notes"])
    assert "index that pandas writes" in notes
    assert "column 4" in notes
    (tmp_path / "text.csv").write_text(",a\nword,x\n")
    with pytest.raises(InputError, match="column 1 has no name and holds text"):
        loaded(tmp_path, "text.csv")


def test_lists_that_are_named_after_splits_are_those_splits(tmp_path):
    rows = {"train": [{"a": "1"}], "dev": [{"a": "2"}], "test": [{"a": "3"}], "version": "1"}
    (tmp_path / "r.json").write_text(json.dumps(rows))
    fields = [dict(example.fields) for example in loaded(tmp_path, "r.json").examples]
    assert [row["split"] for row in fields] == ["train", "validation", "test"]
    assert {row["version"] for row in fields} == {"1"}


@pytest.mark.parametrize(
    ("content", "encoding"),
    [("caf\u00e9", "WINDOWS-1252"), ("\u4f60\u597d\u5417\uff1f", "ENCODING")],
)
def test_the_fix_for_another_encoding_names_file_and_encoding(tmp_path, content, encoding):
    code = "cp1252" if encoding != "ENCODING" else "gb18030"
    (tmp_path / "r.csv").write_bytes(f"a,b\n{content},x\n".encode(code))
    with pytest.raises(InputError, match="not UTF-8") as caught:
        loaded(tmp_path, "r.csv")
    assert (
        f"iconv -f {encoding} -t UTF-8 {tmp_path / 'r.csv'} > {tmp_path / 'r-utf8.csv'}" in caught.value.fix
    )


@pytest.mark.parametrize("name", ["data", "data/", "data/sub/.."])
def test_the_glob_that_is_advised_for_a_mixed_folder_reads_it(tmp_path, name):
    (tmp_path / "data" / "sub").mkdir(parents=True)
    for file in ("data/a.jsonl", "data/sub/b.jsonl"):
        (tmp_path / file).write_text('{"a": "x"}\n')
    (tmp_path / "data" / "c.csv").write_text("a\nx\n")
    with pytest.raises(InputError, match="several formats") as caught:
        loaded(tmp_path, name)
    assert len(loaded(tmp_path, caught.value.fix.partition("path: ")[2].strip('"')).examples) == 2


def test_a_folder_of_spreadsheets_says_how_to_save_them(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "t.xlsx").write_bytes(b"PK\x03\x04")
    with pytest.raises(InputError, match="no data file") as caught:
        loaded(tmp_path, "data")
    assert "CSV UTF-8" in caught.value.fix
