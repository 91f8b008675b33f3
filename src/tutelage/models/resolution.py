"""From a model's name to its files on this disk: fetched, converted and checked, but not loaded.

smollm2-135m-instruct     the bundled default, fetched and converted once
owner/name[@revision]     a model of the hub; the revision is resolved to a commit
a folder                  a model, an adapter, or a run (its tuned model is in model/)
a .gguf file              converted once into the cache
"""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path

from tutelage.core import regular, yamltext
from tutelage.core.errors import InputError
from tutelage.core.files import new_folder, require_space, sweep_parts
from tutelage.core.locks import locked
from tutelage.core.suggestions import nearest
from tutelage.models import base_record, bundled, cache, folders
from tutelage.models.bundled import PATIENCE, Say, silent
from tutelage.models.fingerprints import fingerprint
from tutelage.models.source import ModelSource, SourceKind
from tutelage.results import tuned_record
from tutelage.results.run_folder import RunFolder

HUB_ID = re.compile(r"(?P<id>[\w][\w.-]*/[\w.-]+)(@(?P<revision>[\w./-]+))?", re.ASCII)


def resolve(name: str, *, say: Say = silent) -> ModelSource:
    """Find a model by name, and fetch or convert it when that is needed.

    Args:
        name: a bundled name, hub id, folder, run folder or .gguf file.
        say: is told, a line at a time, what takes long.

    Raises:
        InputError: nothing of this name, or files that are missing, damaged or unsafe (each says which).
        MachineError: no network, no room.
    """
    if name in bundled.table():
        return ModelSource(name, "bundled", bundled.ensure(bundled.find(name), say=say))
    path = _path(name)
    if path.is_dir():
        return _folder(name, path, say)
    if os.path.lexists(path):
        return _file(name, path, say)
    match = HUB_ID.fullmatch(name)
    if match and not name.startswith(".") and not name.endswith(".gguf"):
        from tutelage.models import hub

        fetched = hub.fetch(match["id"], match["revision"], say=say)
        return _of_folder(match["id"], "hub", fetched.folder, say, revision=fetched.commit)
    raise _unknown(name, path)


def _path(name: str) -> Path:
    """The name as a path; nothing needs to be there.

    Raises:
        InputError: no path can be called so, or the place cannot be looked at.
    """
    try:
        path = Path(name).expanduser()
        path.lstat()
    except FileNotFoundError:
        pass
    except (OSError, RuntimeError, ValueError) as error:
        if isinstance(error, NotADirectoryError):
            return path
        raise InputError(
            "no model can be read under this name",
            found=f"{name[:200]!r}: {getattr(error, 'strerror', None) or error}",
            expected="a bundled name, a hub id as owner/name, a folder, a run folder, or a .gguf file",
            fix="check the name, and that the folder may be read",
        ) from error
    return path


def base_of(
    source: ModelSource,
    *,
    say: Say = silent,
    fix: str = "name a run, or a model that has its adapter beside it",
) -> ModelSource:
    """The model that a tuned one was made from: below its adapter, beside its merged weights, or in its run's recipe.

    Args:
        source: the tuned model.
        say: is told, a line at a time, what takes long.
        fix: what a person can do when nothing says what it was made from.

    Raises:
        InputError: nothing says what it was made from. And what `resolve` raises.
    """
    if source.base is not None:
        return source.base
    name = base_name(source)
    if name is None:
        raise InputError(
            "nothing says which model this one was tuned from",
            where=source.name,
            found=f"a {source.kind} without adapter and without a run's recipe.yaml",
            fix=fix,
        )
    base = _base(name, say, where=source.name)
    if base.folder.resolve() == source.folder.resolve():
        raise InputError(
            "the model is named as its own base",
            where=source.name,
            found=name,
            expected="another model",
            fix=fix,
        )
    _compare_base(source, base, say)
    return base


def _compare_base(source: ModelSource, base: ModelSource, say: Say) -> None:
    """Say when the base that was found is another one than the run was tuned from: its files changed, or its path means others."""
    results = RunFolder(source.folder.parent).results
    if source.kind != "run" or not results.is_file():
        return
    provenance = folders.read_json(results).get("provenance")
    weights = provenance.get("weights") if isinstance(provenance, dict) else None
    if isinstance(weights, str) and weights != fingerprint(base):
        say(
            f"{base.name} has another fingerprint than the model that {source.name} was tuned from: was it changed since?"
        )


def base_name(source: ModelSource) -> str | None:
    """The name of the model that a tuned one was made from, None where nothing says it; the base itself is not looked for.

    Raises:
        InputError: the adapter's settings or the run's recipe are damaged.
    """
    if source.base is not None:
        return source.base.name
    if (source.folder / "adapter" / "adapter_config.json").is_file():
        return base_record.recorded_base_name(source.folder / "adapter")
    run = RunFolder(source.folder.parent)
    name = None
    # A recipe beside any other folder is somebody's, and says nothing about what stands there.
    of_run = source.kind == "run" or run.tuned.is_file()
    if of_run and run.recipe.is_file():
        value = yamltext.read_file(run.recipe, what="the run's recipe")
        name = value.get("model") if isinstance(value, dict) else None
    return name if isinstance(name, str) else None


