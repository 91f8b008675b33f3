"""Plain text as rows: paragraphs, or lines where nothing parts them; tables and JSON under that ending are refused."""

from __future__ import annotations

import gzip

import pytest

from tutelage.core.errors import InputError
from tutelage.data.formats import open_file


def rows(path, content: bytes):
    path.write_bytes(content)
    return [(row.line, row.fields["text"]) for row in open_file(path, path.name).rows]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"One.\nTwo.\n", [(1, "One."), (2, "Two.")]),
        (b"\nOne.\nTwo.\n\n", [(2, "One."), (3, "Two.")]),
        (b"One,\r\nand on.  \r\n\r\n \r\nTwo.", [(1, "One,\nand on."), (5, "Two.")]),
        ("\n\nÄh.\n\nOh.\n".encode(), [(3, "Äh."), (5, "Oh.")]),
    ],
)
def test_a_row_is_a_paragraph_or_a_line(tmp_path, content, expected):
    assert rows(tmp_path / "t.txt", content) == expected
    assert rows(tmp_path / "t.txt.gz", gzip.compress(content)) == expected


@pytest.mark.parametrize("content", [b'{"a": 1}\n{"a": 2}\n', b"text\tlabel\ngood\t1\n"])
def test_what_has_another_form_under_this_ending_is_not_read_as_text(tmp_path, content):
    with pytest.raises(InputError, match="the kind of file is not known"):
        rows(tmp_path / "t.txt", content)


def test_a_line_that_is_not_utf8_is_named_and_the_others_are_read(tmp_path):
    path = tmp_path / "t.txt"
    path.write_bytes(b"One.\n\xff\nTwo.\n")
    first, bad, last = open_file(path, "t.txt").rows
    assert (first.line, last.line) == (1, 3)
    assert isinstance(bad, InputError)
    assert bad.where == "t.txt:2"
