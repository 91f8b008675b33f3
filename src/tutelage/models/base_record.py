"""The record of the model that an adapter was tuned on: its name, its kind, and the sha256 of its weights.

adapter_config.json names the base for other programs. base.json beside it names it for Tutelage, which can fetch a
bundled model again on another machine, and holds the sha256 of the base's weights.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tutelage.core.errors import InputError
from tutelage.core.files import write_text
from tutelage.models import bundled, folders
from tutelage.models.fingerprints import weights_sha256
from tutelage.models.source import ModelSource

RECORD = "base.json"
_TITLE = "# Tuned with Tutelage"


def base_facts(base: ModelSource) -> dict[str, Any]:
    """Describe a base for base.json and a run's data card: name, kind, commit, hash of the weights, and a sentence."""
    sha256 = weights_sha256(base.weights)
    return {
        "name": base.name,
        "kind": base.kind,
        "revision": base.revision,
        "weights_sha256": sha256,
        "about": _about(base, sha256),
    }


def write_record(base: ModelSource, folder: Path) -> None:
    """Write base.json into an adapter's folder."""
    facts = base_facts(base)
    if base.kind not in ("hub", "bundled"):
        facts["name"] = str(base.weights.resolve())
    write_text(folder / RECORD, json.dumps({"schema": 1, **facts}, indent=1) + "\n")


def recorded_base_name(folder: Path) -> str:
    """The name by which `resolve` finds an adapter's base.

    A bundled model has its own name where the cache, to which adapter_config.json points, no longer holds it.
    """
    name = folders.adapter_base(folder)
    if not Path(name).is_dir():
        record = _read_record(folder)
        if record.get("kind") == "bundled" and str(record.get("name")) in bundled.table():
            return str(record["name"])
    return name


def require_recorded_base(source: ModelSource) -> None:
    """Refuse to load an adapter on other weights than those that it was tuned on, where base.json has their hash.

    Args:
        source: an adapter; nothing is checked for a whole model.

    Raises:
        InputError: the base's weights have another sha256.
    """
    if source.base is None:
        return
    recorded = _read_record(source.folder).get("weights_sha256")
    if recorded is not None and recorded != (sha256 := weights_sha256(source.base.weights)):
        raise InputError(
            "the adapter's base has other weights than those that it was tuned on",
            where=str(source.folder / RECORD),
            found=f"{source.base.name}: {sha256[:16]}",
            expected=str(recorded)[:16],
            fix=f"bring back the weights that it was tuned on, or remove {RECORD} to use it on these",
        )


def existing_model_card(source: ModelSource) -> str:
    """Read the README.md that Tutelage wrote for a tuned model; empty where it has not written one."""
    path = source.folder / "README.md"
    text = path.read_text("utf-8", errors="replace") if path.is_file() else ""
    return text if _TITLE in text.splitlines() else ""


def model_card(base: ModelSource, *, adapter: bool) -> str:
    """Write the README.md of an exported model: what it was tuned on, with the hub's front matter."""
    lines = ["---", f"library_name: {'peft' if adapter else 'transformers'}"]
    if base.kind in ("hub", "bundled"):
        lines.append(f"base_model: {base.name if base.kind == 'hub' else bundled.find(base.name).origin}")
    return "\n".join([*lines, "---", "", _TITLE, "", f"{_about(base, weights_sha256(base.weights))}.", ""])


def _about(base: ModelSource, sha256: str) -> str:
    """A sentence that says which weights were tuned, and where answers will differ."""
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


def _read_record(folder: Path) -> dict[str, Any]:
    path = folder / RECORD
    return folders.read_json(path) if path.is_file() else {}
