"""`tutelage inspect RECIPE`: shows what will be trained on, token by token, and likely mistakes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import typer
from rich.text import Text

from tutelage.cli import console
from tutelage.cli.options import Data, RecipeFile, Sets
from tutelage.report.inspection import (
    Finding,
    InspectedRow,
    InspectedTask,
    Inspection,
    Token,
    share,
    token_runs,
    visible,
)

MAX_CHARACTERS = 240  # of a text that is shown beside its tokens
MAX_PAIRS = 3  # of repeated rows or leaks
HASH = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
LABEL_WIDTH = 12
STYLES = {"error": "bold red", "warning": "bold yellow", "note": "bold"}
COLUMN_USES = {"split": "split by", "system": "system", "history": "history", "unused": "not used"}
"""What is written before the names of columns that the template does not read."""


class TokenMarks(NamedTuple):
    """The marks for a space, a line break and a tab inside a token, and for the border between two tokens."""

    space: str
    line: str
    tab: str
    border: str


UNICODE_MARKS = TokenMarks("\u00b7", "\u21b5", "\u21e5", "\u2502")
ASCII_MARKS = TokenMarks("_", "\\n", "\\t", "|")


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
            help="Show this row: file:line, the value of its field id, or TASK:ID. May be repeated.",
        ),
    ] = None,
    split: Annotated[
        Literal["train", "validation", "test"],
        typer.Option("--split", help="From which split --rows takes rows."),
    ] = "train",
    look_at_test: Annotated[
        bool,
        typer.Option("--look-at-test", help="Show test rows before the tuning has ended; this is recorded."),
    ] = False,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Also write a page.")] = None,
    data: Data = None,
    sets: Sets = None,
    json: Annotated[bool, console.Json] = False,
) -> None:
    """Show what will be trained on: text, tokens, loss mask, lengths, truncation, overlap. Warn of silent mistakes."""
    from tutelage.config import load
    from tutelage.core import outputs
    from tutelage.core.errors import InputError
    from tutelage.inspection.inspect import RowSelection
    from tutelage.inspection.inspect import inspect as inspect_recipe
    from tutelage.inspection.train_use_parity import refuse
    from tutelage.job.preflight import check_inspected

    if html is not None:
        outputs.Page(html, [recipe]).check()
    selection = RowSelection(names=row or (), count=rows, split=split, early=look_at_test)
    inspection = inspect_recipe(
        load(recipe, sets=sets or ()),
        data_dir=data,
        selection=selection,
        say=console.say,
        run_check=check_inspected,
    )
    if html is not None:
        from tutelage.report.inspection_page import render_inspection

        outputs.Page(html, [recipe]).write(render_inspection(inspection))
    if json:
        console.print_json(inspection.as_json())
        if inspection.errors:  # they stand in the document
            raise typer.Exit(InputError.exit_code)
        return
    _show(inspection)
    if html is not None:
        console.show(f"page: {html}")
    refuse(inspection.errors, title="no run starts")


def _show(inspection: Inspection) -> None:
    for task in inspection.tasks:
        _show_task(task)
    _heading(inspection.recipe)
    _fact("model", inspection.model)
    _fact("template", f"{inspection.chat_template or 'none'}; at most {inspection.max_length:,} tokens a row")
    _fact(
        "an epoch",
        f"{inspection.rows_per_epoch:,} rows, {inspection.tokens_per_epoch:,} tokens, "
        f"{inspection.loss_tokens_per_epoch:,} of them learned; {inspection.epochs:g} epochs",
    )
    if inspection.errors:
        _fact("errors", str(len(inspection.errors)))
    _fact("warnings", str(len(inspection.warnings) or "none"))
    for finding in inspection.findings:
        _show_finding(finding)


def _show_task(task: InspectedTask) -> None:
    facts = [
        ("rows from", _source(task.source)),
        ("splits", _counts({**task.splits, "in none": task.unused})),
        ("template", task.template),
        ("prompt", _short(task.prompt)),
        ("completion", _short(task.completion)),
        ("an epoch", _epoch(task)),
        ("repeated", _pairs(task.repeats, "row", "first", "no row repeats an earlier one")),
        ("similar", _counts(task.near_duplicates) or "no row is a near-duplicate of an earlier one"),
        ("leaks", _pairs(task.leaks, "test", "train", "no test row is in training")),
    ]
    facts[2:2] = [(COLUMN_USES[use], ", ".join(names)) for use, names in task.columns.items()]
    _heading(task.name)
    for name, value in facts:
        _fact(name, value)
    lines = [
        [split, side, *(f"{lengths[side][key]:,}" for key in ("min", "median", "p95", "max"))]
        + ([f"{lengths['truncated']:,}", f"{lengths['dropped_tokens']:,}"] if side == "prompt" else ["", ""])
        for split, lengths in task.tokens.items()
        for side in ("prompt", "completion")
        if lengths.get(side)
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
    if not task.times:
        return "none of its rows: the task is held out"
    repeated = abs(task.times - 1) >= 1e-9
    repeats = f"{task.rows_per_epoch:,} rows, each {task.times:.2f} times; " if repeated else ""
    return f"{repeats}{task.tokens_per_epoch:,} tokens, {share(task.loss_share)} of them learned"


def _source(source: Mapping[str, Any]) -> str:
    """Where rows come from; hashes are shortened."""
    texts = {key: str(value) for key, value in source.items() if value not in (None, "", [], {})}
    return ", ".join(f"{key} {text[:12] if HASH.fullmatch(text) else text}" for key, text in texts.items())


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items() if count)


def _pairs(pairs: Sequence[Mapping[str, Any]], row: str, original: str, none: str) -> str:
    if not pairs:
        return none
    shown = "; ".join(
        f"{pair[row]} {'nearly ' if 'similarity' in pair else ''}as {pair[original]}"
        for pair in pairs[:MAX_PAIRS]
    )
    return f"{len(pairs):,}: {shown}" + ("; ..." if len(pairs) > MAX_PAIRS else "")


def _show_row(row: InspectedRow) -> None:
    learned = (
        f"{len(row.tokens):,} tokens read; the answer is only compared"
        if row.split == "test"
        else f"{row.learned:,} of {len(row.tokens):,} tokens learned"
    )
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
    """Show tokens with their borders: learned ones bold and coloured, or in brackets without colours."""
    out = console.console()
    all_marks = "".join(UNICODE_MARKS)
    marks = UNICODE_MARKS if console.printable(all_marks, out.encoding) == all_marks else ASCII_MARKS
    coloured = out.is_terminal and not out.no_color and out.color_system is not None
    lines = [Text(f"{label:<{LABEL_WIDTH}}")]
    for token in tokens:
        text = _visible_text(token.text, marks, out.encoding)
        boxed = token.learned and not coloured
        piece = Text(f"[{text}]" if boxed else text, style=_style(token))
        if lines[-1].cell_len > LABEL_WIDTH:
            if lines[-1].cell_len + piece.cell_len >= out.width:
                lines.append(Text(" " * LABEL_WIDTH))
            elif not boxed:
                lines[-1].append(marks.border, style="bright_black")
        lines[-1].append_text(piece)
        if token.text.endswith("\n"):
            lines.append(Text(" " * LABEL_WIDTH))
    for line in lines:
        if line.cell_len > LABEL_WIDTH:
            out.print(line)


def _visible_text(text: str, marks: TokenMarks, encoding: str) -> str:
    """A token's text in one line, with visible spaces."""
    text = visible(text).replace(" ", marks.space).replace("\n", marks.line).replace("\t", marks.tab)
    return console.printable(text, encoding)


