"""`tutelage score METRIC[,METRIC] FILE`: scores a file of predictions, alone or against another model's."""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from tutelage.cli import console
from tutelage.comparison import wording
from tutelage.core import outputs
from tutelage.core.errors import InputError
from tutelage.metrics import ScoreDifference
from tutelage.metrics import metric_names as all_metric_names
from tutelage.scoring.explain import (
    RowExplanation,
    explain_corpus_metrics,
    explain_rows,
    explainable_metrics,
    explanation_text,
)
from tutelage.scoring.predictions import Predictions, read_predictions, read_text_files
from tutelage.scoring.scorecard import Scorecard, Scores, score_predictions

_DATA_SUFFIXES = {".jsonl", ".json", ".csv", ".tsv", ".txt", ".gz"}
_FIELDS = {"prediction", "references", "target", "task", "cluster"}
_METRIC, _FILE, _FIELD = "a metric's name", "a file", "a field, which is read without being named"


def score(
    metrics: Annotated[
        str,
        typer.Argument(
            metavar="METRIC[,METRIC]", help="What to score by, such as rouge or f1:average=micro."
        ),
    ],
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILE", help="Rows as .jsonl or .jsonl.gz: prediction, references.", show_default=False
        ),
    ] = None,
    predictions: Annotated[
        Path | None, typer.Option("--predictions", metavar="F", help="Predictions as text, one a line.")
    ] = None,
    references: Annotated[
        list[Path] | None,
        typer.Option(
            "--references",
            metavar="F",
            help="References as text, one a line; may be repeated for several references.",
        ),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option("--against", metavar="FILE", help="Another model's predictions of the same items."),
    ] = None,
    per_item: Annotated[bool, typer.Option("--per-item", help="Also show the value of each row.")] = False,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Explain the scores on the rows with the worst first metric."),
    ] = False,
    rows: Annotated[int, typer.Option("--rows", metavar="N", min=1, help="How many rows to explain.")] = 5,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write the explanation as a page.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of intervals and tests.", min=0)] = 0,
    json: Annotated[bool, console.Json] = False,
) -> None:
    """Score predictions. Every score comes with its number of items, a 95 % interval and a signature."""
    metric_names = [name.strip() for name in metrics.split(",") if name.strip()]
    if not metric_names:
        raise InputError(
            "no metric is named",
            where="score",
            found=metrics,
            expected="names such as rouge,bleu or accuracy",
        )
    options = [("--predictions", predictions), *(("--references", path) for path in references or [])]
    options.append(("--against", against))
    _check_places(metrics, files or [], [(option, path) for option, path in options if path is not None])
    file = files[0] if files else None
    if explain or html is not None:
        explainable_metrics(metric_names)
    inputs = [path for path in (file, predictions, *(references or ()), against) if path is not None]
    if html is not None:
        outputs.Page(html, inputs).check()
    scored = _read(file, predictions, references or [])
    other = None if against is None else _read_like(against, file, references or [])
    card = score_predictions(metric_names, scored, against=other, seed=seed)
    explanations = _explain(metric_names, card, rows) if explain or html is not None else ()
    if html is not None:
        from tutelage.report.explanation_page import render_explanations

        outputs.Page(html, inputs).write(render_explanations(explanations))
    if json:
        document = card.as_json(per_item=per_item)
        if explain:
            document["explained"] = [explanation.as_json() for explanation in explanations]
        console.print_json(document)
        return
    _show(card, per_item=per_item)
    if explain:
        console.show(explanation_text(explanations))
    if html is not None:
        console.show(f"explanation: {html}")


def _check_places(metrics: str, files: Sequence[Path], options: Sequence[tuple[str, Path]]) -> None:
    """Check that the metrics come first, then one file at most, and that options name files.

    Raises:
        InputError: a metric, a file or a field stands in the place of another; with the right command.
    """
    places = [
        ("", metrics),
        *(("", str(file)) for file in files),
        *((name, str(file)) for name, file in options),
    ]
    kinds = [_kind(word, can_be_file=index > 0) for index, (_, word) in enumerate(places)]
    if kinds[0] not in (_FILE, _FIELD) and len(files) < 2 and not {_METRIC, _FIELD} & set(kinds[1:]):
        return
    words = [(option, word, kind) for (option, word), kind in zip(places, kinds, strict=True)]
    names = [word for _, word, kind in words if kind == _METRIC] or ["rougeL" if kinds[0] else metrics]
    rows = [word for option, word, kind in words if kind == _FILE and not option]
    command = ["tutelage", "score", ",".join(dict.fromkeys(names))]
    if "--predictions" not in dict(options):
        command.append(rows[0] if rows else "FILE")
    for option, word, kind in words[1 + len(files) :]:
        command += [option, "FILE" if kind in (_METRIC, _FIELD) else word]
    if len(rows) > 1 and not options:
        command += ["--against", rows[1]]
    raise InputError(
        "the metrics come first, joined by commas, then one file",
        where="score",
        found=", ".join(f"{option} {word} ({kind or 'not known'})".strip() for option, word, kind in words),
        expected="METRIC[,METRIC] FILE",
        fix=f"`{shlex.join(command)}`",
    )


