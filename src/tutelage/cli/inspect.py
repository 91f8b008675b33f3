"""`tutelage inspect RECIPE`: what will be trained on, token by token, and what looks wrong."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer

from tutelage.cli import console
from tutelage.cli.options import Data, RecipeFile, Sets

if TYPE_CHECKING:
    from tutelage.report.inspection import Finding, InspectedRow, InspectedTask, Inspection, Token

SHORT = 240  # characters of a text that stands in words beside its tokens
PAIRS = 3  # of repeated rows or leaks
HASH = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
LABEL = 12  # the width of the names at the left


class Signs(NamedTuple):
    """What stands for a space, a line break and a tab inside a token, and between two tokens."""

    space: str
    line: str
    tab: str
    border: str


PRETTY = Signs("\u00b7", "\u21b5", "\u21e5", "\u2502")
PLAIN = Signs("_", "\\n", "\\t", "|")


def inspect(
    recipe: RecipeFile,
    rows: Annotated[
        int, typer.Option("--rows", metavar="N", min=0, help="How many rows of each task to show.")
    ] = 3,
    row: Annotated[
        list[str] | None,
        typer.Option(
            "--row",
            metavar="ID",
            help="Show this row: file:line, its own field id, or TASK:ID. May be repeated.",
        ),
    ] = None,
    split: Annotated[
        Literal["train", "validation", "test"], typer.Option("--split", help="Which rows --rows shows.")
    ] = "train",
    look_at_test: Annotated[
        bool,
        typer.Option("--look-at-test", help="Let test rows be shown before the tuning has ended; recorded."),
    ] = False,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write it as a page.")] = None,
    data: Data = None,
    sets: Sets = None,
    json: Annotated[bool, console.Json] = False,
) -> None:
    """Show what will be trained on: text, tokens, what is learned, lengths, truncation, overlap. Warn of silent mistakes."""
    from tutelage.config import load
    from tutelage.core import outputs
    from tutelage.inspection.inspect import RowSelection
    from tutelage.inspection.inspect import inspect as look

    if html is not None:
        outputs.Page(html, [recipe]).check()
    selection = RowSelection(names=row or (), count=rows, split=split, early=look_at_test)
    found = look(load(recipe, sets=sets or ()), data_dir=data, selection=selection, say=console.say)
    if html is not None:
        from tutelage.report.inspection_page import render_inspection

        outputs.Page(html, [recipe]).write(render_inspection(found))
    if json:
        console.print_json(found.as_json())
        return
    _show(found)
    if html is not None:
        console.show(f"page: {html}")


def _show(found: Inspection) -> None:
    for task in found.tasks:
        _show_task(task)
    _heading(found.recipe)
    _fact("model", found.model)
    _fact("template", f"{found.chat_template or 'none'}; at most {found.max_length:,} tokens a row")
    _fact(
        "an epoch",
        f"{found.rows_per_epoch:,} rows, {found.tokens_per_epoch:,} tokens, "
        f"{found.loss_tokens_per_epoch:,} of them learned; {found.epochs:g} epochs",
    )
    _fact("warnings", str(len(found.warnings) or "none"))
    for one in found.findings:
        _show_finding(one)


def _show_task(task: InspectedTask) -> None:
    facts = [
        ("rows from", _source(task.source)),
        ("splits", _counts({**task.splits, "in none": task.unused})),
        ("template", task.template),
        ("prompt", _short(task.prompt)),
        ("completion", _short(task.completion)),
        ("an epoch", _epoch(task)),
        ("repeated", _pairs(task.repeats, "row", "first", "none says the same as an earlier one")),
        ("nearly", _counts(task.near_duplicates) or "none is nearly the same as an earlier one"),
        ("leaks", _pairs(task.leaks, "test", "train", "no test row stands in training")),
    ]
    _heading(task.name)
    for name, value in facts:
        _fact(name, value)
    lines = [
        [name, side, *(f"{told[side][key]:,}" for key in ("min", "median", "p95", "max"))]
        + ([f"{told['truncated']:,}", f"{told['dropped_tokens']:,}"] if side == "prompt" else ["", ""])
        for name, told in task.tokens.items()
        for side in ("prompt", "completion")
        if told.get(side)
    ]
    columns = ["tokens of", "", "min", "median", "p95", "max", "rows cut", "tokens cut"]
    console.show_table(columns, lines, right=tuple(range(2, 8)))
    test = task.tokens["test"]
    if test["truncated"]:
        console.show(
            f"{test['truncated']:,} of {test['rows']:,} test prompts are cut to leave room for the answer"
        )
    for row in task.rows:
        _show_row(row)


def _epoch(task: InspectedTask) -> str:
    from tutelage.report.inspection import share

    if not task.times:
        return "none of its rows: it is held out, and only asked"
    often = (
        "" if abs(task.times - 1) < 1e-9 else f"{task.rows_per_epoch:,} rows, each {task.times:.2f} times; "
    )
    return f"{often}{task.tokens_per_epoch:,} tokens, {share(task.loss_share)} of them learned"


def _source(told: Mapping[str, Any]) -> str:
    """Where rows come from, long hashes by their beginning."""
    said = {key: str(value) for key, value in told.items() if value not in (None, "", [], {})}
    return ", ".join(f"{key} {value[:12] if HASH.fullmatch(value) else value}" for key, value in said.items())


def _counts(told: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in told.items() if count)


def _pairs(pairs: Sequence[Mapping[str, Any]], one: str, other: str, none: str) -> str:
    if not pairs:
        return none
    shown = "; ".join(
        f"{pair[one]} {'nearly ' if 'similarity' in pair else ''}as {pair[other]}" for pair in pairs[:PAIRS]
    )
    return f"{len(pairs):,}: {shown}" + ("; ..." if len(pairs) > PAIRS else "")


def _show_row(row: InspectedRow) -> None:
    from tutelage.report.inspection import token_runs

    learned = f"{row.learned:,} of {len(row.tokens):,} tokens learned"
    if row.split == "test":
        learned = f"{len(row.tokens):,} tokens read; the answer is only compared"
    _heading(f"{row.task} {row.id}", f" ({row.split}) {learned}")
    _fact("from", row.origin)
    _fact("prompt", _short(row.prompt))
    _fact("completion", _short(row.completion))
    for note in row.notes:
        _fact("note", note)
    if row.cut:
        _fact("cut", f"{row.cut.tokens:,} tokens at the {row.cut.side} of the field {row.cut.field}:")
        _fact("", _short(row.cut.text, both_ends=True))
    kinds = {"source": "encoder", "read": "read", "learn": "learned"}
    for kind, tokens in token_runs(row):
        _show_tokens(kinds[kind], tokens)


def _show_tokens(label: str, tokens: Sequence[Token]) -> None:
    """Tokens with their borders: learned ones bold and coloured, or in brackets where there is no colour."""
    from rich.text import Text

    out = console.console()
    signs = PRETTY if _can_write(PRETTY, out.encoding) else PLAIN
    coloured = out.is_terminal and not out.no_color and out.color_system is not None
    lines = [Text(f"{label:<{LABEL}}")]
    for token in tokens:
        text = _spelled(token.text, signs, out.encoding)
        boxed = token.learned and not coloured
        piece = Text(f"[{text}]" if boxed else text, style=_style(token))
        if lines[-1].cell_len > LABEL:
            if lines[-1].cell_len + piece.cell_len >= out.width:
                lines.append(Text(" " * LABEL))
            elif not boxed:
                lines[-1].append(signs.border, style="bright_black")
        lines[-1].append_text(piece)
        if token.text.endswith("\n"):
            lines.append(Text(" " * LABEL))
    for line in lines:
        if line.cell_len > LABEL:
            out.print(line)


def _spelled(text: str, signs: Signs, encoding: str) -> str:
    """A token's text in one line in which spaces are seen."""
    from tutelage.report.inspection import visible

    named = visible(text).replace(" ", signs.space).replace("\n", signs.line).replace("\t", signs.tab)
    return console.plain(named).encode(encoding, "replace").decode(encoding)


