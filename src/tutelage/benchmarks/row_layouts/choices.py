"""Rows of TruthfulQA, HellaSwag, ARC and WinoGrande, as published, to the columns that their prompts use."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tutelage.benchmarks.row_layouts.columns import (
    mapping_of,
    mappings,
    not_as_published,
    text_of,
    texts,
    with_columns,
)
from tutelage.core.types import Example, Json

_GAP = "_"


def truthfulqa(row: Example) -> Iterator[Example]:
    """TruthfulQA: a question with answers that are true and false; the authors' file, or as on the hub.

    Columns: for either task of `mc1` and `mc2`, mc1_choices (the answers in their order) and mc1_right (the true ones).
    """
    columns: dict[str, Json] = {}
    for task in ("mc1", "mc2"):
        targets = mapping_of(row, f"{task}_targets")
        if "choices" in targets and "labels" in targets:
            choices = texts(row, f"{task}_targets.choices", targets["choices"])
            labels = targets["labels"]
        else:  # an answer: 1 or 0
            choices, labels = list(targets), list(targets.values())
        right: list[Json] = []
        if (
            isinstance(labels, list)
            and len(labels) == len(choices)
            and all(label in (0, 1) for label in labels)
        ):
            right += [choice for choice, label in zip(choices, labels, strict=True) if label]
        if not right:
            raise not_as_published(
                row, f"{task}_targets", dict(targets), "1 or 0 for each answer, one of them 1"
            )
        columns |= {f"{task}_choices": [*choices], f"{task}_right": right}
    yield with_columns(row, **columns)


def hellaswag(row: Example) -> Iterator[Example]:
    """HellaSwag: the beginning of a text and four ends, cleaned as lm-evaluation-harness does.

    Columns: query (what it is about, and the beginning), choices (the ends).
    """
    beginning = f"{text_of(row, 'ctx_a')} {text_of(row, 'ctx_b').capitalize()}"
    endings = texts(row, "endings", row.fields.get("endings"))
    query = _without_marks(f"{text_of(row, 'activity_label')}: {beginning}")
    yield with_columns(row, query=query, choices=[*map(_without_marks, endings)])


def arc(row: Example) -> Iterator[Example]:
    """ARC: a question and its options; the authors' file, or as on the hub.

    Columns: question, options (their texts), right (the text of the right one).
    """
    if isinstance(row.fields.get("question"), dict):
        question = mapping_of(row, "question")
        entries = mappings(row, "question.choices", question.get("choices"))
        choices = {name: [entry.get(name) for entry in entries] for name in ("text", "label")}
        stem = question.get("stem")
    else:
        choices, stem = dict(mapping_of(row, "choices")), text_of(row, "question")
    options, labels = (texts(row, f"choices.{name}", choices.get(name)) for name in ("text", "label"))
    key = text_of(row, "answerKey")
    if key not in labels or len(labels) != len(options):
        raise not_as_published(row, "answerKey", key, f"one of {', '.join(labels)}")
    yield with_columns(row, question=stem, options=[*options], right=options[labels.index(key)])


def winogrande(row: Example) -> Iterator[Example]:
    """WinoGrande: a sentence with a gap that one of two names fills.

    Columns: beginning (up to the gap), rest (what follows it, without space around it).
    """
    sentence = text_of(row, "sentence")
    beginning, gap, rest = sentence.partition(_GAP)
    if not gap or not rest.strip():
        raise not_as_published(row, "sentence", sentence, f"a text with {_GAP} in it, and words behind that")
    yield with_columns(row, beginning=beginning, rest=rest.strip())


def _without_marks(text: str) -> str:
    """A text of HellaSwag without the marks in brackets that the pages of WikiHow left in it."""
    text = re.sub(r"\[.*?\]", "", text.strip().replace(" [title]", ". "))
    return text.replace("  ", " ")
