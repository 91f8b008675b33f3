from __future__ import annotations

import gzip
import json

import pytest

from tutelage.core.errors import InputError, InputErrors
from tutelage.scoring.predictions import read_predictions, read_text_files


@pytest.fixture
def write(tmp_path):
    def put(*rows, name="p.jsonl"):
        text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
        path = tmp_path / name
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        return path

    return put


@pytest.mark.parametrize("name", ["p.jsonl", "p.jsonl.gz"])
def test_rows_come_with_their_lines_tasks_clusters_and_further_fields(write, name):
    found = read_predictions(
        write(
            {"prediction": "a", "references": ["a", "b"], "task": "t", "cluster": 7, "must_contain": ["a"]},
            "",
            {"prediction": "", "target": "c"},
            name=name,
        )
    )
    first, second = found.rows
    assert found.lines == (1, 3)
    assert (first.prediction, first.references, first.task, first.cluster) == ("a", ("a", "b"), "t", "7")
    assert first.fields == {"must_contain": ["a"]}
    assert (second.prediction, second.references, second.task, second.cluster) == ("", ("c",), "", None)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"references": ["a"]}, "the field prediction is missing"),
        ({"predicton": "a", "references": ["a"]}, "rename predicton to prediction"),
        ({"prediction": "a"}, "the field references is missing"),
        ({"prediction": "a", "references": ["a"], "target": "b"}, "references and target both stand"),
        ({"prediction": 7, "references": ["a"]}, "prediction has the wrong type"),
        ({"prediction": "a", "references": "a"}, "references has the wrong type"),
        ({"prediction": "a", "references": []}, "an empty list"),
        ({"prediction": "a", "references": ["a", None]}, "null in the list"),
        ({"prediction": "a", "target": ["a"]}, "target has the wrong type"),
        ({"prediction": "a", "target": "a", "task": 1}, "task has the wrong type"),
        ({"prediction": "a", "target": "a", "cluster": ["x"]}, "cluster has the wrong type"),
        ('{"prediction": "a", "target": "b"', "p.jsonl:2"),
        ('["a", "b"]', "not an object"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(write, row, says):
    path = write({"prediction": "a", "target": "a"}, row)
    with pytest.raises(InputError) as caught:
        read_predictions(path)
    assert f"{path}:2" in caught.value.block()
    assert says in caught.value.block()


def test_all_mistakes_come_at_once_and_each_is_printed_once(write):
    with pytest.raises(InputErrors) as caught:
        read_predictions(write(*[{"prediction": 1, "references": []}] * 30))
    assert len(caught.value.errors) == 60
    assert caught.value.block().count("has the wrong type") == 2


def test_a_file_that_is_not_there_empty_or_cut_off_is_said(write, tmp_path):
    with pytest.raises(InputError, match="not there"):
        read_predictions(tmp_path / "gone.jsonl")
    with pytest.raises(InputError, match="no rows"):
        read_predictions(write("", ""))
    whole = write({"prediction": "a" * 5000, "target": "b"}, name="p.jsonl.gz")
    whole.write_bytes(whole.read_bytes()[:-12])
    with pytest.raises(InputError, match="damaged or cut off"):
        read_predictions(whole)
    whole.write_text("plain text\n", "utf-8")
    with pytest.raises(InputError, match="damaged or cut off"):
        read_predictions(whole)


def test_texts_are_read_line_by_line_beside_several_references(tmp_path):
    for name, text in {"p": "a\u2028b\n\nc\n", "r1": "a\nb\nc\n", "r2": "x\ny\nz"}.items():
        (tmp_path / name).write_text(text, "utf-8")
    found = read_text_files(tmp_path / "p", [tmp_path / "r1", tmp_path / "r2"])
    assert [row.prediction for row in found.rows] == ["a\u2028b", "", "c"]
    assert [row.references for row in found.rows] == [("a", "x"), ("b", "y"), ("c", "z")]
    assert found.lines == (1, 2, 3)


def test_texts_of_different_length_are_refused(tmp_path):
    (tmp_path / "p").write_text("a\nb\n", "utf-8")
    (tmp_path / "r").write_text("a\n", "utf-8")
    with pytest.raises(InputError, match="1 lines, and 2 in"):
        read_text_files(tmp_path / "p", [tmp_path / "r"])
