"""The stemmer against NLTK's `PorterStemmer` in its default mode, which is what `rouge_score` calls."""

from __future__ import annotations

import itertools
import os
import re
from pathlib import Path

import numpy as np
import pytest
from nltk.stem import porter

from tutelage.metrics.rouge.porter import stem

SUFFIXES = [
    "ational",
    "tional",
    "enci",
    "anci",
    "izer",
    "bli",
    "alli",
    "entli",
    "eli",
    "ousli",
    "fulli",
    "ization",
    "ation",
    "ator",
    "alism",
    "iveness",
    "fulness",
    "ousness",
    "aliti",
    "iviti",
    "biliti",
    "logi",
    "ies",
    "sses",
    "ss",
    "s",
    "ied",
    "eed",
    "ed",
    "ing",
    "y",
    "icate",
    "ative",
    "alize",
    "iciti",
    "ical",
    "ful",
    "ness",
    "al",
    "ance",
    "ence",
    "er",
    "ic",
    "able",
    "ible",
    "ant",
    "ement",
    "ment",
    "ent",
    "ion",
    "ou",
    "ism",
    "ate",
    "iti",
    "ous",
    "ive",
    "ize",
    "e",
    "ll",
    "yyy",
]


def test_every_suffix_after_many_beginnings() -> None:
    dice, theirs = np.random.default_rng(11), porter.PorterStemmer()
    heads = [
        "",
        "y",
        "yy",
        "sky",
        "geo",
        "theo",
        "contr",
        "tr",
        "hopp",
        "fil",
        "fail",
        "d",
        "fl",
        "l",
        "t",
        "n",
    ]
    letters = "abcdeilostuyz"
    heads += ["".join(letters[own] for own in dice.integers(13, size=1 + count % 5)) for count in range(400)]
    words = {
        head + one + two for head in heads for one, two in itertools.product(SUFFIXES, ["", "s", "li", "y"])
    }
    words |= {
        "skies",
        "dying",
        "lying",
        "tying",
        "news",
        "innings",
        "outings",
        "cannings",
        "howe",
        "proceed",
        "exceed",
        "succeed",
        "ab",
    }
    assert len(words) > 50_000
    assert [word for word in words if stem(word) != theirs.stem(word)] == []


def test_every_word_of_dialogsum() -> None:
    folder = os.environ.get("TUTELAGE_DATA")
    path = Path(folder or "") / "dialogsum/dialogsum.dev.jsonl"
    if not path.is_file():
        pytest.skip("TUTELAGE_DATA names no folder with dialogsum")
    words = set(re.findall("[a-z0-9]+", path.read_text("utf-8").lower()))
    assert len(words) > 4000
    theirs = porter.PorterStemmer()
    assert [word for word in words if stem(word) != theirs.stem(word)] == []
