"""GSM8K: the answer in a generated text, extracted by one of four rules.

K. Cobbe et al., "Training Verifiers to Solve Math Word Problems", 2021. The first three rules are the filters and the exact match
of lm-evaluation-harness 0.4.13 (`gsm8k`, `gsm8k_cot`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal

import numpy as np

from tutelage.metrics.answer_extraction import ExtractedAnswer
from tutelage.metrics.catalogue import MetricSpec
from tutelage.metrics.implementation import ItemStatistics, MetricImplementation, ScoringBatch, of_means
from tutelage.metrics.row_fields import require_reference

_AFTER_HASHES = re.compile(r"#### (-?[0-9.,]+)")
_AFTER_SENTENCE = re.compile(r"The answer is (-?[0-9.,]+).")
"""A character must follow, as in the harness."""
_NUMBER_LIKE = re.compile(r"-?[$0-9.,]{2,}|-?[0-9]+")
_NUMBER = re.compile(r"(?:(?<![\w)])-)?\$?(\d[\d,]*(?:\.\d+)?|\.\d+)")
_TO_LAST_HASHES = re.compile(r".*#### ", re.DOTALL)


def extract_number(text: str, rule: str) -> str | None:
    """Extract the answer from a generated or a reference text.

    Args:
        text: the text.
        rule: `strict`: the first number behind "#### "; `cot`: the first one behind "The answer is "; `flexible`: the last run of
            digits, $, commas and full stops; `last`: the last number, by its value.

    Returns:
        What is compared with the reference's; None where the text has no answer.
    """
    return _RULES[rule](text)


def extract_gsm8k(text: str, rule: str, *, finish: str | None = None) -> ExtractedAnswer:
    """Extract the answer from a generated text, and note what makes it doubtful.

    Args:
        text: what the model generated.
        rule: one of those of `extract_number`.
        finish: why generation ended, None when that is not recorded; `length` means cut off.
    """
    answer = extract_number(text, rule)
    marks = _MARKS.get(rule)
    answers = {_comparable(number) for number in marks.findall(text)} if marks else set()
    return ExtractedAnswer(
        answer or "",
        marked=answer is not None,
        ambiguous=len(answers) > 1,
        cut_off=finish == "length" and (answer is None or marks is None),
    )


def reference_number(text: str, rule: str) -> str | None:
    """What a right answer must be: the reference, or what is behind its "#### ", in the form that the rule compares."""
    return _last_value(text) if rule == "last" else _comparable(text)


def _comparable(answer: str) -> str:
    """An answer without $, commas, what precedes "#### " and a final full stop, in lower case."""
    return _TO_LAST_HASHES.sub("", answer.replace(",", "").replace("$", "")).removesuffix(".").lower()


def _first(pattern: re.Pattern[str]) -> Callable[[str], str | None]:
    def extract(text: str) -> str | None:
        match = pattern.search(text)
        return None if match is None else _comparable(match[1])

    return extract


def _last_run(text: str) -> str | None:
    runs = _NUMBER_LIKE.findall(text)
    return _comparable(runs[-1]) if runs else None


def _last_value(text: str) -> str | None:
    matches = list(_NUMBER.finditer(text))
    if not matches:
        return None
    value = Decimal(matches[-1][1].replace(",", "")).normalize()
    return f"{-value if matches[-1][0].startswith('-') else value:f}"


_MARKS = {"strict": _AFTER_HASHES, "cot": _AFTER_SENTENCE}
_RULES: Mapping[str, Callable[[str], str | None]] = {
    "strict": _first(_AFTER_HASHES),
    "cot": _first(_AFTER_SENTENCE),
    "flexible": _last_run,
    "last": _last_value,
}


def _count(batch: ScoringBatch, spec: MetricSpec) -> ItemStatistics:
    rule = str(spec.options["extract"])
    right = []
    for index, row in enumerate(batch.rows):
        require_reference(spec, row, index)
        answer = extract_number(row.prediction, rule)
        right.append(
            answer is not None and answer in {reference_number(text, rule) for text in row.references}
        )
    return of_means(np.array(right, np.float64))


gsm8k = MetricImplementation(_count)
