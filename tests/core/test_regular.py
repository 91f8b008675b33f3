"""Opening what a person named: a regular file, or an error that says what stands there and what was probably meant."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from tutelage.core import regular
from tutelage.core.errors import InputError, MachineError


def refused(path: Path, **keywords: str) -> InputError:
    with pytest.raises(InputError) as caught:
        regular.open_regular(path, subject="the data file", **keywords)
    assert "\0" not in caught.value.block()
    return caught.value


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "Train.jsonl").write_bytes(b"{}\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "rows.csv").write_bytes(b"a,b\n")
    return tmp_path


def test_a_regular_file_is_opened_directly_and_through_links(folder):
    (folder / "link").symlink_to(folder / "Train.jsonl")
    for name in ("Train.jsonl", "link"):
        with regular.open_regular(folder / name) as file:
            assert file.read() == b"{}\n"
    assert regular.read_regular(folder / "link", limit=3) == b"{}\n"
    regular.require_regular(folder / "link")


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("train.jsonl", "Train.jsonl"),
        ("TRAIN.JSONL", "Train.jsonl"),
        ("Trian.jsonl", "Train.jsonl"),
        ("train.json", "Train.jsonl"),
        ("train", "Train.jsonl"),
        ("train.csv", "Train.jsonl"),
        ("Train.jsonl ", "Train.jsonl"),
        ("sbu/rows.csv", "sub"),
        ("sub/row.csv", "sub/rows.csv"),
    ],
)
def test_a_mistyped_name_gets_the_near_one(folder, name, near):
    error = refused(folder / name, shown=name)
    assert error.problem == "the data file is not there"
    assert error.where == name
    assert str(folder) in error.found
    assert error.fix == f"did you mean {folder / near}?"


def test_what_stands_on_the_way_is_named(folder):
    assert refused(folder / "Train.jsonl" / "x").found == f"{folder / 'Train.jsonl'} is a file, not a folder"
    assert refused(folder / "no" / "such" / "x").found == f"no such folder: {folder / 'no'}"
    assert refused(folder / "xyz", fix="make it").fix == "make it"
    (folder / "link").symlink_to(folder / "gone.jsonl")
    error = refused(folder / "link")
    assert "a link to something that is not there" in error.problem
    assert error.found == f"a link at {folder / 'link'} to {folder / 'gone.jsonl'}"


def test_names_that_no_file_can_have(folder):
    assert refused(folder / "a\0b").found == "a NUL character in the name"
    assert "300" in refused(folder / ("x" * 300)).found
    assert "longest part has 255" in refused(folder / "/".join(["y" * 255] * 20)).found
    (folder / "loop").symlink_to(folder / "loop")
    assert "leads back to itself" in refused(folder / "loop").problem
    assert "leads back to itself" in refused(folder / "loop" / "x").problem


def test_a_path_from_the_shell_or_the_web_gets_its_own_advice(folder, monkeypatch):
    monkeypatch.setenv("HOME", "/home/ann")
    assert refused(folder / "~" / "rows.jsonl").fix == "~ is not replaced here: write /home/ann/rows.jsonl"
    assert "fetch it first" in (refused(Path("https://example.org/rows.jsonl")).fix or "")
    assert refused(Path("data\\rows.jsonl")).fix == "separate folders by /"


def test_pipes_devices_sockets_and_folders_are_refused_without_waiting(folder, monkeypatch):
    os.mkfifo(folder / "pipe")
    (folder / "link").symlink_to(folder / "pipe")
    monkeypatch.chdir(folder)  # a socket's path has to be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("sock")
        for path, kind in [
            (folder / "pipe", "a named pipe (FIFO)"),
            (folder / "link", "a named pipe (FIFO)"),
            (folder / "sock", "a socket"),
            (Path("/dev/zero"), "a device"),
        ]:
            error = refused(path)
            assert (error.problem, error.found) == ("the data file is not a plain file", kind)
    error = refused(folder / "sub")
    assert error.problem == "the data file is a folder"
    assert error.fix == f"name a file in it, such as {folder / 'sub' / 'rows.csv'}"


def test_a_file_that_turns_into_a_pipe_between_two_looks_is_refused(folder, monkeypatch):
    os.mkfifo(folder / "pipe")
    at_first = (folder / "Train.jsonl").stat()
    monkeypatch.setattr(os, "stat", lambda *_args, **_keywords: at_first)
    assert refused(folder / "pipe").found == "a named pipe (FIFO)"


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.EACCES, InputError, "may not be read"),
        (errno.EPERM, InputError, "may not be read"),
        (errno.ENOENT, InputError, "is not there"),  # it vanished between two looks
        (errno.EISDIR, InputError, "is a folder"),
        (errno.EIO, MachineError, "could not be read"),
        (errno.EMFILE, MachineError, "could not be read"),
        (errno.EINVAL, InputError, "could not be read"),
    ],
)
def test_what_the_system_says_comes_out_in_words(folder, monkeypatch, number, kind, words):
    def fail(*_args, **_keywords):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(kind, match=words) as caught:
        regular.open_regular(folder / "Train.jsonl", subject="the recipe")
    assert caught.value.where == str(folder / "Train.jsonl")


def test_a_file_beyond_the_limit_is_not_read(folder):
    with (folder / "big").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(InputError, match="the recipe is too large") as caught:
        regular.read_regular(folder / "big", subject="the recipe", limit=1000)
    assert caught.value.found == "1,099,511,627,776 bytes"
