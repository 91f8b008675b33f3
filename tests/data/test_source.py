from __future__ import annotations

import hashlib

import pytest

from tutelage.core.errors import InputError, MachineError
from tutelage.data import DataSource, hub, load
from tutelage.data.repository import select_files

ROWS = '{"a": "1"}\n{"a": "2"}\n'


def test_a_path_is_relative_to_the_recipe_and_hashed(tmp_path):
    (tmp_path / "rows.jsonl").write_text(ROWS)
    loaded = load(DataSource(path="rows.jsonl"), root=tmp_path)
    assert [row.fields["a"] for row in loaded.examples] == ["1", "2"]
    assert loaded.source == {
        "kind": "path",
        "file": "rows.jsonl",
        "format": "jsonl",
        "layout": "plain",
        "sha256": hashlib.sha256(ROWS.encode()).hexdigest(),
        "rows": 2,
        "notes": [],
    }


def test_a_byte_order_mark_is_said(tmp_path):
    (tmp_path / "rows.jsonl").write_bytes(b"\xef\xbb\xbf" + ROWS.encode())
    loaded = load(DataSource(path="rows.jsonl"), root=tmp_path)
    assert loaded.examples[0].fields == {"a": "1"}
    assert "byte order mark" in str(loaded.source["notes"])


def test_the_local_copy_is_used_when_it_is_there(tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "list_files", lambda *_: pytest.fail("the hub was asked"))
    (tmp_path / "copy.jsonl").write_text(ROWS)
    loaded = load(DataSource(hub="who/what", local="copy.jsonl"), root=tmp_path / "x", data_dir=tmp_path)
    assert loaded.source["kind"] == "local"
    assert loaded.source["file"] == "copy.jsonl"
    assert loaded.source["hub"] == "who/what"


@pytest.fixture
def fake_hub(tmp_path, monkeypatch):
    """A hub whose data sets are folders; counts what was asked."""
    asked = []
    folder = tmp_path / "hub"

    def list_files(repo, revision):
        asked.append(("list", repo, revision))
        return "c0ffee" * 6 + "abcd", [
            p.relative_to(folder).as_posix() for p in sorted(folder.rglob("*")) if p.is_file()
        ]

    def download(repo, commit, name):
        asked.append(("get", commit, name))
        return folder / name

    folder.mkdir()
    monkeypatch.setattr(hub, "list_files", list_files)
    monkeypatch.setattr(hub, "download", download)
    return folder, asked


def test_the_hub_is_pinned_to_one_commit_and_only_the_split_is_fetched(tmp_path, fake_hub):
    folder, asked = fake_hub
    for name in ("train.csv", "test.csv", "script.py"):
        (folder / name).write_text("a,b\n1,2\n")
    loaded = load(
        DataSource(hub="who/what@v1", hub_split="test", local="none.csv"), root=tmp_path, data_dir=tmp_path
    )
    assert asked == [("list", "who/what", "v1"), ("get", "c0ffee" * 6 + "abcd", "test.csv")]
    assert loaded.source["revision"] == "c0ffee" * 6 + "abcd"
    assert loaded.source["files"] == ["test.csv"]
    assert str(loaded.examples[0].origin) == "who/what@c0ffeec0/test.csv:2"


def test_shards_of_a_split_are_read_in_order(tmp_path, fake_hub):
    folder, _ = fake_hub
    (folder / "data").mkdir()
    for index in (1, 0):
        (folder / "data" / f"train-0000{index}-of-00002.jsonl").write_text(f'{{"a": "{index}"}}\n')
    loaded = load(DataSource(hub="who/what"), root=tmp_path)
    assert [row.fields["a"] for row in loaded.examples] == ["0", "1"]
    assert loaded.source["rows"] == 2


@pytest.mark.parametrize(
    ("names", "problem", "fix"),
    [
        (["train.bin"], "no data file", "name it as path"),
        (["validation.csv"], "no data file", "hub_split"),
        (["trian.csv", "validation.csv"], "no data file", "trian"),
        (["rows.csv", "more.csv"], "no data file", "hub_split"),
        (["data/rows-00000-of-00001.csv"], "no data file", "hub_split"),
        (["held_out_eval/rows.csv"], "no data file", "hub_split"),
        (["a/train.csv", "b/train.csv"], "several files", "hub_config: a"),
        (["x-train.csv", "train-y.csv"], "several files", "hub_split"),
        ([], "no data file", "hub_split"),
    ],
)
def test_a_split_that_is_not_one_file_is_refused(names, problem, fix):
    with pytest.raises(InputError) as caught:
        select_files(names, "train", where="who/what")
    assert problem in caught.value.problem
    assert fix in caught.value.fix
    assert "who/what" in caught.value.where


