"""Rows of MultiRC, ReCoRD, WSC and the diagnostic sets, as published, to the columns that their prompts use."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tutelage.benchmarks.row_layouts.columns import (
    mapping_of,
    mappings,
    not_as_published,
    text_of,
    texts,
    with_columns,
)
from tutelage.core.types import Example, Json

PHENOMENA = ("Lexical Semantics", "Predicate-Argument Structure", "Logic", "Knowledge")
"""The columns of the diagnostic sets that name phenomena; SuperGLUE's file has them in lower case and joined by hyphens."""


def multirc(row: Example) -> Iterator[Example]:
    """MultiRC: an answer option of a question of a passage; SuperGLUE's file or one option a row, as on the hub.

    Columns: paragraph, question_text, answer, question (a name for passage and question), verdicts (right and wrong) and right (the
    verdict that holds; absent in a test set), passage_id, place (the numbers of passage, question and option).
    """
    if "paragraph" in row.fields:
        index = mapping_of(row, "idx")
        place = [index.get(name) for name in ("paragraph", "question", "answer")]
        yield _option(row, place, row.fields.get("question"), row.fields.get("label"))
        return
    passage = mapping_of(row, "passage")
    for question in mappings(row, "passage.questions", passage.get("questions")):
        for answer in mappings(row, "answers", question.get("answers")):
            place = [row.fields.get("idx"), question.get("idx"), answer.get("idx")]
            option = with_columns(row, paragraph=passage.get("text"), answer=answer.get("text"))
            yield _option(option, place, question.get("question"), answer.get("label"))


def _option(row: Example, place: Sequence[Json], question: Json, label: Json) -> Example:
    columns: dict[str, Json] = {"right": [str(label)]} if label in (0, 1) else {}
    name = f"{place[0]}/{place[1]}"
    return with_columns(
        row,
        question_text=question,
        question=name,
        passage_id=place[0],
        place=[*place],
        verdicts=["1", "0"],
        **columns,
    )


def record(row: Example) -> Iterator[Example]:
    """ReCoRD: a query about a passage; SuperGLUE's file or one query a row, as on the hub.

    Columns: passage, query, entities (each once, sorted), answers (each once, sorted; absent in a test set), passage_id, place (the
    numbers of passage and query). For lm-evaluation-harness's prompt: text (the passage with its highlights as a list) and options
    (the query with each entity in its place, behind the end of the text's last line, which the harness scores with them). For T5's:
    flat_passage (the highlights as further sentences) and listed (the entities in one line).
    """
    for query in _queries(row):
        passage, question = text_of(query, "passage"), text_of(query, "query")
        text, *highlights = passage.strip().split("\n@highlight\n")
        text += "\n\n" + "".join(f"  - {highlight}.\n" for highlight in highlights)
        end = text[len(text.rstrip()) :]
        entities = texts(query, "entities", query.fields["entities"])
        options: list[Json] = [f"{end}   - {question}".replace("@placeholder", entity) for entity in entities]
        flat = re.sub(r"([.?!\"'])\n@highlight\n", r"\1 ", passage).replace("\n@highlight\n", ". ")
        yield with_columns(
            query, text=text.rstrip(), options=options, flat_passage=flat, listed=", ".join(entities)
        )


def _queries(row: Example) -> Iterator[Example]:
    """The queries of a row, with entities and answers as lists of texts."""
    fields = row.fields
    if isinstance(fields.get("passage"), str):
        index = mapping_of(row, "idx")
        entities = _distinct(row, "entities", fields.get("entities"))
        yield _query(row, [index.get("passage"), index.get("query")], entities, fields.get("answers"))
        return
    passage = mapping_of(row, "passage")
    text = str(passage.get("text"))
    spans = mappings(row, "passage.entities", passage.get("entities"))
    entities = _distinct(row, "passage.entities", [_span(row, text, span) for span in spans])
    for query in mappings(row, "qas", fields.get("qas")):
        answers = query.get("answers")
        if answers:
            answers = [answer.get("text") for answer in mappings(row, "answers", answers)]
        question = with_columns(row, passage=text, query=query.get("query"))
        yield _query(question, [fields.get("idx"), query.get("idx")], entities, answers)


