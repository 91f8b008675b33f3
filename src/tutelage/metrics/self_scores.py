"""Whether a metric can give full marks at all: references are scored as if they were the answers, before any model is asked.

A metric that gives a reference less than full marks for itself says little of a model: ROUGE's own tokenizer reads ASCII alone, so
that a Hindi answer never matches; BLEU takes a Chinese sentence for one word; Matthews' correlation of a single label is 0.
`self_scores.yaml` says what is tried instead. Advice was tried on the same references.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tutelage.core.strictjson import shorten
from tutelage.metrics.catalogue import MetricSpec, expand, parse
from tutelage.metrics.implementation import ItemStatistics, ScoringBatch, implementation
from tutelage.metrics.reference_words import words_of
from tutelage.metrics.score import Row
from tutelage.metrics.scoring import metric_value
from tutelage.metrics.tag_schemes import conlleval_entities

MOST_ROWS = 2_000
"""Rows that are looked at, spread evenly over all: what a metric cannot read shows in these."""
_OF_WORDS = ("unread", "broken", "unspaced")
"""The kinds of shortfall that another tokenizer cures."""
_TOLERANCE = 1e-6
"""Of full marks, for sums of many rounded shares."""
_BROKEN = 0.25
"""The share of words from which on a tokenizer that does not read them whole is named."""


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Why references get less than full marks from a metric.

    Attributes:
        metrics: the metrics, as the user wrote them.
        rows: the indices of the rows, in order.
        of: how many rows were looked at.
        found: what is the matter, with numbers and an example.
        fix: what to write instead.
        kind: unread, broken, unspaced, short, less, constant or rejected.
    """

    metrics: tuple[str, ...]
    rows: tuple[int, ...]
    of: int
    found: str
    fix: str
    kind: str

    @property
    def total(self) -> bool:
        """Whether no answer to any row can get full marks."""
        return len(self.rows) == self.of and self.kind not in ("broken", "unspaced", "rejected")

    @property
    def sentence(self) -> str:
        """What is said in one line: metric, matter, advice."""
        return f"{', '.join(self.metrics)}: {self.found}; {self.fix}"


