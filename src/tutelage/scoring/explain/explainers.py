"""A metric and a row to an explanation of the row's value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tutelage.core.errors import InputError
from tutelage.metrics.catalogue import MetricSpec, catalogue, expand, parse
from tutelage.metrics.score import Row
from tutelage.scoring.explain import answers, bleu, rouge
from tutelage.scoring.explain.explanation import Bleu, Explanation

_WAYS: Mapping[str, Callable[[MetricSpec, Row], Explanation]] = {
    "rouge": rouge.explain,
    "bleu": bleu.explain,
    "sentence_bleu": bleu.explain,
    "exact": answers.explain_exact,
    "squad_em": answers.explain_squad_em,
    "token_f1": answers.explain_token_f1,
    "bbh": answers.explain_bbh,
    "states_fact": answers.explain_facts,
    "rightly_refuses": answers.explain_facts,
    "wrongly_refuses": answers.explain_facts,
}


def explain(metric: str, row: Row) -> Explanation:
    """Why a row has its value.

    Args:
        metric: one metric, with options as `name:key=value`.
        row: the row.

    Returns:
        The explanation; its value is the one that `score_rows` gives for the row as an item.

    Raises:
        InputError: the metric is not known, has no explanation, or cannot read the row (where: `row 1`).
    """
    spec, *others = explainable_metrics([metric])
    if others:
        raise InputError(
            "this name stands for several metrics",
            where=f"metric {metric!r}",
            expected="one of " + ", ".join(one.text for one in (spec, *others)),
        )
    return _WAYS[spec.entry.implementation](spec, row)


def explain_corpus(metric: str, rows: Sequence[Row]) -> Bleu:
    """Why all rows together have their BLEU, which is not the mean of the rows' own.

    Raises:
        InputError: the metric is not `bleu`, or a row has no reference (where: `row N`).
    """
    spec = parse(metric)
    if spec.entry.implementation != "bleu":
        raise InputError(
            "only corpus BLEU is explained for all rows together",
            where=f"metric {metric!r}",
            found=spec.entry.name,
            expected="bleu",
            fix="ask for the explanation of rows",
        )
    return bleu.explain_corpus(spec, rows)


def explainable_metrics(metrics: Sequence[str]) -> list[MetricSpec]:
    """The metrics that names stand for, all of which have explanations.

    Raises:
        InputError: a metric is not known or has no explanation; those that have one are named.
    """
    spec = [parse(text) for text in expand(metrics)]
    for one in spec:
        if one.entry.implementation not in _WAYS:
            known = [name for name, entry in catalogue().items() if entry.implementation in _WAYS]
            raise InputError(
                "this metric has no explanation",
                where=f"metric {one.text!r}",
                found=one.entry.name,
                expected=f"one of {', '.join(known)}",
                fix="ask for the explanation of these alone",
            )
    return spec
