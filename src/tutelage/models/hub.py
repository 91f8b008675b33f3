"""Fetches models of the Hugging Face hub at one commit: safetensors, tokenizer and settings, and no code."""

from __future__ import annotations

from pathlib import Path

from tutelage.core.errors import InputError, MachineError
from tutelage.models.bundled import Say, silent
from tutelage.models.folders import PICKLES

PATTERNS = ["*.safetensors", "*.json", "*.jinja", "*.txt", "*.model"]
"""The files that are fetched: no *.py and no pickles."""


def fetch(repository: str, revision: str | None, *, say: Say = silent) -> Path:
    """Fetch a model of the hub, unless the hub's own cache on this disk has it; return its folder, named by the commit.

    Args:
        repository: owner/name.
        revision: branch, tag or commit; None is the main branch.
        say: is called with a line of text before each step that takes long.

    Raises:
        InputError: no such model, no permission, or no safetensors in it.
        MachineError: no network and not in the cache.
    """
    from huggingface_hub import HfApi

    # HTTPError is the root of whichever HTTP library the installed hub client uses.
    from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError is only imported there
        GatedRepoError,
        HfHubHTTPError,
        HTTPError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    _check_name(repository, revision)
    try:
        info = HfApi().model_info(repository, revision=revision)
    except GatedRepoError as error:
        raise InputError(
            "the model is gated: its owner decides who may fetch it",
            found=repository,
            fix="ask for access on the model's page and log in with `hf auth login`",
        ) from error
    except RevisionNotFoundError as error:
        raise InputError("the model has no such revision", found=f"{repository}@{revision}") from error
    except RepositoryNotFoundError as error:
        raise InputError(
            "the hub has no such model, or it is not public",
            found=repository,
            fix="check owner and name; a folder is named as ./folder",
        ) from error
    except (OfflineModeIsEnabled, HfHubHTTPError, HTTPError, OSError) as error:
        return _download(repository, revision, offline=error)
    _check_files([file.rfilename for file in info.siblings or []], repository)
    say(f"{repository}: fetching commit {str(info.sha)[:12]} from the hub, unless it is here already")
    return _download(repository, str(info.sha))


def _check_name(repository: str, revision: str | None) -> None:
    """Refuse names that no model of the hub can have, such as `a/..`, before they become part of an address or a path."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # it is documented there, and only imported

    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise InputError(
            "the hub has no model of such a name",
            found=repository,
            expected="owner/name of letters, digits, -, _ and . alone, without -- and ..",
            fix="check owner and name; a folder is named as ./folder",
        ) from error
    if revision is not None and {"", ".", ".."} & set(revision.split("/")):
        raise InputError(
            "the hub has no such revision",
            found=f"{repository}@{revision}",
            expected="a branch, a tag or a commit",
            fix=f"name the model as {repository}, or with a revision that its page lists",
        )


def _check_files(names: list[str], repository: str) -> None:
    if any(name.endswith(".safetensors") for name in names):
        return
    pickles = [name for name in names if Path(name).suffix in PICKLES]
    raise InputError(
        "the weights are pickled, and pickles can run code: safetensors and GGUF only"
        if pickles
        else "the repository has no weights that can be read",
        where=repository,
        found=", ".join((pickles or names)[:5]) or "no files",
        expected="*.safetensors",
        fix="name a model or a revision that has safetensors; for a GGUF repository, fetch the .gguf file and name it",
    )


def _download(repository: str, revision: str | None, offline: Exception | None = None) -> Path:
    """Download a snapshot; with the error of a network that does not answer, look for it in the hub's cache only."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HTTPError, LocalEntryNotFoundError  # type: ignore[attr-defined]  # imported there, by either name

    try:
        folder = snapshot_download(
            repository, revision=revision, allow_patterns=PATTERNS, local_files_only=offline is not None
        )
    except (LocalEntryNotFoundError, HfHubHTTPError, HTTPError, OSError) as error:
        first = offline or error
        raise MachineError(
            "the model could not be fetched from the hub",
            where=repository,
            found=f"{type(first).__name__}: {first}".splitlines()[0][:200],
            expected=f"a network, or {repository} in the hub's cache on this disk",
            fix=f"on a machine with a network: hf download {repository} --local-dir FOLDER; then bring FOLDER here and "
            "name it instead",
        ) from error
    return Path(folder)
