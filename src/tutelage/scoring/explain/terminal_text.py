"""Explanations of scores as plain text for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tutelage.scoring.explain import phrasing
from tutelage.scoring.explain.explainers import RowExplanation
from tutelage.scoring.explain.explanation import (
    BleuExplanation,
    EqualityExplanation,
    Explanation,
    FactsExplanation,
    InstructionsExplanation,
    MarkedText,
    NGramExplanation,
    OverlapExplanation,
    Phrase,
    SubsequenceExplanation,
    TokenF1Explanation,
)
from tutelage.scoring.explain.phrasing import clean

_WIDTH = 15
_EMPTY = "(empty)"


def explanation_text(explanations: Sequence[RowExplanation]) -> str:
    """The explanations as plain text: marks are brackets that no shown text has, so it reads without colour."""
    texts = [text for row in explanations for text in _marked_texts(row.explanation)]
    brackets = _Brackets(texts)
    legend = f"{brackets.wrap('counted', 'this')} counted, {brackets.wrap('cut', 'this')} was cut by clipping"
    blocks = [legend] if texts else []
    for row in explanations:
        labelled = _labelled(row.explanation, brackets)
        blocks.append("\n".join([_head(row), *(_line(label, text) for label, text in labelled)]))
    return "\n\n".join(blocks)


class _Brackets:
    """How marks are written: in brackets that none of the texts has, doubled where a text has single ones."""

    def __init__(self, texts: Iterable[str]) -> None:
        joined = "\0".join(texts)
        self.pairs = {}
        for kind, opening, closing in (("counted", "[", "]"), ("cut", "{", "}")):
            absent = (n for n in (1, 2, 3) if opening * n not in joined and closing * n not in joined)
            times = next(absent, 4)
            self.pairs[kind] = opening * times, closing * times

    def wrap(self, kind: str, text: str) -> str:
        return text.join(self.pairs[kind])

    def text(self, marked: MarkedText) -> str:
        pieces = (
            clean(piece) if kind is None else self._wrap_lines(kind, clean(piece))
            for kind, piece in marked.pieces()
        )
        return "".join(pieces) or _EMPTY

    def _wrap_lines(self, kind: str, text: str) -> str:
        """Each line in brackets of its own, because the terminal indents them."""
        return "\n".join(self.wrap(kind, line) if line.strip() else line for line in text.split("\n"))


def _marked_texts(explanation: Explanation) -> Iterator[str]:
    match explanation:
        case OverlapExplanation():
            yield from (explanation.prediction.text, explanation.reference.text)
        case BleuExplanation(prediction=MarkedText(text=text)):
            yield text


def _head(row: RowExplanation) -> str:
    of = f" ({row.of})" if row.of else ""
    return f"{row.title}, {row.explanation.metric} = {phrasing.format_value(row.explanation)}{of}"


def _line(label: str, text: str) -> str:
    indent = "\n" + " " * (2 + _WIDTH)
    return f"  {label:<{_WIDTH}}{text.replace(chr(10), indent)}".rstrip()


def _labelled(explanation: Explanation, brackets: _Brackets) -> Iterator[tuple[str, str]]:
    """Labels and texts; the label is empty where a text continues the one before it."""
    match explanation:
        case OverlapExplanation():
            yield from _overlap(explanation, brackets)
        case BleuExplanation():
            yield from _bleu(explanation, brackets)
        case EqualityExplanation():
            yield "compared", explanation.form
            yield "prediction", clean(explanation.prediction) or _EMPTY
            for text in explanation.references:
                yield "reference", clean(text) or _EMPTY
            yield "so", phrasing.first_difference(explanation)
        case FactsExplanation():
            yield "prediction", clean(explanation.prediction) or _EMPTY
            yield from _phrases("must have", explanation.must)
            yield from _phrases("must not have", explanation.must_not)
            yield from _phrases("refusal", explanation.refusals)
            if explanation.value is None:
                yield "so", "the metric does not count this row"
        case InstructionsExplanation():
            yield "prediction", clean(explanation.prediction) or _EMPTY
            for verdict in explanation.instructions:
                yield "followed" if verdict.followed else "not followed", clean(verdict.text)


def _overlap(overlap: OverlapExplanation, brackets: _Brackets) -> Iterator[tuple[str, str]]:
    yield "prediction", brackets.text(overlap.prediction)
    several = len(overlap.shares) > 1
    yield f"reference {overlap.chosen + 1}" if several else "reference", brackets.text(overlap.reference)
    if several:
        yield "chosen", phrasing.reference_choice(overlap)
    if isinstance(overlap, SubsequenceExplanation):
        yield "longest", phrasing.subsequence_length(overlap)
    yield "score", phrasing.shares(overlap.best)
    if isinstance(overlap, NGramExplanation | TokenF1Explanation):
        grams = overlap.grams
        predicted = (phrasing.times(gram, gram.prediction) for gram in grams if not gram.reference)
        missing = (phrasing.times(gram, gram.reference) for gram in grams if not gram.prediction)
        yield "matched", phrasing.short_list(phrasing.matched(gram) for gram in grams if gram.matched)
        yield "only here", phrasing.short_list(predicted)
        yield "missing", phrasing.short_list(missing)


def _bleu(bleu: BleuExplanation, brackets: _Brackets) -> Iterator[tuple[str, str]]:
    if bleu.prediction is not None:
        yield "prediction", brackets.text(bleu.prediction)
    for text in bleu.references:
        yield "reference", clean(text) or _EMPTY
    for order in bleu.orders:
        counts = f"{order.matches} of {order.total} matched"
        figures = f"{counts:<24}precision {order.precision:6.2f}"
        yield f"order {order.n}", f"{figures}  {phrasing.order_note(order)}".rstrip()
    for order in bleu.orders:
        clipped = [phrasing.matched(gram) for gram in order.grams if gram.clipped]
        if clipped:
            yield f"cut, order {order.n}", phrasing.short_list(clipped)
    yield "brevity", phrasing.brevity_penalty(bleu)
    yield "so", phrasing.bleu_product(bleu)
    yield "", phrasing.main_loss(bleu)


def _phrases(label: str, phrases: Sequence[Phrase]) -> Iterator[tuple[str, str]]:
    for phrase in phrases:
        yield label, f"{'found    ' if phrase.present else 'not found'}  {clean(phrase.text)}"
