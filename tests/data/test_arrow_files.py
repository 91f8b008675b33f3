"""Parquet and Arrow files, and folders laid out as the hub's repositories and its cache."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from tutelage.core.errors import InputError
from tutelage.data import DataSource, load
from tutelage.data.repository import select_files

ROWS = {"prompt": ["a", "b", "c"], "completion": ["x", "y", "z"]}
FEATURES = {
    "label": {"_type": "ClassLabel", "names": ["neg", "pos"]},
    "tags": {"_type": "List", "feature": {"_type": "ClassLabel", "names": ["O", "B-PER"]}},
}


def write(path, table):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=2)
    elif path.suffix == ".feather":
        pyarrow.feather.write_feather(table, str(path))
    else:
        make = pa.ipc.new_stream if "stream" in path.name else pa.ipc.new_file
        with make(str(path), table.schema) as writer:
            writer.write_table(table)


@pytest.mark.parametrize("name", ["r.parquet", "r.arrow", "stream.arrow", "r.feather"])
def test_rows_have_numbers_instead_of_lines(tmp_path, name):
    write(tmp_path / name, pa.table(ROWS))
    loaded = load(DataSource(path=name), root=tmp_path)
    assert [dict(row.fields) for row in loaded.examples][2] == {"prompt": "c", "completion": "z"}
    assert str(loaded.examples[2].origin) == f"{tmp_path / name}, row 3"
    assert loaded.examples[2].id == f"{name}:3"
    assert loaded.source["format"] in ("parquet", "arrow")
    assert len(loaded.source["sha256"]) == 64


def test_nested_values_are_plain_and_other_types_are_text_or_left_out(tmp_path):
    table = pa.table(
        {
            "messages": [[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]],
            "when": [dt.datetime(2024, 5, 6, 7, 8, 9, tzinfo=dt.UTC)],
            "day": [dt.date(2024, 5, 6)],
            "price": [Decimal("1.50")],
            "kind": pa.array(["k"]).dictionary_encode(),
            "n": [3],
            "image": [b"\x00\xff"],
            "none": pa.nulls(1),
        }
    )
    write(tmp_path / "r.parquet", table)
    loaded = load(DataSource(path="r.parquet"), root=tmp_path)
    row = dict(loaded.examples[0].fields)
    assert loaded.source["layout"] == "messages"
    assert row["when"] == "2024-05-06T07:08:09+00:00"
    assert (row["day"], row["price"], row["kind"], row["n"], row["none"]) == (
        "2024-05-06",
        "1.50",
        "k",
        3,
        None,
    )
    assert "image" not in row
    assert loaded.source["notes"] == ["columns that hold no text or numbers were left out: image (binary)"]


def test_labels_that_the_file_names_are_read_as_names(tmp_path):
    table = pa.table({"text": ["a", "b"], "label": [1, 0]})
    told = json.dumps({"info": {"features": FEATURES}}).encode()
    write(tmp_path / "r.parquet", table.replace_schema_metadata({b"huggingface": told}))
    loaded = load(DataSource(path="r.parquet"), root=tmp_path)
    assert [row.fields["label"] for row in loaded.examples] == ["pos", "neg"]
    assert "label" in loaded.source["notes"][0]
    tagged = pa.table({"tokens": [["Anna", "runs"]], "tags": [[1, 0]]}).replace_schema_metadata(
        {b"huggingface": told}
    )
    write(tmp_path / "n.parquet", tagged)
    loaded = load(DataSource(path="n.parquet"), root=tmp_path)
    assert loaded.examples[0].fields["entities"] == "PER: Anna"
    table = pa.table({"text": ["a"], "label": [-1]}).replace_schema_metadata({b"huggingface": told})
    write(tmp_path / "m.parquet", table)
    with pytest.raises(InputError, match="names no label"):
        load(DataSource(path="m.parquet"), root=tmp_path)


def test_two_columns_of_one_name_are_refused(tmp_path):
    write(tmp_path / "r.arrow", pa.table([pa.array(["a"]), pa.array(["b"])], names=["x", "x"]))
    with pytest.raises(InputError, match='two columns are called "x"'):
        load(DataSource(path="r.arrow"), root=tmp_path)


def test_a_saved_data_set_of_the_hubs_library_is_a_folder(tmp_path):
    import datasets

    datasets.Dataset.from_dict(ROWS).save_to_disk(str(tmp_path / "saved"))
    loaded = load(DataSource(path="saved"), root=tmp_path)
    assert [row.fields["prompt"] for row in loaded.examples] == ["a", "b", "c"]


def read(tmp_path, **said):
    source = DataSource(hub="who/what" + said.pop("revision", ""), local="copy", **said)
    return load(source, root=tmp_path, data_dir=tmp_path)


def repository(folder):
    """A repository as the hub has them: shards in data/, a README that says nothing."""
    for split, shards in (("train", 2), ("test", 1)):
        for shard in range(shards):
            table = pa.table({"prompt": [f"{split}{shard}"], "completion": ["x"]})
            write(folder / "data" / f"{split}-{shard:05}-of-{shards:05}.parquet", table)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# A data set\n")


def test_shards_of_a_split(tmp_path):
    repository(tmp_path / "copy")
    loaded = read(tmp_path)
    assert [row.fields["prompt"] for row in loaded.examples] == ["train0", "train1"]
    assert loaded.source["files"] == [
        "data/train-00000-of-00002.parquet",
        "data/train-00001-of-00002.parquet",
    ]
    assert [row.fields["prompt"] for row in read(tmp_path, hub_split="test").examples] == ["test0"]
    with pytest.raises(InputError, match="no data file for the split"):
        read(tmp_path, hub_split="validation")


def test_the_hubs_cache_with_a_pinned_revision(tmp_path):
    old, new = "a" * 40, "b" * 40
    for commit, text in ((old, "old"), (new, "new")):
        folder = tmp_path / "copy" / "snapshots" / commit
        folder.mkdir(parents=True)
        (folder / "train.jsonl").write_text(json.dumps({"prompt": text, "completion": "x"}) + "\n")
    (tmp_path / "copy" / "refs").mkdir()
    (tmp_path / "copy" / "refs" / "main").write_text(new)
    loaded = read(tmp_path)
    assert (loaded.examples[0].fields["prompt"], loaded.source["revision"]) == ("new", new)
    pinned = read(tmp_path, revision="@" + old)
    assert (pinned.examples[0].fields["prompt"], pinned.source["revision"]) == ("old", old)
    with pytest.raises(InputError, match="does not have that revision"):
        read(tmp_path, revision="@" + "c" * 40)


CONFIGS = """---
configs:
- config_name: en
  data_files:
  - split: train
    path: en/part-*
  - split: test
    path: [en/held.jsonl]
