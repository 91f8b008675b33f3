"""Answers in which the words in common with the reference are highlighted, and sentences on why they got their scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tutelage.comparison import wording
from tutelage.core.errors import InputError
from tutelage.metrics import Row
from tutelage.report import formatting
from tutelage.scoring.explain import (
    BleuExplanation,
    EqualityExplanation,
    Explanation,
    FactsExplanation,
    InstructionsExplanation,
    MarkedText,
    NGramExplanation,
    OverlapExplanation,
    explain,
    explainable_metrics,
    phrasing,
)

# Highlights the common words if no metric of the task does. It takes letters of any script.
FALLBACK = "rougeL:stemmer=false:tokenizer=unicode"
MIN_REFERENCE_WORDS = 2  # in a single word there is nothing to highlight
MAX_LISTED = 8


@dataclass(frozen=True, slots=True)
class HighlightedText:
    """A text in pieces, each with whether it is highlighted.

    `cut` is the length of the text in characters if only its beginning is shown.
    """

    parts: tuple[tuple[bool, str], ...]
    cut: int | None = None

    @property
    def weight(self) -> int:
        """About how many characters it takes on the page."""
        return sum(len(text) + len("<mark></mark>") * highlighted for highlighted, text in self.parts)

    @property
    def empty(self) -> bool:
        """Whether it has no text but white space."""
        return not any(text.strip() for _, text in self.parts)


@dataclass(frozen=True, slots=True)
class ExplainedAnswer:
    """One answer, highlighted, and why it got its scores.

    Attributes:
        prediction: the answer.
        reference: the reference that it is compared with, None if nothing is highlighted.
        reference_index: which of the references that is.
        sentences: labels of metrics, and what their values are made of.
    """

    prediction: HighlightedText
    reference: HighlightedText | None
    reference_index: int
    sentences: tuple[tuple[str, str], ...]


def explaining_metrics(metrics: Sequence[str]) -> tuple[str, ...]:
    """Choose the metrics that explain an answer: those of a task that can, and one that highlights words in common."""
    explainable = tuple(metric for metric in metrics if _is_explainable(metric))
    highlights = any(metric.partition(":")[0].startswith("rouge") for metric in explainable)
    return explainable if highlights else (*explainable, FALLBACK)


def explain_answer(metrics: Sequence[str], row: Row) -> ExplainedAnswer:
    """Explain one answer by the metrics that `explaining_metrics` chose."""
    has_words = any(len(reference.split()) >= MIN_REFERENCE_WORDS for reference in row.references)
    explanations = [explain(metric, row) for metric in metrics if metric != FALLBACK or has_words]
    overlaps = [each for each in explanations if isinstance(each, OverlapExplanation)]
    # The texts of token_f1's explanation are not as written: it normalises them.
    overlap = next((each for each in overlaps if not each.metric.startswith("token_f1")), None)
    return ExplainedAnswer(
        prediction=plain(row.prediction) if overlap is None else _highlighted(overlap.prediction),
        reference=None if overlap is None else _highlighted(overlap.reference),
        reference_index=0 if overlap is None else overlap.chosen,
        sentences=tuple(
            (_label(explanation), sentence)
            for explanation in explanations
            for sentence in _sentences(explanation)
        ),
    )


def plain(text: str) -> HighlightedText:
    """A text without highlights."""
    return _highlighted(MarkedText(text))


def _is_explainable(metric: str) -> bool:
    try:
        return len(explainable_metrics([metric])) == 1
    except InputError:
        return False


def _label(explanation: Explanation) -> str:
    if explanation.metric == FALLBACK:
        return "Words in common"
    return wording.metric_wording(explanation.metric).label


def _highlighted(marked: MarkedText) -> HighlightedText:
    parts: list[tuple[bool, str]] = []
    room = formatting.MAX_CHARACTERS
    for kind, piece in marked.pieces():
        if room > 0:
            parts.append((kind == "counted", formatting.text(piece[:room]).content))
        room -= len(piece)
    return HighlightedText(tuple(parts), len(marked.text) if room < 0 else None)


def _sentences(explanation: Explanation) -> Iterator[str]:
    match explanation:
        case OverlapExplanation():
            yield f"{phrasing.shares(explanation.best)}."
            grams = explanation.grams if isinstance(explanation, NGramExplanation) else ()
            if cut := [phrasing.matched(gram) for gram in grams if gram.clipped]:
                yield f"Clipped: {', '.join(cut[:MAX_LISTED])}."
        case BleuExplanation():
            yield f"{phrasing.bleu_product(explanation)}."
            yield phrasing.main_loss(explanation)
        case EqualityExplanation():
            yield f"Compared: {explanation.form}; {phrasing.first_difference(explanation)}."
        case FactsExplanation():
            yield from _fact_sentences(explanation)
        case InstructionsExplanation():
            for title, followed in (("Followed", True), ("Not followed", False)):
                texts = [verdict.text for verdict in explanation.instructions if verdict.followed == followed]
                if texts:
                    yield f"{title}: {'; '.join(map(phrasing.clean, texts[:MAX_LISTED]))}."
        case _:
            pass


def _fact_sentences(facts: FactsExplanation) -> Iterator[str]:
    if facts.value is None:
        return
    for title, phrases in (("Must have", facts.must), ("Must not have", facts.must_not)):
        # Phrases that the answer has come first.
        listed = [
            f"{_quoted(phrase.text)} {'found' if phrase.present else 'not found'}"
            for phrase in sorted(phrases, key=lambda phrase: not phrase.present)
        ]
        if listed:
            yield f"{title}: {'; '.join(listed[:MAX_LISTED])}."
    if facts.refusals:
        refusals = "; ".join(_quoted(phrase.text) for phrase in facts.refusals if phrase.present)
        yield f"{refusals}: found." if refusals else "No phrase that marks a refusal: none found."


def _quoted(text: str) -> str:
    return f"“{phrasing.clean(text)}”"
