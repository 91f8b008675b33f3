"""The runs of a folder: what each is, how far it came and what it takes on the disk; and the removal of one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tutelage.core.errors import InputError
from tutelage.core.locks import Holder, holder, is_held, locked
from tutelage.core.suggestions import did_you_mean
from tutelage.results import document
from tutelage.results.folder_claim import is_run
from tutelage.results.run_folder import RunFolder

_FOLDER = RunFolder(Path())


def _with_journal(store: Path) -> tuple[str, ...]:
    """The files that SQLite keeps of a store."""
    return store.name, f"{store.name}-wal", f"{store.name}-shm"


PARTS = {
    "model": (_FOLDER.model.name,),
    "merged copy": (_FOLDER.merged.name, _FOLDER.merged_record.name),
    "model before scaling": (_FOLDER.unscaled.name,),
    "model it started from": (_FOLDER.start.name, _FOLDER.start_record.name),
    "checkpoints": (_FOLDER.checkpoints.name, _FOLDER.realigned.name, _FOLDER.candidate.name),
    "answers": (*_with_journal(_FOLDER.store), *_with_journal(_FOLDER.diagnosis_store)),
    "page": (_FOLDER.report.name,),
}
"""By what people call it, the files and folders of a run; everything else is `other files`."""
_OTHER = "other files"
_NAMES = frozenset(
    {
        *(name for names in PARTS.values() for name in names),
        *(path.parts[0] for path in vars(_FOLDER).values() if path != Path()),
    }
)
"""All names that a run writes into its folder."""


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run's folder, as it is at the moment.

    Attributes:
        path: the folder.
        recipe: the resolved recipe; empty where its record is damaged.
        state: finished, tuned, begun, or in use by a process.
        verdict: the sentence of a finished run; empty for others.
        changed: when its newest file was written, in seconds since 1970.
        sizes: bytes by part (`PARTS` and `other files`), without parts that are not there.
        user: the process that works on it; None where none does.
    """

    path: Path
    recipe: dict[str, Any]
    state: str
    verdict: str
    changed: float
    sizes: dict[str, int] = field(default_factory=dict)
    user: Holder | None = None

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(self.sizes.values())


def stored_runs(folder: Path) -> list[StoredRun]:
    """List the runs in a folder, the one that was written last first; empty where the folder does not exist.

    Raises:
        InputError: it is a file.
    """
    if not folder.exists():
        return []
    if not folder.is_dir():
        raise InputError("runs are looked for in a folder", where=str(folder), found="a file")
    folders = [path for path in folder.iterdir() if path.is_dir() and is_run(RunFolder(path))]
    return sorted(map(describe, folders), key=lambda run: (-run.changed, run.path.name))


def find(name: str, folder: Path) -> Path:
    """Find a run by the path of its folder, or by its name in a folder of runs.

    Raises:
        InputError: there is no such folder, or it holds no run.
    """
    path = next((path for path in (Path(name), folder / name) if os.path.lexists(path)), None)
    if path is None:
        names = [run.path.name for run in stored_runs(folder)]
        raise InputError(
            "there is no such run",
            found=name,
            expected=f"the folder of a run, or its name in {folder}",
            fix=did_you_mean(name, names) or "`tutelage runs` lists the runs",
        )
    if path.is_symlink():
        raise InputError(
            "the run is named by a link",
            where=str(path),
            found=f"a link to {path.readlink()}",
            expected="the folder itself",
            fix="name the folder to which it leads",
        )
    if not path.is_dir() or not is_run(RunFolder(path)):
        content = sorted(entry.name for entry in path.iterdir())[:5] if path.is_dir() else ["a file"]
        raise InputError(
            "the folder holds no run",
            where=str(path),
            found=", ".join(content) or "an empty folder",
            expected="a folder that `tutelage run` made",
            fix="`tutelage runs` lists the runs",
        )
    return path


def describe(path: Path) -> StoredRun:
    """Say what a run's folder holds. A damaged file of it is no error: the run can still be looked at and removed."""
    folder = RunFolder(path)
    recipe, verdict, state = document.recorded_recipe(folder.recipe) or {}, "", "begun"
    if folder.tuned.is_file():
        state = "tuned"
    if folder.results.is_file():
        try:
            results = document.read(folder.results)
        except InputError:
            state = "damaged"
        else:
            recipe, verdict, state = results["recipe"], str(results["verdict"]["sentence"]), "finished"
    user = holder(folder.lock) if is_held(folder.lock) else None
    sizes: dict[str, int] = {}
    changed = 0.0
    for file, status in _files(path):
        part = _part(file.relative_to(path).parts[0])
        sizes[part] = sizes.get(part, 0) + status.st_size
        changed = max(changed, status.st_mtime)
    return StoredRun(path, recipe, "in use" if user else state, verdict, changed, sizes, user)


def continued_by(path: Path, folder: Path) -> list[Path]:
    """The other runs in a folder whose recipes name this run: to go on from it, or as their model."""
    names = {path.name, str(path), str(path.resolve())}
    return [
        run.path
        for run in stored_runs(folder)
        if run.path.resolve() != path.resolve()
        and any(
            {value, Path(value).name} & names
            for key in ("continues", "model")
            if isinstance(value := run.recipe.get(key), str)
        )
    ]


def check_removable(path: Path) -> None:
    """Refuse to remove a run that a process works on, or a folder with files that no run writes.

    Raises:
        InputError: it holds other files, or is the folder in which this program was started.
        MachineError: a process works on it.
    """
    with locked(RunFolder(path).lock, subject=f"the run folder {path}"):
        _check_content(path)


def remove(path: Path) -> None:
    """Remove a run's folder with everything in it.

    Raises:
        InputError, MachineError: as `check_removable`.
    """
    with locked(RunFolder(path).lock, subject=f"the run folder {path}"):
        _check_content(path)
        shutil.rmtree(path)


def _check_content(path: Path) -> None:
    others = sorted(entry.name for entry in path.iterdir() if not _is_of_run(entry.name))
    if others:
        raise InputError(
            "the run's folder holds files that no run writes",
            where=str(path),
            found=", ".join(others[:5]) + (f" and {len(others) - 5} more" if len(others) > 5 else ""),
            expected="nothing but the run's own files",
            fix="move what is yours to another place, then remove the run",
        )
    if Path.cwd().is_relative_to(path.resolve()):
        raise InputError(
            "the run's folder is the one in which you are",
            where=str(path),
            fix="go to another folder first: cd ..",
        )


def _is_of_run(name: str) -> bool:
    unfinished = name.startswith(".") and name.endswith((".part", ".old"))
    return name in _NAMES or unfinished


def _part(name: str) -> str:
    return next((part for part, names in PARTS.items() if name in names), _OTHER)


def _files(path: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """All files below a folder; those that vanish meanwhile are passed over, and links are not followed."""
    for folder, _, names in os.walk(path):
        for name in names:
            file = Path(folder, name)
            try:
                yield file, file.lstat()
            except FileNotFoundError:
                continue