def _folder(name: str, path: Path, say: Say) -> ModelSource:
    """A run's tuned model, or the model or adapter that stands in the folder itself."""
    run = RunFolder(path)
    if folders.is_model(run.model):
        return _of_folder(name, "run", run.model, say)
    if (record := tuned_record.read_or_recover(path)) is not None:
        tuned_record.require_model(path, record)  # the model is damaged, or gone: it says so
    if not folders.is_model(path) and run.recipe.is_file():
        raise InputError(
            "the run has no tuned model yet",
            where=str(path),
            expected=f"{run.model} with config.json or adapter_config.json",
            fix="run its recipe to the end first",
        )
    return _of_folder(name, "folder", path, say)


def _of_folder(
    name: str, kind: SourceKind, folder: Path, say: Say, *, revision: str | None = None
) -> ModelSource:
    notes = _check_run(folder)
    config = folders.check(folder)
    notes += config.notes
    if config.adapter_base is None:
        return ModelSource(name, kind, folder, revision, notes=notes)
    below = base_record.recorded_base_name(folder)
    beside = folder / below
    name_below = str(beside) if beside.is_dir() and not Path(below).exists() else below
    _check_no_adapter(folder, name_below)
    try:
        base = _base(name_below, say, where=str(folder / "adapter_config.json"))
    except InputError as error:
        if error.where is not None:
            raise
        # What is wrong stands in the adapter's settings, not in what was typed.
        where = str(folder / "adapter_config.json")
        raise InputError(
            error.problem, where=where, found=error.found, expected=error.expected, fix=error.fix
        ) from error
    return ModelSource(name, kind, folder, revision, base=base, notes=notes)


def _check_run(folder: Path) -> tuple[str, ...]:
    """Check a run's tuned model against the manifest that the run keeps; what cannot be checked is noted."""
    run = tuned_record.run_of(folder)
    if run is None:
        return ()
    record = tuned_record.read_or_recover(run)
    if record is None:
        return (tuned_record.NO_RECORD,)
    tuned_record.require_model(run, record)
    return () if record.get("files") is not None else (tuned_record.UNCHECKED,)


def _base(name: str, say: Say, *, where: str) -> ModelSource:
    """What a model was tuned from; of a folder in the model cache it is known again what was converted into it."""
    path = Path(name)
    if path.is_absolute() and not os.path.lexists(path):
        raise InputError(
            "the model that this one was tuned from is no longer there",
            where=where,
            found=f"nothing at {path}",
            expected="the base model's folder or file at this path",
            fix="move it back, or make a link to where it is now: ln -s NEW_PLACE OLD_PLACE",
        )
    if path.parent.resolve() == cache.models().resolve():
        if path.name in bundled.table():
            return resolve(path.name, say=say)
        if path.is_dir() and path.name.startswith("gguf-"):
            return dataclasses.replace(resolve(name, say=say), kind="gguf")
    return resolve(name, say=say)


def _check_no_adapter(folder: Path, below: str) -> None:
    """An adapter stands on a whole model: on another adapter, or on itself, it would be read without an end."""
    places = (Path(below), RunFolder(Path(below)).model)
    if any((p / "adapter_config.json").is_file() and not (p / "config.json").is_file() for p in places):
        raise InputError(
            "the adapter's base is an adapter itself",
            where=str(folder / "adapter_config.json"),
            found=f"base_model_name_or_path: {below}",
            expected="a whole model",
            fix="merge the one below first: tutelage export BELOW --merge --to DIR",
        )


def _file(name: str, path: Path, say: Say) -> ModelSource:
    """A .gguf file, converted into the cache under the hash of its content."""
    if path.suffix.lower() != ".gguf":
        raise InputError(
            "a model is a folder or a .gguf file",
            where=str(path),
            found=f"a file that ends in {path.suffix or 'nothing'}",
            expected="safetensors in a folder with config.json and a tokenizer, or GGUF",
            fix="name the folder that holds the file"
            if path.suffix == ".safetensors"
            else "pickled weights are never read: they can run code",
        )
    from tutelage.models import gguf

    regular.require_regular(path, what="the GGUF file", fix="name the file itself")
    gguf.check(path)
    sha256 = cache.file_sha256(path)
    folder = cache.models() / f"gguf-{sha256[:16]}"
    facts = {"gguf_sha256": sha256, "converter": gguf.CONVERTER}
    if not cache.whole(folder, facts):
        # Weights of 4 bits become 32: eight times the file, and some room for what stands around them.
        require_space(
            cache.models(), 9 * path.stat().st_size, what=f"the converted {path.name} in the model cache"
        )
        with locked(cache.models() / ".lock", what="the model cache", wait=PATIENCE):
            sweep_parts(cache.models())
            if not cache.whole(folder, facts):
                say(f"{name}: converting to safetensors, once")
                with new_folder(folder) as part:
                    gguf.convert(path, part)
                    cache.write_manifest(part, facts)
    return ModelSource(name, "gguf", folder)


def _unknown(name: str, path: Path) -> InputError:
    """Nothing of this name: with what was probably meant."""
    looks_like_path = (
        path.is_absolute() or len(path.parts) > 1 or path.suffix == ".gguf" or name.startswith(".")
    )
    beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    close = nearest(path.name, beside if looks_like_path else [*bundled.table(), *beside])
    if close and looks_like_path:
        close = str(Path(name).parent / close)
    return InputError(
        "there is no model of this name",
        found=name,
        expected=f"{', '.join(bundled.table())}, a hub id as owner/name, a folder, a run folder, or a .gguf file",
        fix=f"did you mean {close}?"
        if close
        else "check the name; `tutelage models list` shows what is at hand",
    )
