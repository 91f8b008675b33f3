"""What an adapter was tuned on: where its base stands on this machine, what it is, and which weights it must have.

adapter_config.json names the base as other programs find it. base.json beside it says the same for Tutelage, which can
fetch a bundled model anew on another machine, and holds the sha256 of the base's weights.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tutelage.core import hashing
from tutelage.core.errors import InputError
from tutelage.core.files import write_text
from tutelage.models import bundled, cache, folders

if TYPE_CHECKING:
    from tutelage.models.source import ModelSource

RECORD = "base.json"
_TITLE = "# Tuned with Tutelage"


def place_of(base: ModelSource) -> tuple[str, str | None]:
    """Name a base as transformers and peft find it: a hub id with its commit, or an absolute path.

    Args:
        base: a whole model.
    """
    return (base.name, base.revision) if base.kind == "hub" else (str(base.weights.resolve()), None)


def weights_sha256(folder: Path) -> str:
    """One sha256 over the names and contents of a folder's weights; remembered while the files stay as they are."""
    return hashing.of_json({path.name: cache.file_sha256(path) for path in folders.weight_files(folder)})


def facts(base: ModelSource) -> dict[str, Any]:
    """What base.json and a run's data card say of the base: name, kind, commit, weights and a sentence for people."""
    sha256 = weights_sha256(base.weights)
    return {
        "name": base.name,
        "kind": base.kind,
        "revision": base.revision,
        "weights_sha256": sha256,
        "about": _about(base, sha256),
    }


def record(base: ModelSource, folder: Path) -> None:
    """Write base.json into an adapter's folder."""
    written = facts(base)
    if base.kind not in ("hub", "bundled"):
        written["name"] = str(base.weights.resolve())
    write_text(folder / RECORD, json.dumps({"schema": 1, **written}, indent=1) + "\n")


def name_of(folder: Path) -> str:
    """The name by which `resolve` finds an adapter's base; a bundled one that the cache has lost, by its own name."""
    name = folders.adapter_base(folder)
    if not Path(name).is_dir():
        stated = _recorded(folder)
        if stated.get("kind") == "bundled" and str(stated.get("name")) in bundled.table():
            return str(stated["name"])
    return name


def require_base(source: ModelSource) -> None:
    """Refuse to put an adapter on other weights than those that it was tuned on, where base.json says which they were.

    Args:
        source: an adapter; nothing is checked for a whole model.

    Raises:
        InputError: the base's weights have another sha256.
    """
    stated = _recorded(source.folder).get("weights_sha256")
    if source.base is None:
        return
    if stated is not None and stated != (sha256 := weights_sha256(source.base.weights)):
        raise InputError(
            "the adapter's base has other weights than those that it was tuned on",
            where=str(source.folder / RECORD),
            found=f"{source.base.name}: {sha256[:16]}",
            expected=str(stated)[:16],
            fix=f"bring back the weights that it was tuned on, or remove {RECORD} to use it on these",
        )


def card_of(source: ModelSource) -> str:
    """README.md of a whole model that Tutelage has tuned; empty where it has not, or did not write one yet."""
    path = source.folder / "README.md"
    text = path.read_text("utf-8", errors="replace") if path.is_file() else ""
    return text if _TITLE in text.splitlines() else ""


def card(base: ModelSource, *, adapter: bool) -> str:
    """README.md of an exported model: what it was tuned on, with the hub's front matter."""
    lines = ["---", f"library_name: {'peft' if adapter else 'transformers'}"]
    hub = (
        base.name
        if base.kind == "hub"
        else bundled.find(base.name).origin
        if base.kind == "bundled"
        else None
    )
    if hub is not None:
        lines.append(f"base_model: {hub}")
    return "\n".join([*lines, "---", "", _TITLE, "", f"{_about(base, weights_sha256(base.weights))}.", ""])


def _about(base: ModelSource, sha256: str) -> str:
    """A sentence for people: which weights were tuned, and where answers will differ."""
    if base.kind == "bundled":
        spec = bundled.find(base.name)
        rounding = Path(spec.member).stem.rpartition(".")[2]
        return (
            f"Trained on the {rounding}-rounded weights of {spec.origin}, fingerprint {sha256[:16]}, on whose own "
            "weights answers differ"
        )
    if base.kind == "gguf":
        return (
            f"Trained on the weights of the GGUF file {Path(base.name).name}, fingerprint {sha256[:16]}; on the weights "
            "that the file was made from answers differ where it rounds them"
        )
    revision = f" at {base.revision}" if base.revision else ""
    return f"Trained on the weights of {base.name}{revision}, fingerprint {sha256[:16]}"


def _recorded(folder: Path) -> dict[str, Any]:
    path = folder / RECORD
    return folders.read_json(path) if path.is_file() else {}
