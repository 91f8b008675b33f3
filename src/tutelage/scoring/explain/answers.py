"""Short answers and stated facts explained: the texts that were compared, the phrases that the prediction has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from tutelage.metrics.answer_extraction import extract_bbh
from tutelage.metrics.answers import normalise_squad
from tutelage.metrics.catalogue import MetricSpec
from tutelage.metrics.facts import contains
from tutelage.metrics.math_answers import extract_number, reference_number
from tutelage.metrics.score import Row
from tutelage.metrics.scoring import score_rows
from tutelage.scoring.explain.explanation import (
    EqualityExplanation,
    FactsExplanation,
    Phrase,
    PrecisionRecall,
    TokenF1Explanation,
    best,
)
from tutelage.scoring.explain.token_spans import count_ngrams, mark_ngrams, tokenize_at_spaces

_GSM8K_FORMS = {
    "strict": "the number behind ####, without $ and commas",
    "cot": "the number behind 'The answer is', without $ and commas",
    "flexible": "the last run of digits, $, commas and full stops, without $ and commas",
    "last": "the last number, by its value",
}


def explain_equality(
    spec: MetricSpec, row: Row, *, form: str, normalise: Callable[[str], str]
) -> EqualityExplanation:
    """Whether the prediction equals a reference once both are normalised; `form` says how, in words."""
    prediction, references = normalise(row.prediction), tuple(map(normalise, row.references))
    equal = references.index(prediction) if prediction in references else None
    return EqualityExplanation(spec.text, float(equal is not None), form, prediction, references, equal)


def explain_bbh(spec: MetricSpec, row: Row) -> EqualityExplanation:
    """Equal once the answer is extracted from the text."""
    mode = str(spec.options["mode"])
    answer = replace(row, prediction=extract_bbh(row.prediction, mode).answer)
    form = "the whole text" if mode == "direct" else "what follows 'the answer is '"
    return explain_equality(spec, answer, form=form, normalise=str.strip)


def explain_gsm8k(spec: MetricSpec, row: Row) -> EqualityExplanation:
    """Equal once a number is extracted from the text by the metric's rule."""
    rule = str(spec.options["extract"])
    answer = extract_number(row.prediction, rule)
    references = tuple(reference_number(text, rule) or "" for text in row.references)
    if answer is None:
        return EqualityExplanation(
            spec.text, 0.0, f"{_GSM8K_FORMS[rule]}; there is none", "", references, None
        )
    numbers = replace(row, prediction=answer, references=references)
    return explain_equality(spec, numbers, form=_GSM8K_FORMS[rule], normalise=str)


def explain_token_f1(spec: MetricSpec, row: Row) -> TokenF1Explanation:
    """The words that both have in SQuAD's normal form."""
    texts = [normalise_squad(text) for text in (row.prediction, *(row.references or ("",)))]
    prediction, *references = tokenize_at_spaces(texts)
    predicted = Counter(prediction.ids)
    shares = []
    for reference in references:
        matches = (predicted & Counter(reference.ids)).total()
        both_empty = bool(row.references) and not prediction.ids and not reference.ids
        shares.append(
            PrecisionRecall(0, 0, 0, 1.0, 1.0, 1.0)
            if both_empty
            else PrecisionRecall.of(matches, len(prediction.ids), len(reference.ids))
        )
    chosen = best(shares)
    marked = mark_ngrams(prediction, references[chosen], 1)
    return TokenF1Explanation(
        spec.text,
        shares[chosen].f,
        measure="f",
        prediction=marked[0],
        reference=marked[1],
        chosen=chosen,
        shares=tuple(shares),
        grams=count_ngrams(prediction, references[chosen], 1),
    )


def explain_facts(spec: MetricSpec, row: Row) -> FactsExplanation:
    """Which phrases the prediction has; a row that the metric does not count has no value."""
    score = score_rows([spec.text], [row])[spec.text].score
    value = score.value if score.n else None
    if spec.entry.implementation != "states_fact":
        return FactsExplanation(spec.text, value, row.prediction, refusals=_phrases(row, "refusal"))
    must, must_not = _phrases(row, "must_contain"), _phrases(row, "must_not_contain")
    return FactsExplanation(spec.text, value, row.prediction, must, must_not)


def _phrases(row: Row, name: str) -> tuple[Phrase, ...]:
    values = row.fields.get(name)
    return tuple(
        Phrase(phrase, contains(row.prediction, phrase))
        for phrase in (values if isinstance(values, list) else [])
        if isinstance(phrase, str)
    )
