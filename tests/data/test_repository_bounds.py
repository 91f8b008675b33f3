"""READMEs of data sets that would take the machine down: bounded, and named in the error."""

from __future__ import annotations

import os

import pytest

from tutelage.core.errors import InputError
from tutelage.data import DataSource, load, repository
from tutelage.data.repository import select_files

NAMES = ["data/train-00000.jsonl", "data/test.jsonl", "other/train.csv", "notes.txt"]


def readme(patterns: str) -> str:
    return (
        f"---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: {patterns}\n---\n"
    )


def bomb() -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    return "---\n" + "\n".join(lines) + "\nconfigs: *a11\n---\n"


def test_a_readme_of_nested_aliases_is_refused(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "train.jsonl").write_text('{"prompt": "a", "completion": "b"}\n')
    (tmp_path / "set" / "README.md").write_text(bomb())
    with pytest.raises(InputError, match="the YAML at the top of the README") as caught:
        load(DataSource(hub="own/set", local="set"), root=tmp_path, data_dir=tmp_path)
    assert "README.md" in caught.value.where
    assert "too large" in caught.value.found


def test_a_readme_whose_aliases_stay_small_says_which_files_are_which_split():
    text = (
        "---\nfiles: &files\n- &one {split: train, path: 'data/train-*'}\n- {split: test, path: data/test.jsonl}\n"
        "configs:\n- config_name: default\n  default: yes\n  data_files: *files\n- config_name: b\n  data_files: [*one]\n---\n"
    )
    assert select_files(NAMES, "train", where="d", readme=text) == ["data/train-00000.jsonl"]
    assert select_files(NAMES, "test", where="d", readme=text) == ["data/test.jsonl"]


def test_patterns_of_a_readme_are_matched_in_bounded_time():
    assert select_files(NAMES, "train", where="d", readme=readme("'**/tr*[0-9].jsonl'")) == [
        "data/train-00000.jsonl"
    ]
    with pytest.raises(InputError, match="none of them is a data file"):
        select_files(["a" * 3000 + ".jsonl"], "train", where="d", readme=readme("'" + "*a" * 400 + "*b'"))
    with pytest.raises(InputError, match="the pattern is too long"):
        select_files(NAMES, "train", where="d", readme=readme("'" + "**/" * 1000 + "'"))
    with pytest.raises(InputError, match="too many patterns"):
        select_files(NAMES, "train", where="d", readme=readme(str([f"{n}*" for n in range(201)])))


def test_a_readme_that_is_a_pipe_or_has_no_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(repository, "MAX_README_BYTES", 100)
    with pytest.raises(InputError, match="too long"):
        select_files(NAMES, "train", where="d", readme=("---\nx: " + "y" * 200)[:100])
    os.mkfifo(tmp_path / "README.md")
    with pytest.raises(InputError, match="the README is not a plain file"):
        repository.readme_of(tmp_path)


def test_a_part_of_a_cached_data_set_that_is_gone_is_not_passed_over(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "train-00000-of-00002.jsonl").write_text('{"prompt": "a", "completion": "b"}\n')
    (tmp_path / "set" / "train-00001-of-00002.jsonl").symlink_to("blobs/gone")
    with pytest.raises(InputError, match="a link to something that is not there"):
        load(DataSource(hub="own/set", local="set"), root=tmp_path, data_dir=tmp_path)