def _style(token: Token) -> str:
    return " ".join(
        ("bold" if token.learned else "", "magenta" if token.special else "green" if token.learned else "")
    )


def _show_finding(finding: Finding) -> None:
    _heading(f"{finding.level}: {finding.problem}", style=STYLES[finding.level])
    for name in ("where", "found", "expected", "why", "fix"):
        if text := getattr(finding, name):
            _fact(name, text)
    if finding.rows:
        _fact("look", " ".join(f"--row {shlex.quote(row)}" for row in finding.rows))


def _heading(text: str, detail: str = "", *, style: str = "bold") -> None:
    console.show()
    out = console.console()
    out.print(
        Text.assemble((console.printable(text, out.encoding), style), console.plain(detail)), soft_wrap=True
    )


def _fact(name: str, value: str) -> None:
    """Show a name and its text, further lines below the first."""
    console.show(f"{name:<{LABEL_WIDTH}}" + value.replace("\n", "\n" + " " * LABEL_WIDTH))


def _short(text: str, *, both_ends: bool = False) -> str:
    """A text in one line; of a long one its beginning, or both ends, and its length."""
    if len(text) <= MAX_CHARACTERS:
        return _line(text)
    size = f"({len(text):,} characters)"
    if both_ends:
        half = MAX_CHARACTERS // 2
        return f"{_line(text[:half])} ... {_line(text[-half:])} {size}"
    return f"{_line(text[:MAX_CHARACTERS])} ... {size}"


def _line(text: str) -> str:
    return visible(" ".join(text.split()))
