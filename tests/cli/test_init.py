from __future__ import annotations

import io
import json

import pytest

from tutelage.cli.main import main
from tutelage.config import load


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("question,answer\nWhy?,So.\nHow?,Thus.\n")
    return path


def test_it_prints_a_recipe(rows, capsys):
    assert main(["init", str(rows)]) == 0
    out = capsys.readouterr().out
    assert "tasks:" in out
    assert "{{ question }}" in out


def test_it_writes_a_recipe_that_loads_and_never_overwrites(rows, tmp_path, capsys):
    out = tmp_path / "new" / "mine.yaml"
    assert main(["init", str(rows), "--out", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == {"file": str(out), "recipe": out.read_text()}
    assert load(out).tasks[0].data.path == "../rows.csv"
    before = out.read_bytes()
    assert main(["init", str(rows), "--out", str(out)]) == 2
    assert "overwrite" in capsys.readouterr().err
    assert out.read_bytes() == before


def test_a_bad_file_is_exit_code_2_and_writes_nothing(rows, tmp_path, capsys):
    rows.write_text('question,answer\nWhy?,"never closed\n')
    out = tmp_path / "mine.yaml"
    assert main(["init", str(rows), "--out", str(out)]) == 2
    assert f"{rows}:2" in capsys.readouterr().err
    assert not out.exists()


class Keyboard(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def unclear(tmp_path):
    path = tmp_path / "two.csv"
    path.write_text(
        "left,right\nOne cat sat.,A dog ran.\nIt rained a lot.,She sang.\nHe slept.,They ate soup.\n"
    )
    return path


def test_what_is_not_clear_is_asked_on_a_terminal(unclear, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", Keyboard("nowhere\nright\n1\n"))
    assert main(["init", str(unclear)]) == 0
    out = capsys.readouterr()
    assert 'prompt: "{{ right }}"' in out.out
    assert 'completion: "{{ left }}"' in out.out
    assert '2  right: "A dog ran.", "She sang.", "They ate soup."' in out.err
    assert "no such column; name one of left, right" in out.err


def test_without_a_terminal_both_readings_are_told_and_the_columns_can_be_named(unclear, capsys):
    assert main(["init", str(unclear)]) == 2
    error = capsys.readouterr().err
    assert "left asks, right answers  or  right asks, left answers" in error
    assert f"tutelage init {unclear} --prompt right --completion left" in error
    assert main(["init", str(unclear), "--prompt", "right", "--completion", "left"]) == 0
    assert 'completion: "{{ left }}"' in capsys.readouterr().out