- config_name: de
  data_dir: de
  data_files: "**/*.jsonl"
---
"""


def test_the_readmes_configs(tmp_path):
    copy = tmp_path / "copy"
    for name in ("en/part-1.jsonl", "en/part-2.jsonl", "en/held.jsonl", "de/deep/x.jsonl"):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text(json.dumps({"prompt": name, "completion": "x"}) + "\n")
    (copy / "README.md").write_text(CONFIGS)
    with pytest.raises(InputError, match="several configurations") as caught:
        read(tmp_path)
    assert "hub_config: en" in caught.value.fix
    assert len(read(tmp_path, hub_config="en").examples) == 2
    assert read(tmp_path, hub_config="en", hub_split="test").source["files"] == ["en/held.jsonl"]
    assert read(tmp_path, hub_config="de").source["files"] == ["de/deep/x.jsonl"]
    with pytest.raises(InputError) as caught:
        read(tmp_path, hub_config="enn")
    assert "did you mean hub_config: en?" in caught.value.fix
    (copy / "README.md").write_text("---\na: [\n---\n")
    with pytest.raises(InputError, match="README, which may assign files to splits"):
        read(tmp_path)


def test_folders_are_configurations_where_no_readme_says_so():
    names = ["en/train.csv", "de/train.csv"]
    with pytest.raises(InputError) as caught:
        select_files(names, "train", where="who/what")
    assert "hub_config: de" in caught.value.fix
    assert select_files(names, "train", where="who/what", config="en") == ["en/train.csv"]
    with pytest.raises(InputError, match="no such configuration"):
        select_files(names, "train", where="who/what", config="fr")
