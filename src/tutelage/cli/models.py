"""`tutelage models list | show NAME | fetch NAME`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from tutelage.cli import console
from tutelage.core.errors import InputError


class Action(StrEnum):
    """What to do."""

    LIST = "list"
    SHOW = "show"
    FETCH = "fetch"


def models(
    action: Annotated[Action, typer.Argument(help="What to do.")] = Action.LIST,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", help="A bundled name, hub id, folder, .gguf file or run.", show_default=False
        ),
    ] = None,
    json: Annotated[bool, console.Json] = False,
) -> int:
    """List the bundled models, show what a model is, or fetch one and check every byte of it."""
    if action is Action.LIST:
        _list(as_json=json)
        return 0
    if name is None:
        from tutelage.models import bundled

        raise InputError(
            f"`models {action}` needs a name",
            where="models",
            expected="the name of a model",
            fix=f"tutelage models {action} {next(iter(bundled.table()))}",
        )
    facts = _fetch(name) if action is Action.FETCH else _show(name)
    if json:
        console.print_json(facts)
    else:
        width = max(map(len, facts)) + 2
        console.show("\n".join(f"{key:<{width}}{_cell(value)}" for key, value in facts.items()))
    return 0


def _list(*, as_json: bool) -> None:
    from tutelage.models import bundled

    found = [_bundled(spec) for spec in bundled.table().values()]
    if as_json:
        console.print_json({"models": found})
        return
    for one in found:
        console.show(f"{one['name']}  ({one['state']}; {one['parameters']:,} parameters; {one['license']})")
        console.show(f"    {one['about']}")


def _bundled(spec: Any) -> dict[str, Any]:
    from tutelage.models import bundled

    return {
        "name": spec.name,
        "about": spec.about,
        "origin": spec.origin,
        "license": spec.license,
        "parameters": spec.parameters,
        "context": spec.context,
        "package": f"{spec.package} {spec.version}",
        "state": "in the cache" if bundled.ready(spec) else "not fetched",
        "folder": str(spec.folder),
    }


def _show(name: str) -> dict[str, Any]:
    """What a model is. A bundled one is not fetched for it."""
    from tutelage.models import bundled, fingerprint, resolve, stated_parameters
    from tutelage.models.resolution import base_name

    table = bundled.table()
    if name in table and not bundled.ready(table[name]):
        return _bundled(table[name])
    source = resolve(name, say=console.say)
    config = source.config()
    stated = config.get("architectures")
    names = stated if isinstance(stated, list) and stated else [config.get("model_type")]
    return {
        **(_bundled(table[name]) if name in table else {"name": name}),
        "kind": source.kind,
        "folder": str(source.folder),
        "revision": source.revision,
        "base": base_name(source),
        "architecture": ", ".join(map(str, names)),
        "parameters": stated_parameters(source),
        "context": config.get("max_position_embeddings"),
        "fingerprint": fingerprint(source),
        "notes": list(source.notes),
    }


def _fetch(name: str) -> dict[str, Any]:
    """Bring a model into the cache. Of a bundled one that is there already, every byte is checked."""
    from tutelage.models import bundled

    if name in bundled.table():
        bundled.ensure(bundled.find(name), say=console.say, thorough=True)
    return _show(name)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return "; ".join(map(str, value)) or "none"
    if value is None:
        return "none"
    return f"{value:,}" if isinstance(value, int) else str(value)