def test_one_file_named_after_no_split_is_the_training_split():
    names = [".gitattributes", "README.md", "dataset_infos.json", "ifeval_input_data.jsonl"]
    assert select_files(names, "train", where="google/IFEval") == ["ifeval_input_data.jsonl"]
    for split in ("test", "validation"):
        with pytest.raises(InputError, match=f"no data file for the split {split}"):
            select_files(names, split, where="google/IFEval")


def test_the_split_is_found_in_longer_names():
    assert select_files(["x.train.jsonl", "x.constrained.jsonl"], "train", where="r") == ["x.train.jsonl"]


def offline(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("local", "data", "fix"),
    [
        (None, False, "name it as data.path"),
        ("d/x.jsonl", False, "--data or TUTELAGE_DATA"),
        ("d/x.jsonl", True, "put it at"),
    ],
)
def test_without_network_it_says_what_to_bring_and_where(tmp_path, monkeypatch, local, data, fix):
    offline(monkeypatch, tmp_path)
    source = DataSource(hub="who/what", hub_split="dev", local=local)
    with pytest.raises(MachineError) as caught:
        load(source, root=tmp_path, data_dir=tmp_path if data else None)
    assert "could not be reached" in caught.value.problem
    assert "OfflineModeIsEnabled" in caught.value.found
    assert fix in caught.value.fix
    assert "dev of who/what" in caught.value.fix
    if data:
        assert str(tmp_path / "d/x.jsonl") in caught.value.found


def test_a_closed_port_is_no_traceback(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(MachineError, match="could not be reached"):
        load(DataSource(hub="who/what"), root=tmp_path)


def test_a_name_that_no_hub_can_have_is_wrong_input():
    with pytest.raises(InputError, match="no such dataset"):
        hub.list_files("not a name", None)


def test_a_source_is_one_thing():
    for wrong in ({}, {"path": "a", "hub": "b/c"}):
        with pytest.raises(InputError, match="a data source is a path"):
            DataSource(**wrong)


def test_a_folder_and_a_list_are_read_in_order_and_their_rows_have_names_of_their_own(tmp_path):
    for name in ("b/rows.jsonl", "a/rows.jsonl", "a/.hidden.jsonl", "a/README.md"):
        (tmp_path / "all" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "all" / name).write_text(ROWS.replace("1", name))
    loaded = load(DataSource(path="all"), root=tmp_path)
    assert [row.fields["a"] for row in loaded.examples] == ["a/rows.jsonl", "2", "b/rows.jsonl", "2"]
    assert [row.id for row in loaded.examples][::2] == ["a/rows.jsonl:1", "b/rows.jsonl:1"]
    assert loaded.source["files"] == ["a/rows.jsonl", "b/rows.jsonl"]
    turned = load(DataSource(path=("all/b/rows.jsonl", "all/a/rows.jsonl")), root=tmp_path)
    assert [row.fields["a"] for row in turned.examples] == ["b/rows.jsonl", "2", "a/rows.jsonl", "2"]
    assert turned.source["sha256"] != loaded.source["sha256"]


def test_files_called_after_splits_that_are_read_as_one_set_are_noted(tmp_path):
    for name in ("train.jsonl", "test.jsonl"):
        (tmp_path / name).write_text(ROWS)
    assert load(DataSource(path="*.jsonl"), root=tmp_path).source["notes"] == [
        "2 files called after several splits were read as one set, which is split anew"
    ]


def test_shards_have_the_layout_of_the_first_one(tmp_path):
    talk = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n'
    (tmp_path / "1.jsonl").write_text(talk)
    (tmp_path / "2.jsonl").write_text(ROWS)
    with pytest.raises(InputError, match="no conversation") as caught:
        load(DataSource(path="*.jsonl"), root=tmp_path)
    assert "2.jsonl:1" in caught.value.block()
