"""Entities in words and back to tags, and entity F1 over answers in words."""

from __future__ import annotations

import pytest

from tutelage.core.errors import InputError
from tutelage.metrics import Row, score_rows
from tutelage.metrics.mentions import from_text, to_tags, to_text

TOKENS = ["Anna", "Smith", "met", "Anna", "in", "New", "York", "."]
TAGS = ["B-PER", "I-PER", "O", "B-PER", "O", "B-LOC", "I-LOC", "O"]
SAID = "PER: Anna Smith\nPER: Anna\nLOC: New York"


def test_there_and_back():
    assert to_text(TOKENS, TAGS) == SAID
    assert to_tags(from_text(SAID), TOKENS) == (TAGS, [])
    assert to_text(TOKENS, ["O"] * 8) == "none"
    assert from_text("none") == []


def test_iobes_and_tokens_that_are_empty():
    closed, _ = to_tags(from_text(SAID), TOKENS, iobes=True)
    assert closed == ["B-PER", "E-PER", "O", "S-PER", "O", "B-LOC", "E-LOC", "O"]
    assert to_tags([("X", "b c")], ["a", "", "b", " ", "c"]) == (["O", "O", "B-X", "I-X", "I-X"], [])


def test_an_answer_in_another_order_finds_its_places_and_none_is_taken_twice():
    tags, lost = to_tags(
        [("LOC", "New York"), ("PER", "Anna Smith"), ("PER", "Anna"), ("PER", "Anna")], TOKENS
    )
    assert tags == TAGS
    assert lost == [("PER", "Anna")]
    assert to_tags([("X", "Bob")], TOKENS)[1] == [("X", "Bob")]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (" - PER :  Anna \nI think:\n* LOC: New York", [("PER", "Anna"), ("LOC", "New York")]),
        ("creative-work: 3:10 to Yuma", [("creative-work", "3:10 to Yuma")]),
        ("product: ;-)", [("product", ";-)")]),
        ("", []),
        ("no colon here", []),
    ],
)
def test_answers_are_read_leniently(text, found):
    assert from_text(text) == found


def value(prediction, metric="entity_f1:form=text", reference=SAID):
    rows = [Row(prediction, (reference,), {"tokens": TOKENS})]
    return score_rows([metric], rows)[metric].score.value


def test_entity_f1_of_answers_in_words():
    assert value(SAID) == 1.0
    assert value("PER: Anna Smith\nLOC: New York") == pytest.approx(0.8)
    assert value("PER: Anna Smith\nPER: Anna\nLOC: York") == pytest.approx(2 / 3)
    assert value(SAID + "\nPER: Bob") == pytest.approx(6 / 7)
    assert value("none") == 0.0
    assert value(SAID, "entity_f1_strict:form=text:scheme=iobes") == 1.0
    assert value(SAID + "\nPER: Bob", "entity_precision:form=text") == 0.75


def test_a_row_without_tokens_or_with_another_form_of_reference_is_refused():
    with pytest.raises(InputError, match="tokens"):
        score_rows(["entity_f1:form=text"], [Row(SAID, (SAID,))])
    with pytest.raises(InputError, match="cannot read the reference"):
        value(SAID, reference="Anna and New York")
    with pytest.raises(InputError) as caught:
        score_rows(["entity_f1"], [Row("PER: Anna", ("B-PER O O",))])
    assert "entity_f1:form=text" in caught.value.fix
