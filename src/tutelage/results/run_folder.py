"""The run folder: one recipe's, one process at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tutelage.core import files, hashing, yamltext
from tutelage.core.differences import differences, listed
from tutelage.core.errors import InputError
from tutelage.core.locks import locked
from tutelage.results import document

IDENTITIES = "# identities: 2"
"""In the record of a run whose identity holds the model's generation settings; older runs' did not."""
HEAD = (
    "# The recipe as resolved, a record: its paths are relative to the folder of the recipe that was run.\n"
    f"{IDENTITIES}\n"
)


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where everything of a run lies; design.md, "What a run leaves"."""

    path: Path

    @property
    def recipe(self) -> Path:
        """The recipe as resolved."""
        return self.path / "recipe.yaml"

    @property
    def card(self) -> Path:
        """What the run was trained and tested on."""
        return self.path / "data" / "card.json"

    @property
    def results(self) -> Path:
        """The scores."""
        return self.path / "results.json"

    @property
    def store(self) -> Path:
        """Every response, score and step."""
        return self.path / "results.sqlite"

    @property
    def model(self) -> Path:
        """The tuned model."""
        return self.path / "model"

    @property
    def tuned(self) -> Path:
        """Says, once the tuned model is whole, which tuning it is of."""
        return self.path / "tuned.json"

    @property
    def checkpoints(self) -> Path:
        """Resumable state, gone when the run is done."""
        return self.path / "checkpoints"

    @property
    def report(self) -> Path:
        """The page."""
        return self.path / "report.html"


def default_folder(name: str, resolved: Mapping[str, Any]) -> Path:
    """`runs/<recipe name>-<first 8 digits of the resolved recipe's hash>`: different settings never meet."""
    return Path("runs") / f"{name}-{hashing.of_json(resolved)[:8]}"


def _check_makeable(path: Path) -> None:
    """Raise InputError when a folder cannot be made at a path, which would else show when the work is done."""
    above = files.existing_parent(path)
    if above.is_dir() and os.access(above, os.W_OK | os.X_OK):
        return
    raise InputError(
        "the output folder cannot be made",
        where=str(path),
        found=f"{above} is a file" if not above.is_dir() else f"{above} may not be written to",
        expected="a place in a folder that may be written to",
        fix="name another with --out",
    )


def check_free(folder: RunFolder, resolved: Mapping[str, Any]) -> None:
    """Refuse a folder that holds another recipe's run, or something that is no run at all.

    Raises:
        InputError: it does.
    """
    if folder.path.exists() and not folder.path.is_dir():
        raise InputError("the output folder is a file", where=str(folder.path), fix="name another with --out")
    if not folder.path.exists():
        _check_makeable(folder.path)
        return
    if not any(folder.path.iterdir()):
        return
    own = _stated(folder) == resolved
    if not _is_run(folder):
        if own or all(p.name.startswith(".") for p in folder.path.iterdir()):
            return
        raise InputError(
            "the output folder holds something, and no run",
            where=str(folder.path),
            found=", ".join(sorted(p.name for p in folder.path.iterdir())[:5]),
            expected="an empty folder, or this recipe's run",
            fix="name another folder with --out",
        )
    other = document.recorded_recipe(folder.recipe)
    if other is None and not own:
        raise InputError(
            "the run's record of its recipe is damaged",
            where=str(folder.recipe),
            expected="the recipe as resolved, in YAML",
            fix="bring back a copy, or name another folder with --out",
        )
    if other is not None and other != dict(resolved):
        if own:
            raise InputError(
                "the run's record of its recipe was edited",
                where=str(folder.recipe),
                found=listed(
                    differences(other, dict(resolved)), "{path} is {old} there and {new} in results.json"
                ),
                fix=f"remove {folder.recipe}: the same command writes it again",
            )
        raise InputError(
            "the output folder holds another recipe's run",
            where=str(folder.path),
            found=listed(differences(other, dict(resolved)), "{path} is {old} there and {new} here"),
            expected="the same recipe and settings",
            fix="name another folder with --out, or leave --out away: the default folder is named by the settings",
        )


def _is_run(folder: RunFolder) -> bool:
    """Whether a run was begun here; a person's folder may hold a copy of its recipe, but neither lock nor results."""
    signs = (folder.path / ".lock", folder.store, folder.tuned)
    return folder.recipe.is_file() and any(path.is_file() for path in signs)


@contextmanager
def opened(folder: RunFolder, resolved: Mapping[str, Any]) -> Iterator[None]:
    """Hold the run folder, with the resolved recipe in it, while the block runs."""
    with locked(folder.path / ".lock", what=f"the run folder {folder.path}"):
        check_free(folder, resolved)
        files.sweep_parts(folder.path)
        write_recipe(folder, resolved)
        yield


def write_recipe(folder: RunFolder, resolved: Mapping[str, Any]) -> bool:
    """Write the record of the recipe where it is missing or unreadable; whether it was."""
    if document.recorded_recipe(folder.recipe) is not None:
        return False
    files.write_text(folder.recipe, HEAD + yamltext.write(dict(resolved)))
    return True


def _stated(folder: RunFolder) -> dict[str, Any] | None:
    """The recipe that results.json holds; None where there is no whole one."""
    try:
        recipe: dict[str, Any] = document.read(folder.results)["recipe"]
    except InputError:
        return None
    return recipe
