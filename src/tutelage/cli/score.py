"""`tutelage score METRIC[,METRIC] FILE`: predictions to scores with intervals, alone or against another model's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tutelage.cli import console
from tutelage.core import outputs
from tutelage.core.errors import InputError

if TYPE_CHECKING:
    from tutelage.scoring.explain import RowExplanation
    from tutelage.scoring.predictions import Predictions
    from tutelage.scoring.scorecard import Scorecard, Scores


_FILES = {".jsonl", ".json", ".csv", ".tsv", ".txt", ".gz"}
"""Endings of a file that was named where the metrics go."""


def score(
    metrics: Annotated[
        str,
        typer.Argument(
            metavar="METRIC[,METRIC]", help="What to score by, such as rouge or f1:average=micro."
        ),
    ],
    file: Annotated[
        Path | None,
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
            "--references", metavar="F", help="References as text, one a line; repeat it for several of each."
        ),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option("--against", metavar="FILE", help="Another model's predictions of the same items."),
    ] = None,
    per_item: Annotated[bool, typer.Option("--per-item", help="Each row's own value too.")] = False,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain", help="Show how the scores come about, on the rows with the lowest first metric."
        ),
    ] = False,
    rows: Annotated[int, typer.Option("--rows", metavar="N", min=1, help="How many rows to explain.")] = 5,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write the explanation as a page.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the draws of intervals and tests.", min=0)] = 0,
    json: Annotated[bool, console.Json] = False,
) -> None:
    """Score predictions. Every score has its number of items, a 95 % interval and a signature."""
    from tutelage.scoring import scorecard

    asked = [name.strip() for name in metrics.split(",") if name.strip()]
    if not asked:
        raise InputError(
            "no metric is named",
            where="score",
            found=metrics,
            expected="names such as rouge,bleu or accuracy",
        )
    if explain or html is not None:
        from tutelage.scoring.explain import explainable_metrics

        explainable_metrics(asked)
    if file is None and predictions is None and Path(metrics).suffix in _FILES:
        raise InputError(
            "a file stands where the metrics are named",
            where="score",
            found=metrics,
            expected="METRICS FILE",
            fix=f"name the metrics first: `tutelage score rougeL {metrics}`",
        )
    read = [path for path in (file, predictions, *(references or ()), against) if path is not None]
    if html is not None:
        outputs.Page(html, read).check()
    given = _read(file, predictions, references or [])
    other = None if against is None else _read_like(against, file, references or [])
    found = scorecard.score(asked, given, against=other, seed=seed)
    why = _explained(asked, found, rows) if explain or html is not None else ()
    if html is not None:
        from tutelage.report.explanation_page import render_explanations

        outputs.Page(html, read).write(render_explanations(why))
    if json:
        told = found.as_json(per_item=per_item)
        console.print_json({**told, "explained": [one.as_json() for one in why]} if explain else told)
        return
    _show(found, per_item=per_item)
    if explain:
        from tutelage.scoring.explain import explanation_text

        console.show(explanation_text(why))
    if html is not None:
        console.show(f"explanation: {html}")


def _explained(asked: list[str], found: Scorecard, count: int) -> tuple[RowExplanation, ...]:
    """How the whole came about where a metric is one of the whole, and the rows with the lowest value of the first."""
    from tutelage.scoring.explain import explain_corpus_metrics, explain_rows

    predictions = found.predictions
    first = next(iter(found.side.scores.values()))
    order = sorted(zip(first.items.tolist(), first.rows, strict=True))
    if not first.higher_is_better:
        order.reverse()
    chosen = [row for _, row in order[:count]]
    return explain_corpus_metrics(asked, predictions.rows) + explain_rows(
        asked,
        [predictions.rows[row] for row in chosen],
        [predictions.lines[row] for row in chosen],
        shown=predictions.shown,
    )


def _read(file: Path | None, predictions: Path | None, references: list[Path]) -> Predictions:
    from tutelage.scoring import predictions as reading

    texts = predictions is not None or bool(references)
    if (file is None) is not texts:
        raise InputError(
            "the predictions come from one file of rows, or from text files",
            where="score",
            found="both" if texts else "neither",
            expected="FILE, or --predictions F with --references F",
            fix="leave one of them away" if texts else "name a .jsonl file behind the metrics",
        )
    if file is not None:
        return reading.read(file)
    if predictions is None or not references:
        raise InputError(
            "text files of predictions and references go together",
            where="score",
            found="only --references" if predictions is None else "only --predictions",
            expected="--predictions F --references F",
        )
    return reading.read_texts(predictions, references)


def _read_like(against: Path, file: Path | None, references: list[Path]) -> Predictions:
    """The other model's predictions: rows when the first came as rows, else texts for the same references."""
    from tutelage.scoring import predictions as reading

    return reading.read(against) if file is not None else reading.read_texts(against, references)


def _show(found: Scorecard, *, per_item: bool) -> None:
    rows = _lines("", found.side.scores)
    for task, scores in found.side.by_task.items():
        rows += _lines(task, scores)
    named = bool(found.side.by_task)
    columns = ["task", "metric", "value", "95 % interval", "n"]
    cut = 0 if named else 1
    console.show_table(columns[cut:], [row[cut:] for row in rows], right=(2 - cut, 3 - cut, 4 - cut))
    if found.against is not None:
        _show_difference(found)
    if per_item:
        metrics = list(found.side.scores)
        lines = [
            [str(item["line"]), *("" if item[m] is None else f"{item[m]:.4f}" for m in metrics)]
            for item in found.items()
        ]
        console.show_table(["line", *metrics], lines, right=tuple(range(len(metrics) + 1)))
    for scored in found.side.scores.values():
        console.show(f"signature: {scored.score.signature}")


def _lines(task: str, scores: Scores) -> list[list[str]]:
    return [
        [
            task,
            metric,
            _figure(one.score.value),
            f"{_figure(one.score.low)} to {_figure(one.score.high)}",
            str(one.score.n),
        ]
        for metric, one in scores.items()
    ]


def _show_difference(found: Scorecard) -> None:
    assert found.against is not None
    rows = [
        [
            metric,
            _figure(found.against.scores[metric].score.value),
            _figure(found.side.scores[metric].score.value),
            f"{one.value:+.4f} [{one.low:+.4f}, {one.high:+.4f}]",
            f"{one.p:.4f}",
            "" if one.p_adjusted is None else f"{one.p_adjusted:.4f}",
            "" if one.minimum_detectable_effect is None else f"{one.minimum_detectable_effect:.4f}",
        ]
        for metric, one in found.difference.items()
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
    for test in dict.fromkeys(one.test for one in found.difference.values()):
        named = ", ".join(metric for metric, one in found.difference.items() if one.test == test)
        console.show(f"p of {named}: {test}")


def _figure(value: float) -> str:
    return "none" if value != value else f"{value:.4f}"  # noqa: PLR0124 - NaN is the one number that differs from itself
