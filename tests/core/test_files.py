from __future__ import annotations

import errno
import io
import os
import shutil
import subprocess
import sys
import textwrap
from contextlib import suppress
from pathlib import Path

import pytest

from tutelage.core import files, regular
from tutelage.core.errors import InputError, MachineError

OLD, NEW = "old content\n" * 200, "new content ü🙂\n" * 300
FOLDER_OLD = {"a.txt": OLD, "gone.txt": "x"}
FOLDER_NEW = {"a.txt": NEW, "sub/b.txt": "b", "sub/deeper/c.txt": "c"}
OPERATIONS = ("open", "write", "fsync", "replace", "rename", "mkdir", "chmod")


class Torn:
    """A file whose writes can fail: half of what is written arrives."""

    def __init__(self, file, faulty):
        self.file, self.faulty = file, faulty

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()

    def write(self, content):
        try:
            self.faulty.count_one("write")
        except OSError:
            self.file.write(content[: len(content) // 2])
            self.file.flush()
            raise
        return self.file.write(content)

    def __getattr__(self, name):
        return getattr(self.file, name)


class Faulty:
    """Counts what reaches the disk, and lets the n-th such operation fail, or the n-th and all that follow."""

    def __init__(self, monkeypatch, fail_at, code, *, lasting):
        self.count, self.fail_at, self.code, self.lasting = 0, fail_at, code, lasting
        self.fired = []
        for name in OPERATIONS:
            monkeypatch.setattr(os, name, self._wrap(getattr(os, name), name))
        real_open = io.open

        def opened(path, mode="r", *args, **kwargs):
            self.count_one("open")
            file = real_open(path, mode, *args, **kwargs)
            return Torn(file, self) if "w" in mode else file

        monkeypatch.setattr(io, "open", opened)  # what Path.open calls

    def count_one(self, name):
        self.count += 1
        if self.count == self.fail_at or (self.lasting and self.count > self.fail_at):
            self.fired.append(name)
            raise OSError(self.code, os.strerror(self.code))

    def _wrap(self, real, name):
        def operation(*args, **kwargs):
            self.count_one(name)
            return real(*args, **kwargs)

        return operation


def fail_everywhere(tmp_path, prepare, act, check, *, code, lasting):
    """Let the n-th operation of `act` fail for n = 1, 2, ... until none does; what failed, in order."""
    fired = []
    for n in range(1, 200):
        folder = tmp_path / str(n)
        folder.mkdir()
        prepare(folder)
        problem = None
        with pytest.MonkeyPatch.context() as patch:
            faulty = Faulty(patch, n, code, lasting=lasting)
            try:
                act(folder)
            except MachineError as error:
                problem = error
        if not faulty.fired:
            assert problem is None
            return fired
        fired.append(faulty.fired[0])
        if problem is not None:
            assert (problem.problem == "the disk is full") == (code == errno.ENOSPC)
            assert problem.where.startswith(str(folder))
            assert problem.found
            assert problem.fix
        check(folder, failed=problem is not None)
    return pytest.fail("there is no end to the operations")


def tree(path):
    return {p.relative_to(path).as_posix(): p.read_text("utf-8") for p in path.rglob("*") if p.is_file()}


def names(path):
    return sorted(p.name for p in path.iterdir())


def fill(path, content):
    for name, text in content.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text, encoding="utf-8")


def make_new_folder(path):
    with files.new_folder(path) as part:
        fill(part, FOLDER_NEW)


@pytest.mark.parametrize("lasting", [False, True], ids=["one fault", "a fault that stays"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("old", [None, OLD], ids=["new", "over an old one"])
def test_a_file_is_old_or_new_whichever_operation_fails(tmp_path, old, code, lasting):
    def prepare(folder):
        if old is not None:
            (folder / "a.txt").write_text(old, encoding="utf-8")

    def check(folder, *, failed):
        found = (folder / "a.txt").read_text("utf-8") if (folder / "a.txt").exists() else None
        assert found in (old, NEW)
        if not failed:
            assert found == NEW
        assert names(folder) == ([] if found is None else ["a.txt"])

    def act(folder):
        files.write_text(folder / "a.txt", NEW)

    fired = fail_everywhere(tmp_path, prepare, act, check, code=code, lasting=lasting)
    assert [*dict.fromkeys(fired)] == ["mkdir", "open", "write", "fsync", "replace"]
    assert fired.count("fsync") == 2  # of the file before it gets its name, of the folder after


# Whether the file system swaps two folders; where it cannot, one is set aside before the other gets its name.
@pytest.fixture
def swaps(request, monkeypatch):
    if not request.param:
        monkeypatch.setattr(files, "_exchange", lambda *_paths: False)
    return request.param


@pytest.mark.parametrize("lasting", [False, True], ids=["one fault", "a fault that stays"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize(
    ("old", "swaps"),
    [(None, True), (FOLDER_OLD, True), (FOLDER_OLD, False)],
    ids=["new", "over an old one in one step", "over an old one in two steps"],
    indirect=["swaps"],
)
def test_a_folder_is_old_or_new_whichever_operation_fails(tmp_path, old, code, lasting, swaps):
    def prepare(folder):
        if old is not None:
            fill(folder / "made", old)

    def check(folder, *, failed):
        if not lasting:
            assert old is None or (folder / "made").is_dir()
        files.sweep_parts(folder)
        found = tree(folder / "made") if (folder / "made").exists() else None
        assert found in (old, FOLDER_NEW)
        if not failed:
            assert found == FOLDER_NEW
        assert names(folder) == ([] if found is None else ["made"])

    fired = fail_everywhere(
        tmp_path, prepare, lambda folder: make_new_folder(folder / "made"), check, code=code, lasting=lasting
    )
    assert set(fired) >= {
        "mkdir",
        "open",
        "write",
        "fsync",
        *(("rename",) if old is None or not swaps else ()),
    }
    # 3 files and 3 folders are synced, and the folder above them.
    assert fired.count("fsync") == 7


KILLED = """
import io, os, sys
from pathlib import Path
from tutelage.core import files, regular

place, old = Path(sys.argv[1]), sys.argv[2] == "old"
if sys.argv[3] == "two steps":
    files._exchange = lambda *paths: False

def run(act, prepare, folder):
    n = 0
    while True:
        n += 1
        here = folder / str(n)
        here.mkdir(parents=True)
        if old:
            prepare(here)
        if os.fork() == 0:
            count = 0
            def dying(real):
                def operation(*args, **kwargs):
                    nonlocal count
                    count += 1
                    if count == n:
                        os._exit(9)
                    return real(*args, **kwargs)
                return operation
            for owner, name in [(files, "_exchange"), (os, "fsync"), (os, "replace"), (os, "rename"), (os, "unlink"), (os, "rmdir"),
                                (os, "open"), (os, "mkdir"), (io, "open")]:
                setattr(owner, name, dying(getattr(owner, name)))
            act(here)
            os._exit(0)
        if os.waitstatus_to_exitcode(os.wait()[1]) == 0:
            return print(n)

def folder(here):
    with files.new_folder(here / "made") as part:
        (part / "sub").mkdir()
        (part / "sub" / "b.txt").write_text("new")
        (part / "a.txt").write_text("new")

def old_folder(here):
    (here / "made").mkdir()
    (here / "made" / "a.txt").write_text("old")

run(lambda here: files.write_text(here / "made", "new"), lambda here: (here / "made").write_text("old"), place / "file")
run(folder, old_folder, place / "folder")
"""


@pytest.mark.parametrize(
    ("old", "swaps"),
    [(False, True), (True, True), (True, False)],
    ids=["new", "over an old one in one step", "over an old one in two steps"],
)
def test_a_process_that_dies_before_any_operation_leaves_old_or_new_once_swept(tmp_path, old, swaps):
    words = [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path), "old" if old else "new"]
    words.append("swap" if swaps else "two steps")
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    counts = [int(line) for line in done.stdout.split()]
    assert counts[0] > 5
    assert counts[1] > 12
    seen, leftovers = set(), set()
    for folder in [*(tmp_path / "file").iterdir(), *(tmp_path / "folder").iterdir()]:
        if swaps and old:
            assert (folder / "made").exists()  # at no moment is there neither
        leftovers.update(Path(name).suffix for name in names(folder) if name != "made")
        files.sweep_parts(folder)
        made = folder / "made"
        assert names(folder) in ([], ["made"])
        content = tree(made) if made.is_dir() else {"": made.read_text("utf-8")} if made.exists() else None
        assert content in (
            *(({"": "old"}, {"a.txt": "old"}) if old else (None,)),
            {"": "new"},
            {"a.txt": "new", "sub/b.txt": "new"},
        )
        seen.add(content and content.get("", content.get("a.txt")))
    assert seen == {"old" if old else None, "new"}
    assert leftovers == (
        {".part", ".old"} if old and not swaps else {".part"}
    )  # else the sweep had nothing to show


def test_a_folder_set_aside_by_a_killed_process_comes_back_before_the_next_is_written(tmp_path):
    fill(tmp_path / ".made.0123abcd.old", FOLDER_OLD)
    with pytest.raises(KeyboardInterrupt), files.new_folder(tmp_path / "made"):
        raise KeyboardInterrupt
    assert tree(tmp_path / "made") == FOLDER_OLD
    assert names(tmp_path) == ["made"]


def test_what_is_written_is_what_is_read_and_its_folders_are_made(tmp_path):
    files.write_text(tmp_path / "x" / "y" / "a.txt", "ü\r\n\u2028\0")
    assert (tmp_path / "x" / "y" / "a.txt").read_bytes() == "ü\r\n\u2028\0".encode()
    files.write_bytes(tmp_path / "b", bytes(range(256)))
    assert (tmp_path / "b").read_bytes() == bytes(range(256))
    files.write_bytes(tmp_path / "b", b"")
    assert (tmp_path / "b").read_bytes() == b""
    assert names(tmp_path) == ["b", "x"]


def test_a_text_that_cannot_be_encoded_leaves_the_old_file(tmp_path):
    files.write_text(tmp_path / "a", "old")
    with pytest.raises(UnicodeEncodeError):
        files.write_text(tmp_path / "a", "half of a character: \ud83d")
    assert tree(tmp_path) == {"a": "old"}


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_others_may_read_what_the_umask_lets_them_read(tmp_path, mask):
    before = os.umask(mask)
    try:
        files.write_text(tmp_path / "a", "x")
        files.write_text(tmp_path / "a", "y")
        with files.new_folder(tmp_path / "made") as part:
            (part / "sub").mkdir()
            (part / "sub" / "open").write_text("x")
            secret = os.open(
                part / "closed", os.O_CREAT | os.O_WRONLY, 0o600
            )  # as safetensors makes its files
            os.close(secret)
        assert os.umask(mask) == mask
    finally:
        os.umask(before)
    modes = {
        p.relative_to(tmp_path).as_posix(): p.stat().st_mode & 0o777 for p in sorted(tmp_path.rglob("*"))
    }
    assert {modes[name] for name in ("a", "made/closed", "made/sub/open")} == {0o666 & ~mask}
    assert {modes[name] for name in ("made", "made/sub")} == {0o777 & ~mask}


def test_a_folder_appears_only_when_its_block_ends_and_nothing_of_the_old_one_stays(tmp_path):
    fill(tmp_path / "made", FOLDER_OLD)
    with files.new_folder(tmp_path / "made") as part:
        fill(part, FOLDER_NEW)
        assert part.parent == tmp_path
        assert tree(tmp_path / "made") == FOLDER_OLD
    assert tree(tmp_path / "made") == FOLDER_NEW
    assert names(tmp_path) == ["made"]


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt(), SystemExit(3)])
def test_an_error_in_the_block_comes_out_as_it_is_and_leaves_the_old_folder(tmp_path, error):
    fill(tmp_path / "made", FOLDER_OLD)

    def broken():
        with files.new_folder(tmp_path / "made") as part:
            fill(part, FOLDER_NEW)
            raise error

    with pytest.raises(type(error)) as caught:
        broken()
    assert caught.value is error
    assert names(tmp_path) == ["made"]
    assert tree(tmp_path / "made") == FOLDER_OLD


def test_a_full_disk_in_the_block_is_said_in_words(tmp_path):
    with pytest.raises(MachineError, match="the disk is full") as caught, files.new_folder(tmp_path / "made"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert "bytes free" in caught.value.found
    assert names(tmp_path) == []


def test_a_file_in_the_way_of_a_folder_is_a_machine_error_that_names_the_target(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(MachineError) as caught:
        files.write_text(tmp_path / "file" / "a.txt", "x")
    assert caught.value.where == str(tmp_path / "file" / "a.txt")
    (tmp_path / "folder").mkdir()
    with pytest.raises(MachineError, match="a folder is in the place of the file"):
        files.write_text(tmp_path / "folder", "x")
    assert names(tmp_path) == ["file", "folder"]
    assert tree(tmp_path) == {"file": "mine"}


def test_the_sweep_takes_leftovers_only_and_gives_a_folder_set_aside_its_name_back(tmp_path):
    fill(tmp_path, {".a.txt.0123abcd.part": "half", ".b.0123abcd.part/x": "half", "kept.txt": "kept"})
    fill(
        tmp_path,
        {".c.0123abcd.old/x": "the only one", ".d.0123abcd.old/x": "replaced", "d/x": "its successor"},
    )
    # Other people's files, by other people's habits.
    own = {
        ".zshrc.old": "1",
        ".draft.part": "2",
        "a.0123abcd.part": "3",
        ".x.notahex0.old": "4",
        "sub/.y.0123abcd.part": "5",
    }
    fill(tmp_path, own)
    files.sweep_parts(tmp_path)
    assert tree(tmp_path) == {"c/x": "the only one", "d/x": "its successor", "kept.txt": "kept", **own}
    files.sweep_parts(tmp_path)
    assert "c" in names(tmp_path)
    files.sweep_parts(tmp_path / "no such folder")


def test_room_on_the_disk_is_asked_of_the_nearest_folder_that_exists(tmp_path, monkeypatch):
    asked = []

    def usage(path):
        asked.append(path)
        return shutil._ntuple_diskusage(1000, 900, 100)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    files.require_space(tmp_path / "not" / "yet", 100, subject="the weights")
    with pytest.raises(MachineError, match="not enough room on the disk for the weights") as caught:
        files.require_space(tmp_path / "not" / "yet", 101, subject="the weights")
    assert (caught.value.found, caught.value.expected) == ("100 bytes free", "101 bytes")
    assert asked == [tmp_path, tmp_path]


def test_a_file_that_a_person_named_is_read_or_what_is_wrong_with_it_is_said(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"\xff\0")
    assert regular.read_regular(tmp_path / "a", subject="the recipe", fix="f") == b"\xff\0"
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for path, problem in [
        (tmp_path / "b", "the recipe is not there"),
        (tmp_path / "no" / "b", "the recipe is not there"),
        (tmp_path / "a" / "b", "the recipe is not there"),
        (tmp_path, "the recipe is a folder"),
        (tmp_path / ("x" * 300), "the recipe has too long a name"),
        (loop, "the recipe is a link that leads back to itself"),
    ]:
        with pytest.raises(InputError) as caught:
            regular.read_regular(path, subject="the recipe", fix="name another")
        assert caught.value.problem == problem
        assert caught.value.where == str(path)
        assert caught.value.found

    def refused(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(InputError, match="the recipe may not be read"):
        regular.read_regular(tmp_path / "a", subject="the recipe", fix="f")


def test_the_nearest_folder_that_exists(tmp_path, monkeypatch):
    assert files.existing_parent(tmp_path / "a" / "b" / "c") == tmp_path
    assert files.existing_parent(tmp_path / "a") == tmp_path
    monkeypatch.chdir(tmp_path)
    assert files.existing_parent(Path("a/b")) == tmp_path
    assert files.existing_parent(Path("/")) == Path("/")


def test_two_writers_at_once_leave_the_whole_of_one_of_them(tmp_path):
    program = (
        "import sys; from pathlib import Path; from tutelage.core.files import write_text\n"
        "for _ in range(60): write_text(Path(sys.argv[1]), sys.argv[2] * 40000)"
    )
    children = [subprocess.Popen([sys.executable, "-c", program, tmp_path / "a", letter]) for letter in "xy"]
    seen = set()
    while any(child.poll() is None for child in children):
        with suppress(FileNotFoundError):
            seen.add((tmp_path / "a").read_text("utf-8"))
    assert [child.wait() for child in children] == [0, 0]
    assert seen | {(tmp_path / "a").read_text("utf-8")} <= {"x" * 40000, "y" * 40000}
    assert names(tmp_path) == ["a"]
