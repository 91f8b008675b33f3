"""What may be replaced: nothing, or what Tutelage wrote there before and nobody has changed since."""

from __future__ import annotations

import json
import os
import re

import pytest

from tutelage.core import outputs
from tutelage.core.errors import InputError
from tutelage.core.outputs import MARKER, Folder, Page

HEAD = f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n{outputs.GENERATOR}\n'
PAGE = f"{HEAD}<title>x</title>\n</head>\n</html>\n"


def write(folder, text="weights", kind="a model", **options):
    with Folder(folder, kind, **options).new() as part:
        (part / "sub").mkdir()
        (part / "config.json").write_text("{}")
        (part / "sub" / "weights").write_text(text)


def tree(path):
    """Every entry below a folder: bytes of files, targets of links, None for folders."""
    return {
        p.relative_to(path).as_posix(): str(p.readlink())
        if p.is_symlink()
        else p.read_bytes()
        if p.is_file()
        else None
        for p in path.rglob("*")
    }


def test_an_unchanged_output_is_replaced_and_the_marker_names_its_files(tmp_path):
    for text in ("old", "new"):
        write(tmp_path / "out", text)
    assert (tmp_path / "out" / "sub" / "weights").read_text() == "new"
    marker = json.loads((tmp_path / "out" / MARKER).read_text())
    assert (marker["program"], marker["kind"]) == ("tutelage", "a model")
    assert list(marker["files"]) == ["config.json", "sub/weights"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


CHANGES = {
    "a file more": (lambda out: (out / "thesis.txt").write_text("years"), "thesis.txt"),
    "a file more below": (lambda out: (out / "sub" / "thesis.txt").write_text("years"), "sub/thesis.txt"),
    "an empty folder more": (lambda out: (out / "mine").mkdir(), "mine/"),
    "a link more": (lambda out: (out / "mine").symlink_to(out.parent), "mine"),
    "a link that leads nowhere": (lambda out: (out / "mine").symlink_to("nowhere"), "mine"),
    "a pipe more": (lambda out: os.mkfifo(out / "pipe"), "pipe"),
    "hidden files more": (lambda out: (out / ".notes").write_text("x"), ".notes"),
    "a file with other bytes": (lambda out: (out / "sub" / "weights").write_text("WEIGHTS"), "sub/weights"),
    "a link for a file": (lambda out: _link(out / "config.json"), "config.json"),
}


def _link(path):
    path.rename(path.parent.parent / "moved.json")
    path.symlink_to("../moved.json")


@pytest.mark.parametrize("how", CHANGES)
def test_an_output_that_somebody_changed_is_refused_by_the_names_of_what_changed(tmp_path, how):
    change, name = CHANGES[how]
    write(tmp_path / "out")
    change(tmp_path / "out")
    before = tree(tmp_path)
    with pytest.raises(InputError, match="earlier output") as caught:
        write(tmp_path / "out")
    assert caught.value.found == name
    assert "--to" in caught.value.fix
    assert tree(tmp_path) == before


MARKERS = {
    "none": None,
    "no JSON": "{",
    "a list": "[]",
    "of another program": '{"program": "x", "kind": "a model", "files": {}}',
    "without files": '{"program": "tutelage", "kind": "a model"}',
    "with a number for the kind": '{"program": "tutelage", "kind": 1, "files": {}}',
    "deeply nested": "[" * 100_000,
}


@pytest.mark.parametrize("how", MARKERS)
def test_a_folder_without_a_whole_marker_is_refused(tmp_path, how):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text("{}")
    if MARKERS[how] is not None:
        (tmp_path / "mine" / MARKER).write_text(MARKERS[how])
    before = tree(tmp_path)
    with pytest.raises(InputError, match="did not write"):
        write(tmp_path / "mine")
    assert tree(tmp_path) == before


def test_a_marker_with_other_hashes_or_of_another_kind_protects_the_files(tmp_path):
    write(tmp_path / "out", kind="the tuned model of a run")
    with pytest.raises(InputError, match="holds the tuned model of a run, which is not replaced by a model"):
        write(tmp_path / "out")
    marker = {"program": "tutelage", "kind": "a model", "files": {"config.json": 1, "sub/weights": None}}
    (tmp_path / "out" / MARKER).write_text(json.dumps(marker))
    with pytest.raises(InputError, match="changed since"):
        write(tmp_path / "out")


def test_what_is_put_there_while_the_work_is_done_is_kept(tmp_path):
    def work():
        with Folder(tmp_path / "out", "a model").new() as part:
            (part / "config.json").write_text("{}")
            (tmp_path / "out").mkdir()
            (tmp_path / "out" / "thesis.txt").write_text("years")

    with pytest.raises(InputError, match="did not write"):
        work()
    assert tree(tmp_path) == {"out": None, "out/thesis.txt": b"years"}


def test_links_are_followed_and_stay(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    write(tmp_path / "link")
    write(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "sub" / "weights").read_text() == "new"
    (tmp_path / "page.html").symlink_to("real.html")
    with pytest.raises(InputError, match="the link leads nowhere"):
        Page(tmp_path / "page.html").write(PAGE)
    (tmp_path / "real.html").touch()
    Page(tmp_path / "page.html").write(PAGE)
    assert (tmp_path / "page.html").is_symlink()
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    for refuse in (Folder(tmp_path / "a", "a model").check, Page(tmp_path / "a").check):
        with pytest.raises(InputError, match="cannot be used"):
            refuse()


def test_places_that_are_more_than_their_content_are_refused_even_when_they_are_empty(tmp_path, monkeypatch):
    here = tmp_path / "here" / "below"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    for place in (".", here, "../../here/below"):
        with pytest.raises(InputError, match="the current folder"):
            Folder(here / place, "a model").check()
    with pytest.raises(InputError, match="the current folder, or lies above it"):
        Folder(here.parent, "a model").check()
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with pytest.raises(InputError, match="your home folder"):
        Folder(tmp_path / "home", "a model").check()
    (tmp_path / "mount").mkdir()
    monkeypatch.setattr("pathlib.Path.is_mount", lambda path: path.name == "mount")
    with pytest.raises(InputError, match="a mount point"):
        Folder(tmp_path / "mount", "a model").check()


def test_an_output_that_is_in_or_above_an_input_is_refused(tmp_path):
    source = tmp_path / "run" / "model"
    source.mkdir(parents=True)
    (tmp_path / "other name").symlink_to("run")
    for place, problem in {
        source: "is what the command reads",
        tmp_path / "other name" / "model": "is what the command reads",
        tmp_path / "run": "lies above",
        tmp_path / "run" / "model" / "x" / "y": "lies in",
        tmp_path / "other name" / "model" / "x": "lies in",
    }.items():
        with pytest.raises(InputError, match=problem):
            Folder(place, "a model", inputs=[source]).check()
    (source / "results.sqlite").touch()
    with pytest.raises(InputError, match="lies above"):
        Folder(source, "a model", inputs=[source / "results.sqlite"]).check()
    Folder(tmp_path / "run" / "model-2", "a model", inputs=[source]).check()


@pytest.mark.parametrize("name", ["x" * 300, "file/x", "file/x/y"])
def test_a_name_that_cannot_be_used_is_refused_before_the_work(tmp_path, name):
    (tmp_path / "file").touch()
    for refuse in (Folder(tmp_path / name, "a model").check, Page(tmp_path / name).check):
        with pytest.raises(InputError, match=r"cannot be used|lie in a file"):
            refuse()


def test_in_a_runs_folder_its_own_files_are_replaced_and_others_refused(tmp_path):
    own = {"replaceable": ["config.json", "*.safetensors", "adapter/*.safetensors"]}
    place = tmp_path / "model"
    (place / "adapter").mkdir(parents=True)
    for name in ("config.json", "a.safetensors", "adapter/b.safetensors"):
        (place / name).write_text("of an older version")
    Folder(place, "a model", **own).check()
    (place / "x").mkdir()
    (place / "x" / "c.safetensors").write_text("mine")
    with pytest.raises(InputError) as caught:
        Folder(place, "a model", **own).check()
    assert caught.value.found == "x/c.safetensors"


def test_an_unchanged_page_is_replaced_and_nothing_else(tmp_path):
    path = tmp_path / "page.html"
    Page(path).write(PAGE)
    Page(path).write(PAGE.replace("x", "y", 1))
    written = path.read_bytes()
    for other, problem in {
        written.replace(b"<title>", b"<title>my notes: "): "was changed",
        written + b"more": "was changed",
        written[:-5]: "was changed",
        b"\n" + written: "did not write|not written by",
        written.replace(b"tutelage", b"word processor"): "not written by",
        b'{"prediction": "' + PAGE.encode() + b'"}\n': "not written by",
        b"<!DOCTYPE html>\n<html><body>" + outputs.GENERATOR.encode(): "not written by",
        b"years": "not written by",
    }.items():
        path.write_bytes(other)
        with pytest.raises(InputError, match=problem):
            Page(path).write(PAGE)
        assert path.read_bytes() == other
    path.write_bytes(b"")
    Page(path).write(PAGE)
    older = re.compile(rb"<footer>of an older version")
    path.write_bytes(b"<!DOCTYPE html>\n<html><footer>of an older version")
    Page(path, older=older).check()
    path.write_bytes(b"# how pages look: <footer>of an older version")
    with pytest.raises(InputError, match="not written by"):
        Page(path, older=older).check()


def test_a_page_on_a_device_a_pipe_or_a_folder_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in ("/dev/null", "/dev/full", tmp_path / "pipe", tmp_path):
        with pytest.raises(InputError, match=r"the name is of a (device or a pipe|folder)"):
            Page(tmp_path / path).check()


def test_a_page_of_ours_must_carry_its_mark(tmp_path):
    with pytest.raises(ValueError, match="mark"):
        Page(tmp_path / "page.html").write("<!DOCTYPE html>\n<html>")
