"""Data sets from the Hugging Face hub: one commit, data files only, never a loading script."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from tutelage.core.errors import InputError, MachineError, nearest
from tutelage.data.reader import EXTENSIONS

_TIMEOUT = 10.0
"""Seconds to wait for the hub's answer before it counts as out of reach."""


class Fetched(NamedTuple):
    """The files of one split: the commit, their names in the repository, and where they are now."""

    commit: str
    names: list[str]
    paths: list[Path]


def fetch(name: str, split: str, *, by_hand: str) -> Fetched:
    """Fetch the files of one split of a data set, or find them in the hub's cache when the hub is out of reach.

    Args:
        name: `owner/name`, with `@revision` for another revision than the newest.
        split: the hub's name of the split.
        by_hand: what a person can do without network, for the error.

    Raises:
        InputError: there is no such data set or split, or its files are of another kind.
        MachineError: the hub is out of reach and the cache has nothing.
    """
    repo, _, revision = name.partition("@")
    try:
        commit, names = list_files(repo, revision or None)
    except MachineError as error:
        folder = cached(repo, revision or None)
        if folder is None:
            raise MachineError(
                error.problem, where=error.where, found=error.found, expected=error.expected, fix=by_hand
            ) from error
        inside = [p.relative_to(folder).as_posix() for p in sorted(folder.rglob("*")) if p.is_file()]
        chosen = choose(inside, split, where=repo)
        return Fetched(folder.name, chosen, [folder / file for file in chosen])
    chosen = choose(names, split, where=repo)
    try:
        return Fetched(commit, chosen, [download(repo, commit, file) for file in chosen])
    except MachineError as error:
        raise MachineError(error.problem, where=error.where, found=error.found, fix=by_hand) from error


def choose(names: list[str], split: str, *, where: str) -> list[str]:
    """The data files that hold one split: `train.jsonl`, `data/train-00000-of-00002.csv` and the like.

    Raises:
        InputError: there is none, or there is more than one candidate.
    """
    data = [name for name in names if PurePosixPath(name).suffix.lower() in EXTENSIONS]
    exact = [name for name in data if PurePosixPath(name).stem == split]
    shard = re.compile(re.escape(split) + r"-\d+-of-\d+")
    shards = [name for name in data if shard.fullmatch(PurePosixPath(name).stem)]
    word = re.compile(rf"(?<![a-z]){re.escape(split)}(?![a-z])", re.IGNORECASE)
    found = exact or shards or [name for name in data if word.search(name)]
    if len(found) == 1 or (found and found == shards):
        return sorted(found)
    if found:
        problem, shown = f"several files could be the split {split}", found
    else:
        problem, shown = f"no data file for the split {split}", data or names
    close = nearest(split, [PurePosixPath(name).stem for name in data])
    raise InputError(
        problem,
        where=f"the data set {where} on the hub",
        found=", ".join(sorted(shown)[:10]) or "no files",
        expected=f"{split} as one of " + " ".join(EXTENSIONS),
        fix=f"did you mean hub_split: {close}?"
        if close and close != split
        else "set hub_split, or fetch the file you want (a Parquet file: convert it to JSONL) and name it as path",
    )


def list_files(repo: str, revision: str | None) -> tuple[str, list[str]]:
    """Resolve a revision to its commit, once; returns it with the names of all files.

    Raises:
        InputError: the hub says that there is no such data set or revision, or that it is closed.
        MachineError: the hub is out of reach.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    where = f"the data set {repo} on the hub"
    try:
        info = HfApi().dataset_info(repo, revision=revision, timeout=_TIMEOUT)
    except GatedRepoError as error:
        raise InputError(
            "the data set is closed until its terms are accepted",
            where=where,
            found=str(error).splitlines()[0],
            fix="accept the terms on the data set's page and log in with `hf auth login`, or name a local file as path",
        ) from None
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        raise InputError(
            "there is no such data set or revision",
            where=where,
            found=str(error).splitlines()[0],
            expected="owner/name, or owner/name@revision",
            fix="check the name on the hub; a private one needs `hf auth login`",
        ) from None
    except Exception as error:  # the client's transport library, and so its error types, vary by version
        raise _out_of_reach(where, error) from error
    return str(info.sha), [file.rfilename for file in info.siblings or []]


def download(repo: str, commit: str, name: str) -> Path:
    """Fetch one file of one commit into the hub's cache. Raises MachineError when that fails."""
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repo, name, repo_type="dataset", revision=commit, etag_timeout=_TIMEOUT))
    except Exception as error:  # as above
        raise _out_of_reach(f"{name} of the data set {repo} on the hub", error) from error


def cached(repo: str, revision: str | None) -> Path | None:
    """The folder of a data set that was fetched before, named by its commit; None when there is none."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repo, repo_type="dataset", revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        return None


def _out_of_reach(where: str, error: Exception) -> MachineError:
    reason = (str(error).splitlines() or [""])[0]
    return MachineError(
        "the hub could not be reached", where=where, found=f"{type(error).__name__}: {reason}"[:200]
    )
