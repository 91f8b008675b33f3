"""`tutelage templates list | show NAME | render NAME FILE`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tutelage.cli import console
from tutelage.core.errors import InputError

if TYPE_CHECKING:
    from tutelage.core.types import Prompted
    from tutelage.templates.kind import Kind, Wording

GROUPS = {
    "wordings": "wordings",
    "rationales": "with reasons before the answer",
    "inverted": "turned around, for training rows",
}


class Action(StrEnum):
    """What to do."""

    LIST = "list"
    SHOW = "show"
    RENDER = "render"


class Options(StrEnum):
    """Whether answer choices stand in the prompts."""

    LISTED = "listed"
    NONE = "none"
    MIXED = "mixed"


def templates(
    action: Annotated[Action, typer.Argument(help="What to do.")] = Action.LIST,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="A kind, KIND/WORDING, or the path of your own file.",
            show_default=False,
        ),
    ] = None,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="For render: a data file.", show_default=False)
    ] = None,
    fields: Annotated[
        list[str] | None,
        typer.Option(
            "--fields",
            metavar="FIELD=COLUMN",
            help="Which column holds a field; FIELD==TEXT is a text for every row.",
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option("--labels", metavar="WORDS", help="negative,positive or 0=negative,1=positive."),
    ] = None,
    options: Annotated[
        Options | None,
        typer.Option("--options", help="Whether prompts list the choices.", show_default="listed"),
    ] = None,
    rows: Annotated[int, typer.Option("--rows", min=1, help="How many rows to render.")] = 5,
    inverted: Annotated[bool, typer.Option("--inverted", help="Turn every row around.")] = False,
    json: Annotated[bool, console.Json] = False,
) -> None:
    """List the kinds of tasks that have wordings, show the wordings of one, or put a file's rows into words."""
    if action is Action.LIST:
        _list(as_json=json)
        return
    if name is None or (action is Action.RENDER and file is None):
        raise InputError(
            f"`templates {action}` needs a name" + (" and a data file" if action is Action.RENDER else ""),
            where="templates",
            found="nothing" if name is None else name,
            expected="such as sentiment, sentiment/direct-question or ./my-templates.yaml",
            fix="see `tutelage templates list`",
        )
    if action is Action.SHOW:
        _show(name, as_json=json)
        return
    assert file is not None
    wanted = dict(map(_pair, fields or ()))
    _render(name, file, wanted, _labels(labels), options.value if options else "listed", rows, inverted, json)


def _list(*, as_json: bool) -> None:
    from tutelage.templates import columns, library

    kinds = [library.load(name) for name in library.kind_names()]
    if as_json:
        layouts = [{"name": one.name, "columns": list(one.columns)} for one in columns.column_templates()]
        console.print_json({"templates": [_in_short(kind) for kind in kinds], "layouts": layouts})
        return
    table = []
    for kind in kinds:
        field_names = [field.name + ("?" if field.optional else "") for field in kind.fields.values()]
        labels = f" ({', '.join(kind.labels)})" if kind.labels else ""
        counts = [str(len(kind.of_group(group))) for group in GROUPS]
        table.append([kind.name, kind.title, ", ".join(field_names) + labels, *counts])
    console.show_table(
        ["kind", "what is asked", "fields", "wordings", "reasons", "inverted"], table, right=(3, 4, 5)
    )
    console.show(
        "A field with ? may be missing. Layouts of columns that need no fields: "
        + ", ".join(columns.column_template_names())
    )


def _in_short(kind: Kind) -> dict[str, Any]:
    return {
        "name": kind.name,
        "title": kind.title,
        "about": kind.about,
        "fields": {
            one.name: {"about": one.about, "type": one.type, "optional": one.optional}
            for one in kind.fields.values()
        },
        "answer": kind.answer,
        "labels": list(kind.labels),
        **{group: [one.name for one in kind.of_group(group)] for group in GROUPS},
    }