def shortfalls(metrics: Sequence[str], rows: Sequence[Row]) -> list[Shortfall]:
    """The metrics that give some references less than full marks for themselves, those of one matter together.

    Args:
        metrics: names, with options as `name:key=value`.
        rows: rows with references; their predictions are not read.

    Raises:
        InputError: a metric does not exist or cannot read a row.
    """
    step = max(1, -(-len(rows) // MOST_ROWS))
    chosen = range(0, len(rows), step)
    alone = [
        Row(rows[index].references[0], rows[index].references[:1], rows[index].fields, cluster=str(index))
        for index in chosen
        if rows[index].references
    ]
    positions = [index for index in chosen if rows[index].references]
    merged: dict[tuple[str, str, str], list[Shortfall]] = {}
    for text in expand(metrics) if alone else ():
        for found in _of_metric(parse(text), alone, positions):
            merged.setdefault((found.kind, found.found, found.fix), []).append(found)
    return [
        Shortfall(tuple(each.metrics[0] for each in same), same[0].rows, same[0].of, *key[1:], key[0])
        for key, same in merged.items()
    ]


def rejected_answers(metrics: Sequence[str], rows: Sequence[Row]) -> list[Shortfall]:
    """The metrics of right and wrong that count the rows' own predictions as wrong: of the answers that a recipe teaches.

    Args:
        metrics: names, with options as `name:key=value`.
        rows: rows whose predictions are meant to be right.

    Raises:
        InputError: a metric does not exist or cannot read a row.
    """
    chosen = range(0, len(rows), max(1, -(-len(rows) // MOST_ROWS)))
    answers = [rows[index] for index in chosen]
    rejected = []
    for spec in map(parse, expand(metrics) if answers else ()):
        if spec.entry.kind != "proportion" or spec.entry.predicted:
            continue
        wrong = spec.entry.low if spec.entry.better == "higher" else spec.entry.high
        statistics = implementation(spec).count(ScoringBatch(answers, [spec]), spec)
        items = zip(statistics.rows.tolist(), statistics.items.tolist(), strict=True)
        if places := [index for index, value in items if value == wrong]:
            example = shorten(answers[places[0]].prediction)
            found = f"{len(places)} of {len(answers)} answers that the rows teach count as wrong, such as {example}"
            positions = tuple(chosen[index] for index in places)
            fix = "let the completion be what the metric reads, or take another metric"
            rejected.append(Shortfall((spec.text,), positions, len(answers), found, fix, "rejected"))
    return rejected


@dataclass(frozen=True, slots=True)
class _Matter:
    """One way in which a metric falls short: of which kind, in which rows (indices of those looked at), and what is said."""

    kind: str
    rows: Sequence[int]
    text: str


def _of_metric(spec: MetricSpec, rows: Sequence[Row], positions: Sequence[int]) -> Iterator[Shortfall]:
    matters = _matters(spec, rows)
    if not matters:
        return
    tried = [(text, _matters(parse(text), rows)) for text in _alternatives(spec)]
    for matter in matters:
        yield Shortfall(
            (spec.text,),
            tuple(positions[index] for index in matter.rows),
            len(rows),
            matter.text,
            _advice(spec, matter, tried, len(rows)),
            matter.kind,
        )


def _matters(spec: MetricSpec, rows: Sequence[Row]) -> list[_Matter]:
    """All that keeps a metric from full marks on these rows; none of a metric that has no full marks or reads no references."""
    entry = spec.entry
    if entry.predicted or entry.name in _table()["not_asked"]:
        return []
    matters = _of_words(spec, [row.references[0] for row in rows])
    explained = {index for matter in matters for index in matter.rows if matter.kind != "broken"}
    full = {"higher": entry.high, "lower": entry.low, "target": entry.target, "none": None}[entry.better]
    if full is None or math.isinf(full):
        return matters
    statistics = implementation(spec).count(ScoringBatch(rows, [spec]), spec)
    short = [index for index in _short_of(full, spec, statistics, rows) if index not in explained]
    if short:
        example = shorten(rows[short[0]].references[0])
        verb = "gets" if len(short) == 1 else "get"
        text = f"{len(short)} of {len(rows)} references {verb} less than full marks as an answer, such as {example}"
        return [*matters, _Matter("less", short, text)]
    if not explained and not _is_full(value := metric_value(spec, statistics), full):
        shown = "no value" if math.isnan(value) else f"{value:g} and not {full:g}"
        text = f"all {len(rows)} references as answers get {shown}{_cause(spec, rows)}"
        matters.append(_Matter("constant", range(len(rows)), text))
    return matters


def _is_full(value: float, full: float) -> bool:
    return abs(value - full) <= _TOLERANCE * max(1.0, abs(full))


def _short_of(
    full: float, spec: MetricSpec, statistics: ItemStatistics, rows: Sequence[Row]
) -> Iterator[int]:
    """The rows that get less than full marks; of entities also those of which the scheme reads fewer than are marked."""
    for index, value in zip(statistics.rows.tolist(), statistics.items.tolist(), strict=True):
        if not (math.isnan(value) or _is_full(value, full)):
            yield index
        elif "scheme" in spec.options and spec.options["form"] == "tags":
            tags = rows[index].references[0].split()
            read = statistics.statistics[index].reshape(-1, 4)[:, 1].sum()
            if read < len(conlleval_entities(tags)):
                yield index


def _cause(spec: MetricSpec, rows: Sequence[Row]) -> str:
    """Why a metric has no full marks over rows of which each has them alone."""
    different = sorted({row.references[0].strip() for row in rows})
    if spec.options.get("average") == "binary":
        return f": none is {shorten(str(spec.options['positive']))}"
    return f": all are {shorten(different[0])}" if len(different) == 1 else ""


def _of_words(spec: MetricSpec, references: Sequence[str]) -> list[_Matter]:
    """What a metric of words cannot do with these references."""
    words = words_of(spec, references)
    if words is None:
        return []
    unread = np.flatnonzero(words.counts == 0).tolist()
    short = np.flatnonzero((words.counts > 0) & (words.counts < words.needed)).tolist()
    lumped = [index for index in words.unspaced if words.counts[index]]
    matters = []
    if unread:
        example = shorten(references[unread[0]])
        text = f"{_count(unread, references)} no word that it reads, such as {example}"
        matters.append(_Matter("unread", unread, text))
    elif words.broken >= _BROKEN:
        text = f"{words.broken:.0%} of the references' words are not read whole: only ASCII letters and digits are"
        matters.append(_Matter("broken", range(len(references)), text))
    if short:
        example = shorten(references[short[0]])
        text = f"{_count(short, references)} fewer than {words.needed} words, which no answer can match, such as {example}"
        matters.append(_Matter("short", short, text))
    if lumped:
        example = shorten(references[lumped[0]])
        text = f"{_count(lumped, references)} no spaces between words, and a whole sentence counts as one, such as {example}"
        matters.append(_Matter("unspaced", lumped, text))
    return matters


def _count(rows: Sequence[int], of: Sequence[Any]) -> str:
    return f"{len(rows)} of {len(of)} references {'has' if len(rows) == 1 else 'have'}"


def _advice(
    spec: MetricSpec, matter: _Matter, tried: Sequence[tuple[str, Sequence[_Matter]]], rows: int
) -> str:
    """What to write instead: what has no such matter, and where that is another metric also the option that cures this one."""
    otherwise = _table()["by_module"].get(spec.entry.module, {}).get("otherwise", "take another metric")
    if spec.options.get("average") == "binary":
        return str(otherwise)
    if matter.kind == "constant":  # no option gives a value to what has too few words, labels or numbers
        tried = [(text, left) for text, left in tried if not _same_metric(spec, text)]
    best = next((text for text, left in tried if not left), None)
    cures = [
        text
        for text, left in tried
        if _same_metric(spec, text) and all(each.kind != matter.kind for each in left)
    ]
    if best is None and not cures:
        return str(otherwise)
    if best is None or best in cures or not cures:
        advised = best or cures[0]
        return f"{advised} reads them" if matter.kind in _OF_WORDS else f"take {advised}"
    lumped = sum(len(each.rows) for each in dict(tried)[cures[0]])
    return f"{best} reads them ({cures[0]} too, but takes {lumped} of {rows} for one word or none)"


def _same_metric(spec: MetricSpec, text: str) -> bool:
    return parse(text).entry.name == spec.entry.name


def _alternatives(spec: MetricSpec) -> list[str]:
    """The metrics to try, other options as they are."""
    texts = []
    for alternative in _table()["by_module"].get(spec.entry.module, {}).get("try", ()):
        key, equals, value = str(alternative).partition("=")
        if not equals or ":" in key:
            texts.append(str(alternative))
        elif key in spec.entry.options:
            pairs = [pair for pair in spec.text.split(":")[1:] if not pair.startswith(f"{key}=")]
            texts.append(":".join([spec.entry.name, *pairs, f"{key}={value}"]))
    return [text for text in texts if text != spec.text]


def _table() -> dict[str, Any]:
    from tutelage.core import yamltext  # PyYAML takes as long to import as all of the metrics

    return yamltext.table("tutelage.metrics", "self_scores.yaml")
