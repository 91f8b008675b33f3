"""The recipe of a support chat over several turns: its bundled rows, and the whole of it on a tiny model."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

RECIPES = Path(__file__).parents[2] / "recipes"


def test_the_bundled_rows_refuse_what_they_say_they_refuse():
    lines = (RECIPES / "data" / "support-chat-limits.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert Counter((row["split"], row["answerable"]) for row in rows) == {
        ("train", False): 40,
        ("train", True): 20,
        ("test", False): 24,
        ("test", True): 12,
    }
    questions = [row["messages"][2]["content"].casefold() for row in rows]
    assert len(set(questions)) == len(rows)
    for row in rows:
        assert [turn["role"] for turn in row["messages"]] == ["user", "assistant"] * 2
        answer = row["messages"][3]["content"]
        assert any(phrase in answer for phrase in row["refusal"]) != row["answerable"]