def _kind(word: str, *, can_be_file: bool) -> str | None:
    """What a word of the command line names; None when that is not known."""
    is_there = os.access(word, os.F_OK)  # False too of what is too long for a file's name
    names = [metric.partition(":")[0].strip() for metric in word.split(",")]
    if not (can_be_file and is_there) and all(name in all_metric_names() for name in names):
        return _METRIC
    if is_there or Path(word).suffix in _DATA_SUFFIXES:
        return _FILE
    return _FIELD if word in _FIELDS else None


def _explain(metric_names: list[str], card: Scorecard, count: int) -> tuple[RowExplanation, ...]:
    """Explain corpus metrics, and the rows with the worst value of the first metric."""
    predictions = card.predictions
    first = next(iter(card.side.scores.values()))
    order = sorted(zip(first.items.tolist(), first.rows, strict=True))
    if not first.higher_is_better:
        order.reverse()
    worst = [row for _, row in order[:count]]
    return explain_corpus_metrics(metric_names, predictions.rows) + explain_rows(
        metric_names,
        [predictions.rows[row] for row in worst],
        [predictions.lines[row] for row in worst],
        shown=predictions.shown,
    )


def _read(file: Path | None, predictions: Path | None, references: list[Path]) -> Predictions:
    texts = predictions is not None or bool(references)
    if (file is None) is not texts:
        raise InputError(
            "the predictions come from one file of rows, or from text files",
            where="score",
            found="both" if texts else "neither",
            expected="FILE, or --predictions F with --references F",
            fix="remove one of them" if texts else "name a .jsonl file behind the metrics",
        )
    if file is not None:
        return read_predictions(file)
    if predictions is None or not references:
        raise InputError(
            "text files of predictions and references go together",
            where="score",
            found="only --references" if predictions is None else "only --predictions",
            expected="--predictions F --references F",
        )
    return read_text_files(predictions, references)


def _read_like(against: Path, file: Path | None, references: list[Path]) -> Predictions:
    """The other model's predictions: rows if the first ones are rows, else texts for the same references."""
    return read_predictions(against) if file is not None else read_text_files(against, references)


def _show(card: Scorecard, *, per_item: bool) -> None:
    rows = _lines("", card.side.scores)
    for task, scores in card.side.by_task.items():
        rows += _lines(task, scores)
    columns = ["task", "metric", "value", "95 % interval", "n"]
    if not card.side.by_task:
        columns, rows = columns[1:], [row[1:] for row in rows]
    console.show_table(columns, rows, right=tuple(range(len(columns) - 3, len(columns))))
    if card.against is not None:
        _show_difference(card, card.against.scores)
    if per_item:
        metrics = list(card.side.scores)
        lines = [
            [
                str(item["line"]),
                *("" if item[metric] is None else _number(metric, item[metric]) for metric in metrics),
            ]
            for item in card.items()
        ]
        console.show_table(["line", *metrics], lines, right=tuple(range(len(metrics) + 1)))
    for note in card.notes():
        console.show(f"warning: {note}")
    for item_scores in card.side.scores.values():
        console.show(f"signature: {item_scores.score.signature}")


def _lines(task: str, scores: Scores) -> list[list[str]]:
    by_metric = {metric: item_scores.score for metric, item_scores in scores.items()}
    return [
        [
            task,
            wording.metric_name(metric),
            _number(metric, score.value),
            f"{_number(metric, score.low)} to {_number(metric, score.high)}",
            str(score.n),
        ]
        for metric, score in by_metric.items()
    ]


def _show_difference(card: Scorecard, against: Scores) -> None:
    rows = [
        [
            wording.metric_name(metric),
            _number(metric, against[metric].score.value),
            _number(metric, card.side.scores[metric].score.value),
            _difference(metric, difference),
            *("" if p is None else wording.format_p(p) for p in (difference.p, difference.p_adjusted)),
            ""
            if difference.minimum_detectable_effect is None
            else _number(metric, difference.minimum_detectable_effect),
        ]
        for metric, difference in card.difference.items()
    ]
    columns = [
        "metric",
        "against",
        "file",
        "difference [95 % interval]",
        "p",
        "adjusted",
        "minimum detectable effect",
    ]
    console.show_table(columns, rows, right=tuple(range(1, 7)))
    for test in dict.fromkeys(difference.test for difference in card.difference.values()):
        metrics = [metric for metric, difference in card.difference.items() if difference.test == test]
        console.show(f"p of {', '.join(metrics)}: {test}")


def _difference(metric: str, difference: ScoreDifference) -> str:
    value, low, high = (
        _number(metric, end, sign=True) for end in (difference.value, difference.low, difference.high)
    )
    return f"{value} [{low}, {high}]"


def _number(metric: str, value: float, *, sign: bool = False) -> str:
    return "none" if math.isnan(value) else wording.format_score(metric, value, sign=sign, decimals=2)
