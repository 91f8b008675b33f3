"""Downloads datasets from the Hugging Face hub: data files of one commit, never a loading script."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from tutelage.core import globs
from tutelage.core.errors import InputError, MachineError
from tutelage.data import repository

_TIMEOUT = 10.0
"""Seconds to wait for the hub before it counts as unreachable."""
_URL = re.compile(r"(?:https?://)?(?:huggingface\.co|hf\.co)/datasets/([^/@?#]+/[^/@?#]+).*")
"""The address of a dataset's page, with the dataset's name."""


class HubFiles(NamedTuple):
    """The files of one split: the commit, their names in the repository, and their local paths."""

    commit: str
    names: list[str]
    paths: list[Path]


def fetch(name: str, split: str, *, config: str | None = None) -> HubFiles:
    """Download the files of one split of a dataset, or find them in the hub's cache if the hub cannot be reached.

    Args:
        name: `owner/name`, with `@revision` for another revision than the newest.
        split: the hub's name of the split.
        config: the dataset's configuration, if it has several.

    Raises:
        InputError: there is no such dataset or split, or its files have no known format.
        MachineError: the hub cannot be reached and the cache does not have the dataset.
    """
    repo, _, revision = name.partition("@")
    try:
        commit, names = list_files(repo, revision or None)
    except MachineError:
        folder = cached_snapshot(repo, revision or None)
        if folder is None:
            raise
        return files_in_folder(folder, repo, split, config)
    has_readme = repository.README in names
    readme = repository.readme_of(download(repo, commit, repository.README).parent) if has_readme else ""
    chosen = repository.select_files(names, split, where=f"{repo} on the hub", config=config, readme=readme)
    return HubFiles(commit, chosen, [download(repo, commit, file) for file in chosen])


def files_in_folder(folder: Path, name: str, split: str, config: str | None) -> HubFiles:
    """The files of one split in a folder laid out like the dataset's repository and named by its commit."""
    names = [path.relative_to(folder).as_posix() for path in sorted(globs.entries(folder))]
    readme = repository.readme_of(folder)
    chosen = repository.select_files(names, split, where=name, config=config, readme=readme)
    return HubFiles(folder.name, chosen, [folder / file for file in chosen])


def list_files(repo: str, revision: str | None) -> tuple[str, list[str]]:
    """Resolve a revision to its commit; returns the commit and the names of all files.

    Raises:
        InputError: there is no such dataset or revision, or it is gated.
        MachineError: the hub cannot be reached.
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
            "the dataset is gated: its terms must be accepted first",
            where=where,
            found=str(error).splitlines()[0],
            fix="accept the terms on the dataset's page and log in with `hf auth login`, or name a local file as path",
        ) from None
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        fix = "check the name on the hub; a private one needs `hf auth login`"
        if url := _URL.fullmatch(repo):
            fix = f"write  hub: {url[1]}"
        raise InputError(
            "there is no such dataset or revision",
            where=where,
            found=str(error).splitlines()[0],
            expected="owner/name, or owner/name@revision",
            fix=fix,
        ) from None
    except Exception as error:  # the client's transport library, and so its error types, vary by version
        raise _unreachable_error(where, error) from error
    return str(info.sha), [file.rfilename for file in info.siblings or []]


def download(repo: str, commit: str, name: str) -> Path:
    """Download one file of one commit into the hub's cache. Raises MachineError if that fails."""
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repo, name, repo_type="dataset", revision=commit, etag_timeout=_TIMEOUT))
    except Exception as error:  # as above
        raise _unreachable_error(f"{name} of the data set {repo} on the hub", error) from error


def cached_snapshot(repo: str, revision: str | None) -> Path | None:
    """The folder of an earlier download, named by its commit; None if there is none."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repo, repo_type="dataset", revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        return None


def _unreachable_error(where: str, error: Exception) -> MachineError:
    reason = (str(error).splitlines() or [""])[0]
    return MachineError(
        "the hub could not be reached", where=where, found=f"{type(error).__name__}: {reason}"[:200]
    )
