"""Where a task's rows come from: a file beside the recipe, a file under the data folder, or the hub."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tutelage.core import hashing
from tutelage.core.errors import InputError, MachineError
from tutelage.core.nouns import Example, Json
from tutelage.data import hub
from tutelage.data.reader import Reader


@dataclass(frozen=True, slots=True)
class DataSource:
    """Either `path`, or `hub` with its split and, before it, a local copy under the data folder.

    Attributes:
        path: a data file, relative to the recipe's folder.
        hub: a data set on the hub as `owner/name` or `owner/name@revision`.
        hub_split: the hub's name of the split to read.
        local: the same rows as a file relative to the data folder; used instead of the hub when it is there.
    """

    path: str | None = None
    hub: str | None = None
    hub_split: str = "train"
    local: str | None = None

    def __post_init__(self) -> None:
        if (self.path is None) == (self.hub is None):
            raise InputError(
                "a data source is a path or a data set on the hub",
                found="both" if self.path else "neither",
                expected="one of path, hub",
                fix="keep one of them",
            )


@dataclass(frozen=True, slots=True)
class Loaded:
    """The rows of a source, and what the card says about it: kind, file, sha256, revision, notes."""

    examples: tuple[Example, ...]
    source: dict[str, Json] = field(default_factory=dict)


def load(source: DataSource, *, root: Path, data_dir: Path | None = None) -> Loaded:
    """Read all rows of a source.

    Args:
        source: where they are.
        root: the recipe's folder.
        data_dir: the data folder, for `local`.

    Raises:
        InputError: the file or its rows are wrong; InputErrors for several rows.
        MachineError: the hub is needed and out of reach; the error says what to bring by hand, and where to.
    """
    if source.path is not None:
        path = root / source.path
        return _read([path], [str(path)], {"kind": "path", "file": source.path})
    if source.local is not None and data_dir is not None and (data_dir / source.local).exists():
        path = data_dir / source.local
        return _read([path], [str(path)], {"kind": "local", "file": source.local, "hub": source.hub})
    assert source.hub is not None
    try:
        fetched = hub.fetch(source.hub, source.hub_split, by_hand=_by_hand(source, data_dir))
    except MachineError as error:
        looked = data_dir / source.local if source.local is not None and data_dir is not None else None
        if looked is None:
            raise
        raise MachineError(
            error.problem,
            where=error.where,
            found=f"{error.found}; no local copy at {looked} either",
            fix=error.fix,
        ) from error
    name = source.hub.partition("@")[0]
    return _read(
        fetched.paths,
        [f"{name}@{fetched.commit[:8]}/{file}" for file in fetched.names],
        {
            "kind": "hub",
            "hub": name,
            "split": source.hub_split,
            "revision": fetched.commit,
            "files": [*fetched.names],
        },
    )


def _by_hand(source: DataSource, data_dir: Path | None) -> str:
    where = f"the split {source.hub_split} of {source.hub} (as JSONL or CSV)"
    if source.local is None:
        return (
            f"on a machine with network fetch {where}, bring it here and name it as data.path in the recipe"
        )
    if data_dir is None:
        return f"name the folder that holds {source.local} with --data or TUTELAGE_DATA, or fetch {where} and put it there"
    return f"on a machine with network fetch {where} and put it at {data_dir / source.local}"


def _read(paths: list[Path], shown: list[str], said: dict[str, Json]) -> Loaded:
    examples: list[Example] = []
    hashes: list[str] = []
    notes: list[Json] = []
    for path, name in zip(paths, shown, strict=True):
        reader = Reader(path, name)
        examples.extend(reader)
        hashes.append(reader.sha256)
        notes.extend(reader.notes)
    sha256 = hashes[0] if len(hashes) == 1 else hashing.of_json(hashes)
    return Loaded(tuple(examples), {**said, "sha256": sha256, "rows": len(examples), "notes": notes})
