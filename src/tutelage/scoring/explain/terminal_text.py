"""Explanations of scores in words: rows to explanations, explanations to a text for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tutelage.core.errors import InputError
from tutelage.metrics.score import Row
from tutelage.scoring.explain import (
    Answers,
    Bleu,
    Explanation,
    Facts,
    Marked,
    NGrams,
    Overlap,
    Phrase,
    Subsequence,
    Words,
    explain,
    explain_corpus,
    explainable_metrics,
    phrasing,
)
from tutelage.scoring.explain.phrasing import clean

_WIDTH = 15


@dataclass(frozen=True, slots=True)
class RowExplanation:
    """An explanation and whose it is: a row's, by its line and task; of all rows together when `line` is None."""

    line: int | None
    task: str
    explanation: Explanation

    @property
    def title(self) -> str:
        """Whose explanation it is."""
        if self.line is None:
            rows = self.explanation.rows if isinstance(self.explanation, Bleu) else 1
            return f"All {rows} rows together" if rows != 1 else "The one row as a corpus"
        return f"Line {self.line}" + (f" ({clean(self.task)})" if self.task else "")

    @property
    def of(self) -> str:
        """What the value is of, where that needs to be said."""
        told = self.explanation
        if isinstance(told, Overlap):
            return phrasing.MEASURES[told.measure]
        alone = isinstance(told, Bleu) and self.line is not None and not told.metric.startswith("sentence")
        return "this row alone" if alone else ""

    def as_json(self) -> dict[str, Any]:
        """The explanation for programs."""
        kind = type(self.explanation).__name__.lower()
        return {"line": self.line, "task": self.task, "kind": kind, **asdict(self.explanation)}


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
        InputError: a metric is not known, has no explanation or cannot read a row.
    """
    spec = explainable_metrics(metrics)
    found = []
    for line, row in zip(lines or range(1, len(rows) + 1), rows, strict=True):
        for one in spec:
            try:
                found.append(RowExplanation(line, row.task, explain(one.text, row)))
            except InputError as error:
                raise _at_line(error, f"{shown}:{line}") from None
    return tuple(found)


def explain_corpus_metrics(metrics: Sequence[str], rows: Sequence[Row]) -> tuple[RowExplanation, ...]:
    """Explain what is not a mean over rows: corpus BLEU, of all rows together. Nothing when it was not asked for."""
    spec = [one for one in explainable_metrics(metrics) if one.entry.implementation == "bleu"]
    return tuple(RowExplanation(None, "", explain_corpus(one.text, rows)) for one in spec)


def explanation_text(explanations: Sequence[RowExplanation]) -> str:
    """The explanations as plain text: marks are brackets that no shown text has, so it reads without colour."""
    texts = [text for one in explanations for text in _texts(one.explanation)]
    marks = _Brackets.unlike(texts)
    legend = f"{marks.show('counted', 'this')} counted, {marks.show('cut', 'this')} was cut by clipping"
    blocks = [legend] if texts else []
    for one in explanations:
        rows = _rows(one.explanation, marks)
        blocks.append("\n".join([_head(one), *(_row(label, text) for label, text in rows)]))
    return "\n\n".join(blocks)


@dataclass(frozen=True, slots=True)
class _Brackets:
    """How marks are written."""

    counted: tuple[str, str]
    cut: tuple[str, str]

    @classmethod
    def unlike(cls, texts: Iterable[str]) -> _Brackets:
        """Brackets that none of the texts has, doubled where single ones stand in them."""
        joined = "\0".join(texts)

        def free(left: str, right: str) -> tuple[str, str]:
            times = next((n for n in (1, 2, 3) if left * n not in joined and right * n not in joined), 4)
            return left * times, right * times

        return cls(free("[", "]"), free("{", "}"))

    def show(self, kind: str, text: str) -> str:
        left, right = self.counted if kind == "counted" else self.cut
        return f"{left}{text}{right}"

    def text(self, marked: Marked) -> str:
        return "".join(
            clean(piece) if kind is None else self._by_lines(kind, clean(piece))
            for kind, piece in marked.pieces()
        )

    def _by_lines(self, kind: str, text: str) -> str:
        """Each line in brackets of its own, as the terminal shows the lines apart."""
        return "\n".join(self.show(kind, line) if line.strip() else line for line in text.split("\n"))


def _texts(told: Explanation) -> Iterator[str]:
    match told:
        case Overlap():
            yield from (told.prediction.text, told.reference.text)
        case Bleu(prediction=Marked(text=text)):
            yield text


def _head(one: RowExplanation) -> str:
    of = f" ({one.of})" if one.of else ""
    return f"{one.title}, {one.explanation.metric} = {phrasing.worth(one.explanation)}{of}"


def _row(label: str, text: str) -> str:
    space = "\n" + " " * (2 + _WIDTH)
    return f"  {label:<{_WIDTH}}{text.replace(chr(10), space)}".rstrip()


def _rows(told: Explanation, marks: _Brackets) -> Iterator[tuple[str, str]]:
    """Labels and texts; a label is empty where a line goes on."""
    match told:
        case Overlap():
            yield from _overlap(told, marks)
        case Bleu():
            yield from _bleu(told, marks)
        case Answers():
            yield "compared", told.form
            yield "prediction", clean(told.prediction) or "(empty)"
            for text in told.references:
                yield "reference", clean(text) or "(empty)"
            yield "so", phrasing.parted(told)
        case Facts():
            yield "prediction", clean(told.prediction) or "(empty)"
            yield from _phrases("must have", told.must)
            yield from _phrases("must not have", told.must_not)
            yield from _phrases("refusal", told.refusals)
            if told.value is None:
                yield "so", "the metric does not count this row"


def _overlap(told: Overlap, marks: _Brackets) -> Iterator[tuple[str, str]]:
    yield "prediction", marks.text(told.prediction) or "(empty)"
    several = len(told.shares) > 1
    label = f"reference {told.chosen + 1}" if several else "reference"
    yield label, marks.text(told.reference) or "(empty)"
    if several:
        yield "chosen", phrasing.choice(told)
    if isinstance(told, Subsequence):
        yield "longest", phrasing.common(told)
    yield "score", phrasing.shares(told.best)
    if isinstance(told, NGrams | Words):
        yield "matched", phrasing.listed(phrasing.matched(gram) for gram in told.grams if gram.counted)
        yield (
            "only here",
            phrasing.listed(
                phrasing.times(gram, gram.prediction) for gram in told.grams if not gram.reference
            ),
        )
        yield (
            "missing",
            phrasing.listed(
                phrasing.times(gram, gram.reference) for gram in told.grams if not gram.prediction
            ),
        )


def _bleu(told: Bleu, marks: _Brackets) -> Iterator[tuple[str, str]]:
    if told.prediction is not None:
        yield "prediction", marks.text(told.prediction) or "(empty)"
    for text in told.references:
        yield "reference", clean(text) or "(empty)"
    for order in told.orders:
        counts = f"{order.matches} of {order.total} matched"
        figures = f"{counts:<24}precision {order.precision:6.2f}"
        yield f"order {order.n}", f"{figures}  {phrasing.said_of(order)}".rstrip()
    for order in told.orders:
        cut = [phrasing.matched(gram) for gram in order.grams if gram.cut]
        if cut:
            yield f"cut, order {order.n}", phrasing.listed(cut)
    yield "brevity", phrasing.length(told)
    yield "so", phrasing.product(told)
    yield "", phrasing.harm(told)


def _phrases(label: str, phrases: Sequence[Phrase]) -> Iterator[tuple[str, str]]:
    for phrase in phrases:
        yield label, f"{'found    ' if phrase.found else 'not found'}  {clean(phrase.text)}"


def _at_line(error: InputError, where: str) -> InputError:
    head, comma, field = (error.where or "").partition(", ")
    if head != "row 1":
        return error
    return InputError(
        error.problem,
        where=where + comma + field,
        found=error.found,
        expected=error.expected,
        fix=error.fix,
    )
