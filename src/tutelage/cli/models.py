"""`tutelage models list | show NAME | fetch NAME`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from tutelage.cli import console
from tutelage.core.errors import InputError
from tutelage.models import bundled, count_parameters, fingerprint, resolve
from tutelage.models.resolution import base_name


def models(
    action: Annotated[Literal["list", "show", "fetch"], typer.Argument(help="What to do.")] = "list",
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", help="A bundled name, hub id, folder, .gguf file or run.", show_default=False
        ),
    ] = None,
    json: Annotated[bool, console.Json] = False,
) -> None:
    """List the bundled models, show what a model is, or download one and verify it."""
    if action == "list":
        entries = [_bundled(spec) for spec in bundled.table().values()]
        lines = [
            f"{entry['name']}  ({entry['state']}; {entry['parameters']:,} parameters; {entry['license']})\n"
            f"    {entry['about']}"
            for entry in entries
        ]
        console.show_result({"models": entries}, "\n".join(lines), as_json=json)
        return
    if name is None:
        raise InputError(
            f"`models {action}` needs a name",
            where="models",
            expected="the name of a model",
            fix=f"tutelage models {action} {next(iter(bundled.table()))}",
        )
    if action == "fetch" and name in bundled.table():
        # Also verifies every byte of a model that is in the cache already.
        bundled.ensure(bundled.find(name), say=console.say, thorough=True)
    facts = _facts(name)
    width = max(map(len, facts)) + 2
    lines = [f"{key:<{width}}{_cell(value)}" for key, value in facts.items()]
    console.show_result(facts, "\n".join(lines), as_json=json)


def _bundled(spec: Any) -> dict[str, Any]:
    return {
        "name": spec.name,
        "about": spec.about,
        "origin": spec.origin,
        "license": spec.license,
        "parameters": spec.parameters,
        "context": spec.context,
        "package": f"{spec.package} {spec.version}",
        "state": "in the cache" if bundled.is_cached(spec) else "not fetched",
        "folder": str(spec.folder),
    }


def _facts(name: str) -> dict[str, Any]:
    """What a model is; a bundled one is not downloaded for it."""
    table = bundled.table()
    if name in table and not bundled.is_cached(table[name]):
        return _bundled(table[name])
    source = resolve(name, say=console.say)
    config = source.config()
    architectures = config.get("architectures")
    if not isinstance(architectures, list) or not architectures:
        architectures = [config.get("model_type")]
    return {
        **(_bundled(table[name]) if name in table else {"name": name}),
        "kind": source.kind,
        "folder": str(source.folder),
        "revision": source.revision,
        "base": base_name(source),
        "architecture": ", ".join(map(str, architectures)),
        "parameters": count_parameters(source),
        "context": config.get("max_position_embeddings"),
        "fingerprint": fingerprint(source),
        "notes": list(source.notes),
    }


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return "; ".join(map(str, value)) or "none"
    if value is None:
        return "none"
    return f"{value:,}" if isinstance(value, int) else str(value)
