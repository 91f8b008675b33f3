"""Where local copies of lm-eval's data sets are looked for."""

from __future__ import annotations

from pathlib import Path

import datasets
import pytest

from tutelage.core.errors import InputError
from tutelage.harness.local_data import local_data, located


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "owner" / "name" / "rte").mkdir(parents=True)
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "test.jsonl").write_text('{"a": 1}\n', "utf-8")
    (tmp_path / "owner" / "name" / "rte" / "validation.jsonl").write_text('{"a": 2}\n', "utf-8")
    return tmp_path


def test_a_configuration_that_is_a_folder(folder):
    rte = folder / "owner" / "name" / "rte"
    (rte / "dev-00000-of-00002.jsonl").write_text("", "utf-8")
    (rte / "dev-00001-of-00002.jsonl").write_text("", "utf-8")
    splits = {
        "dev": [str(rte / "dev-00000-of-00002.jsonl"), str(rte / "dev-00001-of-00002.jsonl")],
        "validation": [str(rte / "validation.jsonl")],
    }
    assert located(folder, "owner/name", "rte", {"a": 1}) == ("json", None, {"a": 1, "data_files": splits})


def test_a_copy_of_the_repository(folder):
    assert located(folder, "owner/name", "cola", {"split": "x"}) == (
        str(folder / "owner" / "name"),
        "cola",
        {"split": "x"},
    )


def test_what_is_not_here_goes_to_the_hub(folder):
    assert located(folder, "other/name", None, {}) == ("other/name", None, {})


def test_files_that_hold_no_rows_are_not_taken_for_data(folder):
    rte = folder / "owner" / "name" / "rte"
    for name in ("LICENSE.txt", "dataset_info.json"):
        (rte / name).write_text("{}", "utf-8")
    splits = {"validation": [str(rte / "validation.jsonl")]}
    assert located(folder, "owner/name", "rte", {}) == ("json", None, {"data_files": splits})
    (rte / "test.csv").write_text("a\n1\n", "utf-8")
    with pytest.raises(InputError, match="several formats") as error:
        located(folder, "owner/name", "rte", {})
    assert error.value.found == "test.csv, validation.jsonl"


def test_files_of_a_format(folder, monkeypatch):
    files = {"data_files": {"test": "rows/test.jsonl", "train": ["rows/test.jsonl", "gone.jsonl"]}}
    here = str(folder / "rows" / "test.jsonl")
    assert located(folder, "json", None, files) == (
        "json",
        None,
        {"data_files": {"test": here, "train": [here, "gone.jsonl"]}},
    )
    monkeypatch.chdir(folder)
    assert located(folder / "elsewhere", "json", None, files)[2] == files


def test_load_dataset_takes_them_within_the_block_only(folder, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(folder / "cache"))
    original = datasets.load_dataset
    with local_data(folder):
        rows = datasets.load_dataset(path="owner/name", name="rte", cache_dir=str(folder / "cache"))
        assert rows["validation"][0] == {"a": 2}
    assert datasets.load_dataset is original
    with pytest.raises(RuntimeError, match="stop"), local_data(folder):
        raise RuntimeError("stop")
    assert datasets.load_dataset is original
