from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tutelage.data import duplicates

LONG = (
    "I have made a transfer within the country the day before yesterday, but it is still not there yet. "
    "Can you please check what is going on with that, I have checked the account already."
)


def similarity(left, right):
    """The similarity that near_matches finds between two texts, 0.0 if their numbers differ."""
    left, right = (duplicates._shingle_and_sign(text)[0] for text in (left, right))
    return duplicates._jaccard(left.shingles, right.shingles) if left.numbers == right.numbers else 0.0


def exact(left, right):
    """The similarity by sets of Python strings."""
    pieces = [
        {folded[at : at + 5] for at in range(max(1, len(folded) - 4))}
        for folded in (" ".join(text.casefold().split()) for text in (left, right))
    ]
    return len(pieces[0] & pieces[1]) / len(pieces[0] | pieces[1])


@given(st.text("abc dé", max_size=40), st.text("abc dé", max_size=40))
@settings(max_examples=400, deadline=None, derandomize=True)
def test_the_similarity_is_that_of_the_sets_of_pieces(left, right):
    assert similarity(left, right) == pytest.approx(exact(left, right), abs=1e-12)


def test_case_and_spaces_do_not_matter_and_numbers_do():
    assert similarity("How  do I\nreturn it?", "how do i return it?") == 1.0
    assert similarity(f"{LONG} 15", f"{LONG} 51") == 0.0
    assert similarity(LONG, LONG.replace("already", "twice")) > 0.8


def test_each_asked_text_has_its_nearest_known_one():
    known = ["nothing of the kind, not at all", LONG.replace("already", "often enough"), LONG.upper(), LONG]
    found = duplicates.near_matches(
        known, ["some other text that is not there", LONG, LONG.replace("Can", "Could")], 0.8
    )
    assert [(match.index, match.match_index) for match in found] == [(1, 2), (2, 2)]
    assert found[0].similarity == 1.0
    assert 0.9 < found[1].similarity < 1.0


def test_near_ones_belong_together_over_others():
    words = LONG.split()
    chain = [
        " ".join([*words[shift:], *(f"word{chr(97 + n)}" for n in range(shift))]) for shift in (0, 2, 4, 6)
    ]
    assert similarity(chain[0], chain[3]) < 0.8
    heads = duplicates.near_duplicate_groups(
        ["alone on the page", chain[3], chain[0], chain[2], chain[1]], 0.8
    )
    assert heads == [0, 1, 1, 1, 1]


def test_no_near_pair_is_missed_among_many():
    chance = random.Random(0)
    letters = "abcdefghijklmnopqrstuvwxyz"
    texts = [" ".join("".join(chance.choices(letters, k=6)) for _ in range(25)) for _ in range(300)]
    planted = []
    for place in range(0, 300, 3):
        words = texts[place].split()
        words[chance.randrange(25)] = "other"
        texts.append(" ".join(words))
        planted.append((len(texts) - 1, place))
    heads = duplicates.near_duplicate_groups(texts, 0.8)
    near = [pair for pair in planted if exact(texts[pair[0]], texts[pair[1]]) >= 0.8]
    assert len(near) > 90
    assert all(heads[a] == heads[b] for a, b in near)
    assert len(set(heads)) == 400 - len(near)


@pytest.mark.parametrize("texts", [[], [""], ["", ""], ["a", "b", "a"], ["\ud800x", "\ud800x"]])
def test_short_and_odd_texts(texts):
    assert duplicates.near_duplicate_groups(texts, 0.8) == [texts.index(text) for text in texts]


def test_items_stand_in_rows_by_thirteen_words_or_nearly():
    words = "one two three four five six seven eight nine ten eleven twelve thirteen"
    rows = ["nothing here", f"before it, {words.upper()}! and after", LONG]
    items = [
        f"Q: {words}, fourteen?",
        " ".join(words.split()[:12]),
        LONG.replace("already", "twice"),
        "nothing else",
    ]
    found = duplicates.contaminated_items(items, rows, 0.8)
    assert [(one.item, one.row) for one in found] == [(0, 1), (2, 2)]
    assert found[0].evidence == "13 words"
    assert found[1].evidence in {"13 words", f"{similarity(items[2], LONG):.2f} alike"}


def test_words_that_frame_every_item_are_no_overlap():
    frame = "Read the following text with care and answer the question below it in one word only please:"
    items = [f"{frame} question {word}" for word in "abcdefghijklmnop"]
    assert (
        duplicates.contaminated_items(
            items, [f"{frame} something else altogether, as long as it may be"], 0.95
        )
        == []
    )