def _style(token: Token) -> str:
    return " ".join(
        ("bold" if token.learned else "", "magenta" if token.special else "green" if token.learned else "")
    )


def _can_write(signs: Signs, encoding: str) -> bool:
    try:
        "".join(signs).encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _show_finding(one: Finding) -> None:
    _heading(f"{one.level}: {one.problem}", style="bold yellow" if one.level == "warning" else "bold")
    for name in ("where", "found", "expected", "why", "fix"):
        _fact(name, getattr(one, name))
    if one.rows:
        _fact("look", " ".join(f"--row {shlex.quote(row)}" for row in one.rows))


def _heading(text: str, more: str = "", *, style: str = "bold") -> None:
    from rich.text import Text

    console.show()
    out = console.console()
    named = console.plain(text).encode(out.encoding, "replace").decode(out.encoding)
    out.print(Text.assemble((named, style), console.plain(more)), soft_wrap=True)


def _fact(name: str, value: str) -> None:
    """A name and its text, further lines below the first."""
    console.show(f"{name:<{LABEL}}" + value.replace("\n", "\n" + " " * LABEL))


def _short(text: str, *, both_ends: bool = False) -> str:
    """A text in one line; of a longer one its beginning, or both its ends, and how long it is."""
    if len(text) <= SHORT:
        return _line(text)
    size = f"({len(text):,} characters)"
    half = SHORT // 2
    if both_ends:
        return f"{_line(text[:half])} ... {_line(text[-half:])} {size}"
    return f"{_line(text[:SHORT])} ... {size}"


def _line(text: str) -> str:
    from tutelage.report.inspection import visible

    return visible(" ".join(text.split()))
