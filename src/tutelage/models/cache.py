"""The user's cache: where fetched and converted models stay, and the hashes of big files.

    CACHE/models/NAME/    a model in the form that transformers reads, with manifest.json
    CACHE/wheels/         packages brought by hand, for machines without a network
    CACHE/hashes/         sha256 of weight files by path, size and times: reading gigabytes for it is slow

CACHE is `core.caches.root`.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from tutelage.core import hashing, manifest
from tutelage.core.caches import root
from tutelage.core.errors import MachineError
from tutelage.core.files import write_text

MANIFEST = "manifest.json"
SCHEMA = 1


def models() -> Path:
    """The folder of converted models."""
    return root() / "models"


def file_sha256(path: Path) -> str:
    """Compute the sha256 of a file; it is cached while the file's size, times and inode stay the same."""
    state = list(manifest.file_state(path))
    cached = root() / "hashes" / f"{hashing.of_text(str(state[0]))[:32]}.json"
    with suppress(OSError, ValueError, KeyError, TypeError):
        record = json.loads(cached.read_bytes())
        if record["state"] == state:
            return str(record["sha256"])
    settled = manifest.is_settled(path)
    sha256 = manifest.sha256(path)
    # A hash that cannot be cached only costs time in the next run.
    with suppress(MachineError):
        if settled:
            write_text(cached, json.dumps({"state": state, "sha256": sha256}))
    return sha256


def write_manifest(folder: Path, facts: dict[str, Any]) -> None:
    """Write size and sha256 of every file of a folder, as its last file: a folder without it is incomplete."""
    content = {"schema": SCHEMA, **facts, "files": manifest.of_folder(folder)}
    write_text(folder / MANIFEST, json.dumps(content, indent=1))


def is_complete(folder: Path, facts: dict[str, Any], *, thorough: bool = False) -> bool:
    """Whether a folder is unchanged since `write_manifest` with these facts: by sizes, or by sha256 when thorough."""
    try:
        written = json.loads((folder / MANIFEST).read_bytes())
        same_facts = {key: written[key] for key in ("schema", *facts)} == {"schema": SCHEMA, **facts}
        return same_facts and all(
            (folder / name).stat().st_size == file["size"]
            and (not thorough or hashing.of_file(folder / name) == file["sha256"])
            for name, file in written["files"].items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
