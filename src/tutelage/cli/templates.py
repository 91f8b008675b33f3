"""`tutelage templates list | show NAME | render NAME FILE`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from tutelage.cli import console
from tutelage.core.errors import InputError
from tutelage.core.types import Example, Prompted
from tutelage.templates import ConstantField, WordingOptions, bind_template, close, columns, library
from tutelage.templates.kind import Kind

GROUPS = {
    "wordings": "wordings",
    "rationales": "with reasons before the answer",
    "inverted": "inverted, for training rows",
}


def templates(
    action: Annotated[Literal["list", "show", "render"], typer.Argument(help="What to do.")] = "list",
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
            help="Which column holds a field; FIELD==TEXT sets a text for all rows.",
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option("--labels", metavar="WORDS", help="negative,positive or 0=negative,1=positive."),
    ] = None,
    options: Annotated[
        Literal["listed", "none", "mixed"],
        typer.Option("--options", help="Whether prompts list the choices."),
    ] = "listed",
    rows: Annotated[int, typer.Option("--rows", min=1, help="How many rows to render.")] = 5,
    inverted: Annotated[
        bool, typer.Option("--inverted", help="Invert every row: its answer becomes the question.")
    ] = False,
    json: Annotated[bool, console.Json] = False,
) -> None:
    """List the kinds of tasks that have prompt templates, show those of one kind, or render the rows of a file."""
    if action == "list":
        _list(as_json=json)
        return
    if name is None or (action == "render" and file is None):
        raise InputError(
            f"`templates {action}` needs a name" + (" and a data file" if action == "render" else ""),
            where="templates",
            found="nothing" if name is None else name,
            expected="such as sentiment, sentiment/direct-question or ./my-templates.yaml",
            fix="see `tutelage templates list`",
        )
    if file is None or action == "show":
        _show(name, as_json=json)
        return
    from tutelage.data import read

    examples = list(read(file))
    rendered = _render(name, file.stem, examples, fields or [], labels, options, rows, inverted=inverted)
    texts = [
        f"{'=' * 8} {row.origin} {row.template}\n{row.prompt}\n{'-' * 8} answer\n{row.completion}\n"
        for row in rendered
    ]
    note = f"{len(rendered)} of {len(examples):,} rows of {file}, before the model's chat template."
    console.show_result({"rows": [_row(row) for row in rendered]}, "\n".join([*texts, note]), as_json=json)


def _list(*, as_json: bool) -> None:
    kinds = [library.load(name) for name in library.kind_names()]
    if as_json:
        layouts = [
            {"name": layout.name, "columns": list(layout.columns)} for layout in columns.column_templates()
        ]
        console.print_json({"templates": [_summary(kind) for kind in kinds], "layouts": layouts})
        return
    table = []
    for kind in kinds:
        field_names = [name + ("?" if field.optional else "") for name, field in kind.fields.items()]
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


def _summary(kind: Kind) -> dict[str, Any]:
    return {
        "name": kind.name,
        "title": kind.title,
        "about": kind.about,
        "fields": {
            name: {"about": field.about, "type": field.type, "optional": field.optional}
            for name, field in kind.fields.items()
        },
        "answer": kind.answer,
        "labels": list(kind.labels),
        **{group: [wording.name for wording in kind.of_group(group)] for group in GROUPS},
    }


def _show(name: str, *, as_json: bool) -> None:
    if name in columns.column_template_names():
        layout = columns.column_template(name)
        console.show_result(
            {"name": name, "prompt": layout.prompt, "completion": layout.completion},
            f"{name}: a layout of columns\n\nprompt:\n{layout.prompt}\n\ncompletion:\n{layout.completion}",
            as_json=as_json,
        )
        return
    named = library.find(name)
    kind = named.kind
    wordings = named.wordings if "/" in named.name else tuple(kind.wordings.values())
    if as_json:
        texts = {
            wording.name: {key: getattr(wording, key) for key in ("group", "prompt", "completion", "layout")}
            for wording in wordings
        }
        console.print_json({**_summary(kind), "texts": texts})
        return
    console.show(f"{kind.name}: {kind.title}")
    if kind.about:
        console.show(f"  {' '.join(kind.about.split())}")
    for field_name, field in kind.fields.items():
        console.show(f"  {field_name:<16}{field.about}{' (may be missing)' if field.optional else ''}")
    if kind.labels:
        console.show(f"  {'labels':<16}{', '.join(kind.labels)}")
    for wording in wordings:
        layout_note = f", {wording.layout}" if wording.layout else ""
        console.show(f"\n{'-' * 8} {kind.name}/{wording.name} ({GROUPS[wording.group]}{layout_note})")
        console.show(f"{wording.prompt}\n{'-' * 8} answer: {wording.completion}")


def _render(
    name: str,
    task: str,
    examples: Sequence[Example],
    fields: Sequence[str],
    labels: str | None,
    options: Literal["listed", "none", "mixed"],
    count: int,
    *,
    inverted: bool,
) -> list[Prompted]:
    """The first rows of a file as prompts; the template is bound to all of them."""
    if name in columns.column_template_names():
        return list(columns.column_template(name).render_all(examples[:count], task))
    template = bind_template(
        library.find(name),
        examples,
        WordingOptions(options, 1.0 if inverted else 0.0),
        fields=dict(map(_field_source, fields)),
        labels=_labels(labels),
        where="options",
    )
    try:
        return list(template.render_all(examples[:count], task, training=inverted))
    finally:
        close()


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


def _field_source(option: str) -> tuple[str, Any]:
    """A field and its source: a column, columns separated by commas, or a text after ==."""
    field, equals, source = option.partition("=")
    if not equals or not field or not source.strip("="):
        raise InputError(
            "not a field and its column",
            where="--fields",
            found=option,
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
    labels = {value.strip(): label.strip() for value, equals, label in pairs if equals}
    if all(parts) and not labels and len(set(parts)) == len(parts) > 1:
        return parts
    if len(labels) == len(parts) > 1 and all(labels.values()):
        return labels
    raise InputError(
        "not labels",
        where="--labels",
        found=text,
        expected="two different labels or more: negative,positive or 0=negative,1=positive",
        fix="separate them by commas, without spaces",
    )