def _show(name: str, *, as_json: bool) -> None:
    from tutelage.templates import columns, library

    if name in columns.column_template_names():
        layout = columns.column_template(name)
        told = {"name": name, "prompt": layout.prompt, "completion": layout.completion}
        if as_json:
            console.print_json(told)
        else:
            console.show(
                f"{name}: a layout of columns\n\nprompt:\n{layout.prompt}\n\ncompletion:\n{layout.completion}"
            )
        return
    found = library.find(name)
    one_only = "/" in found.name
    shown = found.wordings if one_only else tuple(found.kind.wordings.values())
    if as_json:
        told_kind = _in_short(found.kind)
        console.print_json({**told_kind, "texts": {one.name: _told(one) for one in shown}})
        return
    kind = found.kind
    console.show(f"{kind.name}: {kind.title}")
    if kind.about:
        console.show(f"  {' '.join(kind.about.split())}")
    for field in kind.fields.values():
        console.show(f"  {field.name:<16}{field.about}{' (may be missing)' if field.optional else ''}")
    if kind.labels:
        console.show(f"  {'labels':<16}{', '.join(kind.labels)}")
    for one in shown:
        console.show(
            f"\n{'-' * 8} {kind.name}/{one.name} ({GROUPS[one.group]}{', ' + one.layout if one.layout else ''})"
        )
        console.show(one.prompt)
        console.show(f"{'-' * 8} answer: {one.completion}")


def _told(one: Wording) -> dict[str, Any]:
    return {"group": one.group, "prompt": one.prompt, "completion": one.completion, "layout": one.layout}


def _render(
    name: str,
    file: Path,
    fields: dict[str, Any],
    labels: list[str] | dict[str, str] | None,
    options: Literal["listed", "none", "mixed"],
    rows: int,
    inverted: bool,
    as_json: bool,
) -> None:
    from tutelage.data import read
    from tutelage.templates import (
        WordingOptions,
        bind_template,
        close,
        column_template,
        column_template_names,
        find,
    )

    examples = list(read(file))
    if name in column_template_names():
        done = column_template(name).render_all(examples[:rows], file.stem)
    else:
        manner = WordingOptions(options, 1.0 if inverted else 0.0)
        template = bind_template(find(name), examples, manner, fields=fields, labels=labels, where="options")
        try:
            done = template.render_all(examples[:rows], file.stem, training=inverted)
        finally:
            close()
    if as_json:
        console.print_json({"rows": [_row(row) for row in done]})
        return
    for row in done:
        console.show(
            f"{'=' * 8} {row.origin} {row.template}\n{row.prompt}\n{'-' * 8} answer\n{row.completion}\n"
        )
    console.show(f"{len(done)} of {len(examples):,} rows of {file}, before the model's chat template.")


def _row(row: Prompted) -> dict[str, Any]:
    return {
        "id": row.id,
        "origin": str(row.origin),
        "template": row.template,
        "prompt": row.prompt,
        "completion": row.completion,
        "choices": list(row.choices),
        "references": list(row.references),
    }


def _pair(word: str) -> tuple[str, Any]:
    """A field and its source: a column, columns with commas between, or after == the text itself."""
    from tutelage.templates import ConstantField

    field, equals, source = word.partition("=")
    if not equals or not field or not source.strip("="):
        raise InputError(
            "not a field and its column",
            where="--fields",
            found=word,
            expected="FIELD=COLUMN, FIELD=COLUMN,COLUMN or FIELD==TEXT",
            fix="write it as --fields text=review",
        )
    if source.startswith("="):
        return field, ConstantField(source[1:])
    return field, tuple(source.split(",")) if "," in source else source


def _labels(text: str | None) -> list[str] | dict[str, str] | None:
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    pairs = [part.partition("=") for part in parts]
    mapped = {raw.strip(): word.strip() for raw, equals, word in pairs if equals}
    if all(parts) and not mapped and len(set(parts)) == len(parts) > 1:
        return parts
    if len(mapped) == len(parts) > 1 and all(mapped.values()):
        return mapped
    raise InputError(
        "not labels",
        where="--labels",
        found=text,
        expected="two different words or more: negative,positive or 0=negative,1=positive",
        fix="write them with commas between and without spaces",
    )
