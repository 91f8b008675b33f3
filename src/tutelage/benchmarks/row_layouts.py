"""Nested rows of published benchmark files to one row a question."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from tutelage.benchmarks import choice_layouts
from tutelage.benchmarks.row_columns import mapping_of, mappings, not_as_published, texts, with_columns
from tutelage.core.errors import InputError
from tutelage.core.strictjson import shorten
from tutelage.core.suggestions import unknown_name
from tutelage.core.types import Example, Json

RowLayout = Callable[[Example], Iterator[Example]]
"""A row of the file to its questions; each has the columns that prompts use."""


def layout(name: str) -> RowLayout:
    """Find a layout by name.

    Raises:
        InputError: there is no such layout; the nearest name is given.
    """
    if name not in LAYOUTS:
        raise unknown_name("there is no such layout of rows", name, LAYOUTS, where="layout")
    return LAYOUTS[name]


def _multirc(row: Example) -> Iterator[Example]:
    """MultiRC: an answer option of a question of a passage; SuperGLUE's file or one option a row, as on the hub.

    Columns: paragraph, question_text, answer, question (a name for passage and question), verdicts (right and wrong) and right (the
    verdict that holds), passage_id.
    """
    verdicts: dict[str, Json] = {"verdicts": ["1", "0"]}
    if "paragraph" in row.fields:
        index = mapping_of(row, "idx")
        passage_id, name = index.get("paragraph"), f"{index.get('paragraph')}/{index.get('question')}"
        text, right = row.fields.get("question"), [str(row.fields.get("label"))]
        yield with_columns(
            row, passage_id=passage_id, question=name, question_text=text, right=[*right], **verdicts
        )
        return
    passage = mapping_of(row, "passage")
    for question in mappings(row, "passage.questions", passage.get("questions")):
        for answer in mappings(row, "answers", question.get("answers")):
            yield with_columns(
                row,
                paragraph=passage.get("text"),
                question_text=question.get("question"),
                answer=answer.get("text"),
                right=[str(answer.get("label"))],
                passage_id=row.fields.get("idx"),
                question=f"{row.fields.get('idx')}/{question.get('idx')}",
                **verdicts,
            )


def _record(row: Example) -> Iterator[Example]:
    """ReCoRD: a query about a passage; SuperGLUE's file or one query a row, as on the hub.

    Columns: passage, query, entities (each once, sorted), answers (each once, sorted), passage_id.
    """
    fields = row.fields
    if isinstance(fields.get("passage"), str):
        passage_id = mapping_of(row, "idx").get("passage")
        lists: dict[str, Json] = {
            name: [*_distinct(row, name, fields.get(name))] for name in ("entities", "answers")
        }
        yield with_columns(row, **lists, passage_id=passage_id)
        return
    passage = mapping_of(row, "passage")
    text = str(passage.get("text"))
    spans = mappings(row, "passage.entities", passage.get("entities"))
    entities: list[Json] = [*sorted({text[span["start"] : span["end"] + 1] for span in spans})]
    for query in mappings(row, "qas", fields.get("qas")):
        answers = [answer.get("text") for answer in mappings(row, "answers", query.get("answers"))]
        yield with_columns(
            row,
            passage=text,
            query=query.get("query"),
            entities=entities,
            answers=_distinct(row, "answers", answers),
            passage_id=fields.get("idx"),
        )


def _record_prompt(row: Example) -> Iterator[Example]:
    """ReCoRD with the columns of lm-evaluation-harness's prompt beside its own.

    Columns: text (the passage with its highlights as a list), options (the query with each entity in its place).
    """
    for question in _record(row):
        passage, query = str(question.fields["passage"]), str(question.fields["query"])
        text, *highlights = passage.strip().split("\n@highlight\n")
        listed = "".join(f"  - {highlight}.\n" for highlight in highlights)
        entities = map(str, _distinct(row, "entities", question.fields["entities"]))
        options: list[Json] = [f"  - {query}".replace("@placeholder", entity) for entity in entities]
        yield with_columns(question, text=f"{text}\n\n{listed}", options=options)


def _wsc(row: Example) -> Iterator[Example]:
    """WSC: does a pronoun refer to a noun? SuperGLUE's file, or one with the spans as columns, as on the hub.

    Columns: passage (the pronoun between asterisks, spaces as in prose), noun, pronoun, label.
    """
    spans = mapping_of(row, "target") if "target" in row.fields else row.fields
    text, pronoun, index = str(row.fields.get("text")), spans.get("span2_text"), spans.get("span2_index")
    if not isinstance(pronoun, str) or not isinstance(index, int):
        raise InputError(
            "the pronoun's place is not given",
            where=str(row.origin),
            found=shorten(str(dict(spans))),
            expected="span2_text, a text, and span2_index, a word's number",
        )
    before = " ".join(text.split()[:index])
    after = text[len(before) + len(pronoun) + 1 :]
    passage = _as_prose(f"{before} *{pronoun}*{after}")
    yield with_columns(row, passage=passage, noun=spans.get("span1_text"), pronoun=pronoun)


def _axg(row: Example) -> Iterator[Example]:
    """AX-g: two rows that differ in a pronoun's gender are a pair; without a number of their own they follow each other."""
    number = row.fields.get("idx")
    if "pair_id" not in row.fields and not isinstance(number, int):
        raise not_as_published(row, "pair_id", None, "the pair's number, or idx, the row's")
    yield row if "pair_id" in row.fields else with_columns(row, pair_id=int(str(number)) // 2)


def _as_prose(text: str) -> str:
    """Remove the spaces that a tokenised text has around brackets, quotes and marks."""
    for spaced, joined in ((" n't", "n't"), (" )", ")"), ("( ", "("), ('" ', '"'), (' "', '"')):
        text = text.replace(spaced, joined)
    return re.sub(r" (['.,])", r"\1", text)


def _distinct(row: Example, column: str, value: object) -> list[Json]:
    """Texts, each once, sorted."""
    return [*sorted(set(texts(row, column, value)))]


LAYOUTS: Mapping[str, RowLayout] = {
    "multirc": _multirc,
    "record": _record_prompt,
    "wsc": _wsc,
    "axg": _axg,
    "truthfulqa": choice_layouts.truthfulqa,
    "hellaswag": choice_layouts.hellaswag,
    "arc": choice_layouts.arc,
    "winogrande": choice_layouts.winogrande,
}
"""Every layout by its name in specs."""