def _query(row: Example, place: Sequence[Json], entities: list[Json], answers: Any) -> Example:
    columns = {**row.fields, "entities": entities, "passage_id": place[0], "place": [*place]}
    columns.pop("answers", None)
    if answers:
        columns["answers"] = _distinct(row, "answers", answers)
    return with_columns(Example(row.id, {}, row.origin), **columns)


def _span(row: Example, text: str, span: Mapping[str, Any]) -> str:
    start, end = span.get("start"), span.get("end")
    if not isinstance(start, int) or not isinstance(end, int):
        raise not_as_published(row, "passage.entities", [dict(span)], "start and end, as numbers")
    return text[start : end + 1]


def wsc(row: Example) -> Iterator[Example]:
    """WSC: does a pronoun refer to a noun? SuperGLUE's file, or one with the spans as columns, as on the hub.

    Columns: passage (the pronoun between asterisks, spaces as in prose), marked (the same with its spaces as they are, as T5 reads
    it), noun and referent (its name for metrics), pronoun, label.
    """
    spans = mapping_of(row, "target") if "target" in row.fields else row.fields
    text, pronoun, index = text_of(row, "text"), spans.get("span2_text"), spans.get("span2_index")
    if not isinstance(pronoun, str) or not isinstance(index, int):
        expected = "span2_text, a text, and span2_index, a word's number"
        raise not_as_published(row, "target", dict(spans), expected)
    before = " ".join(text.split()[:index])
    after = text[len(before) + len(pronoun) + 1 :]
    passage = _as_prose(f"{before} *{pronoun}*{after}")
    noun = spans.get("span1_text")
    marked = _marked(row, text, pronoun, index)
    yield with_columns(row, passage=passage, marked=marked, noun=noun, referent=noun, pronoun=pronoun)


def _marked(row: Example, text: str, pronoun: str, index: int) -> str:
    """A text with its pronoun between asterisks and spaces, as T5's prompts have it.

    In two published rows the pronoun is not the word of that number: once a mark follows it, once it is the next word.
    """
    words = text.split(" ")
    for place in (index, index + 1):
        if 0 < place < len(words) and words[place].startswith(pronoun):
            rest = words[place].removeprefix(pronoun)
            before, after = " ".join(words[:place]), " ".join([rest] * bool(rest) + words[place + 1 :])
            return f"{before} *{pronoun}* {after.rstrip() if rest else after}"
    raise not_as_published(row, "span2_index", index, f"the number of the word {pronoun}, from 0")


def axg(row: Example) -> Iterator[Example]:
    """AX-g: two rows that differ in a pronoun's gender are a pair; without a number of their own they follow each other."""
    number = row.fields.get("idx")
    if "pair_id" not in row.fields and not isinstance(number, int):
        raise not_as_published(row, "pair_id", None, "the pair's number, or idx, the row's")
    yield row if "pair_id" in row.fields else with_columns(row, pair_id=int(str(number)) // 2)


def phenomena(row: Example) -> Iterator[Example]:
    """A row of a diagnostic set. Column: phenomena, the coarse and the fine ones, separated by ;."""
    names: list[str] = []
    for title in PHENOMENA:
        value = row.fields.get(title) or row.fields.get(title.lower().replace(" ", "-"))
        names += [title, str(value)] if value else []
    yield with_columns(row, phenomena=";".join(names))


def _as_prose(text: str) -> str:
    """Remove the spaces that a tokenised text has around brackets, quotes and marks."""
    for spaced, joined in ((" n't", "n't"), (" )", ")"), ("( ", "("), ('" ', '"'), (' "', '"')):
        text = text.replace(spaced, joined)
    return re.sub(r" (['.,])", r"\1", text)


def _distinct(row: Example, column: str, value: object) -> list[Json]:
    """Texts, each once, sorted."""
    return [*sorted(set(texts(row, column, value)))]
