"""Metrics and rows to explanations of their values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from tutelage.core.errors import InputError
from tutelage.metrics.answers import normalise_squad
from tutelage.metrics.catalogue import MetricSpec, catalogue, expand, parse
from tutelage.metrics.score import Row
from tutelage.scoring.explain import answers
from tutelage.scoring.explain.bleu import explain_bleu, explain_bleu_of_corpus
from tutelage.scoring.explain.explanation import BleuExplanation, Explanation, OverlapExplanation
from tutelage.scoring.explain.instructions import explain_instructions
from tutelage.scoring.explain.phrasing import MEASURES, clean
from tutelage.scoring.explain.rouge import explain_rouge
from tutelage.scoring.row_errors import at_line

_EXPLAINERS: Mapping[str, Callable[[MetricSpec, Row], Explanation]] = {
    "rouge": explain_rouge,
    "bleu": explain_bleu,
    "sentence_bleu": explain_bleu,
    "exact": partial(answers.explain_equality, form="without the space around it", normalise=str.strip),
    "squad_em": partial(
        answers.explain_equality,
        form="lower case, without punctuation and articles",
        normalise=normalise_squad,
    ),
    "token_f1": answers.explain_token_f1,
    "bbh": answers.explain_bbh,
    "gsm8k": answers.explain_gsm8k,
    "prompt_level": explain_instructions,
    "instruction_level": explain_instructions,
    "states_fact": answers.explain_facts,
    "rightly_refuses": answers.explain_facts,
    "wrongly_refuses": answers.explain_facts,
}


@dataclass(frozen=True, slots=True)
class RowExplanation:
    """An explanation with the line and task of its row; `line` is None for all rows together."""

    line: int | None
    task: str
    explanation: Explanation

    @property
    def title(self) -> str:
        """The row's line and task in words."""
        if self.line is None:
            rows = self.explanation.rows if isinstance(self.explanation, BleuExplanation) else 1
            return f"All {rows} rows together" if rows != 1 else "The one row as a corpus"
        return f"Line {self.line}" + (f" ({clean(self.task)})" if self.task else "")

    @property
    def of(self) -> str:
        """What the value is of, where the metric's name does not say it."""
        explanation = self.explanation
        if isinstance(explanation, OverlapExplanation):
            return MEASURES[explanation.measure]
        corpus_metric = not explanation.metric.startswith("sentence")
        alone = isinstance(explanation, BleuExplanation) and self.line is not None and corpus_metric
        return "this row alone" if alone else ""

    def as_json(self) -> dict[str, Any]:
        """The explanation for programs."""
        return {"line": self.line, "task": self.task, **self.explanation.as_json()}


def explain_rows(
    metrics: Sequence[str], rows: Sequence[Row], lines: Sequence[int] | None = None, *, shown: str = "rows"
) -> tuple[RowExplanation, ...]:
    """Explain rows, each by every metric.

    Args:
        metrics: names, with options as `name:key=value`; a group's name stands for its members.
        rows: the rows.
        lines: each row's line in its file; from 1 on when left out.
        shown: the file's name, for errors.

    Raises:
        InputError: a metric does not exist, has no explanation or cannot read a row.
    """
    specs = explainable_metrics(metrics)
    explanations = []
    for line, row in zip(lines or range(1, len(rows) + 1), rows, strict=True):
        for spec in specs:
            try:
                explanations.append(RowExplanation(line, row.task, _explain(spec, row)))
            except InputError as error:
                raise at_line(error, shown, [line]) from None
    return tuple(explanations)


def explain_corpus_metrics(metrics: Sequence[str], rows: Sequence[Row]) -> tuple[RowExplanation, ...]:
    """Explain the metrics among these that are no mean over rows (corpus BLEU), on all rows together."""
    specs = [spec for spec in explainable_metrics(metrics) if spec.entry.implementation == "bleu"]
    return tuple(RowExplanation(None, "", explain_bleu_of_corpus(spec, rows)) for spec in specs)


def explain(metric: str, row: Row) -> Explanation:
    """Explain why a row has its value.

    Args:
        metric: one metric, with options as `name:key=value`.
        row: the row.

    Returns:
        The explanation; its value is the one that `score_rows` gives for the row as an item.

    Raises:
        InputError: the metric does not exist, has no explanation, or cannot read the row (where: `row 1`).
    """
    specs = explainable_metrics([metric])
    if len(specs) > 1:
        raise InputError(
            "this name stands for several metrics",
            where=f"metric {metric!r}",
            expected="one of " + ", ".join(spec.text for spec in specs),
        )
    return _explain(specs[0], row)


def explainable_metrics(metrics: Sequence[str]) -> list[MetricSpec]:
    """The metrics that names stand for, all of which must have explanations.

    Raises:
        InputError: a metric does not exist or has no explanation; those that have one are named.
    """
    specs = [parse(text) for text in expand(metrics)]
    for spec in specs:
        if spec.entry.implementation not in _EXPLAINERS:
            explainable = [name for name, entry in catalogue().items() if entry.implementation in _EXPLAINERS]
            raise InputError(
                "this metric has no explanation",
                where=f"metric {spec.text!r}",
                found=spec.entry.name,
                expected=f"one of {', '.join(explainable)}",
                fix="ask for the explanation of these alone",
            )
    return specs


def _explain(spec: MetricSpec, row: Row) -> Explanation:
    return _EXPLAINERS[spec.entry.implementation](spec, row)
