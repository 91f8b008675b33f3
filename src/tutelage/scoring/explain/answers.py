"""Short answers and stated facts explained: the texts that were compared, the phrases that were found."""

from __future__ import annotations

from collections import Counter

from tutelage.core.types import Json
from tutelage.metrics.answer_extraction import extract_bbh
from tutelage.metrics.answers import normalise_squad
from tutelage.metrics.catalogue import MetricSpec
from tutelage.metrics.facts import contains
from tutelage.metrics.score import Row
from tutelage.metrics.scoring import score_rows
from tutelage.scoring.explain.explanation import Answers, Facts, Phrase, Shares, Words, best
from tutelage.scoring.explain.token_spans import grams, mark_grams, word_sides


def explain_exact(spec: MetricSpec, row: Row) -> Answers:
    """Equal but for the space around them."""
    return _answers(spec, "without the space around it", row.prediction.strip(), _stripped(row))


def explain_bbh(spec: MetricSpec, row: Row) -> Answers:
    """Equal once the answer is taken out of the text."""
    mode = str(spec.options["mode"])
    form = "the whole text" if mode == "direct" else "what follows 'the answer is '"
    return _answers(spec, form, extract_bbh(row.prediction, mode).answer, _stripped(row))


def explain_squad_em(spec: MetricSpec, row: Row) -> Answers:
    """Equal in SQuAD's normal form."""
    texts = tuple(map(normalise_squad, row.references))
    return _answers(spec, "lower case, without punctuation and articles", normalise_squad(row.prediction), texts)


def explain_token_f1(spec: MetricSpec, row: Row) -> Words:
    """The words that both have in SQuAD's normal form."""
    texts = [normalise_squad(text) for text in (row.prediction, *(row.references or ("",)))]
    prediction, *references = word_sides(texts)
    own = Counter(prediction.ids)
    shares = []
    for side in references:
        found = Shares.of((own & Counter(side.ids)).total(), len(prediction.ids), len(side.ids))
        empty = bool(row.references) and not prediction.ids and not side.ids
        shares.append(Shares(0, 0, 0, 1.0, 1.0, 1.0) if empty else found)
    chosen = best(shares)
    marked = mark_grams(prediction, references[chosen], 1)
    return Words(
        spec.text,
        shares[chosen].f,
        measure="f",
        prediction=marked[0],
        reference=marked[1],
        chosen=chosen,
        shares=tuple(shares),
        grams=grams(prediction, references[chosen], 1),
    )


def explain_facts(spec: MetricSpec, row: Row) -> Facts:
    """Which phrases the prediction has; a row that the metric does not count has no value."""
    score = score_rows([spec.text], [row])[spec.text].score
    value = score.value if score.n else None
    if spec.entry.implementation != "states_fact":
        return Facts(spec.text, value, row.prediction, refusals=_phrases(row, "refusal"))
    return Facts(
        spec.text,
        value,
        row.prediction,
        must=_phrases(row, "must_contain"),
        must_not=_phrases(row, "must_not_contain"),
    )


def _answers(spec: MetricSpec, form: str, prediction: str, references: tuple[str, ...]) -> Answers:
    equal = references.index(prediction) if prediction in references else None
    return Answers(spec.text, float(equal is not None), form, prediction, references, equal)


def _stripped(row: Row) -> tuple[str, ...]:
    return tuple(text.strip() for text in row.references)


def _phrases(row: Row, name: str) -> tuple[Phrase, ...]:
    told: Json = row.fields.get(name)
    return tuple(
        Phrase(own, contains(row.prediction, own))
        for own in (told if isinstance(told, list) else [])
        if isinstance(own, str)
    )
