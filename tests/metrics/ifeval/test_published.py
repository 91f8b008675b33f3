"""The published prompts: what is in them, and how many instructions docs/metrics.md says can differ."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from pathlib import Path

import pytest

from tutelage.metrics.ifeval.instructions import Instruction, read_instructions
from tutelage.metrics.ifeval.kinds import KINDS

PAGE = Path(__file__).parents[3] / "docs" / "metrics.md"
ROWS = re.compile(r"^\| (`.*`|all of these) \| (\d+) \|", re.MULTILINE)


@pytest.fixture(scope="module")
def rows() -> list[tuple[Instruction, ...]]:
    folder = Path(os.environ.get("TUTELAGE_DATA", ""))
    if not os.environ.get("TUTELAGE_DATA") or not (folder / "helm" / "ifeval_data.jsonl").is_file():
        pytest.skip("TUTELAGE_DATA names no folder with helm/ifeval_data.jsonl")
    lines = (folder / "helm" / "ifeval_data.jsonl").read_text("utf-8").splitlines()
    instructions = [read_instructions(json.loads(line), "row") for line in lines]
    assert all(isinstance(row, tuple) for row in instructions)
    return [row for row in instructions if isinstance(row, tuple)]


def test_all_kinds_can_be_read(rows: list[tuple[Instruction, ...]]):
    kinds = {instruction.kind for row in rows for instruction in row}
    assert (len(rows), sum(map(len, rows)), kinds) == (541, 834, set(KINDS))


def test_the_page_counts_the_instructions_that_can_differ(rows: list[tuple[Instruction, ...]]):
    kinds = Counter(instruction.kind for row in rows for instruction in row)
    letters = [str(instruction.arguments.get("letter", "a")) for row in rows for instruction in row]
    _, _, section = PAGE.read_text("utf-8").partition("### IFEval: verdicts")
    claimed = {cells: int(count) for cells, count in ROWS.findall(section.partition("\n## ")[0])}
    assert len(claimed) == 5
    for cells, count in claimed.items():
        named = re.findall(r"`(.*?)`", cells)
        if "keywords:letter_frequency" in named:
            assert sum(letter in named for letter in letters) == count
            assert {letter for letter in letters if not "a" <= letter <= "z"} == set(named[1:])
        elif named:
            assert sum(kinds[kind] for kind in named) == count
    assert claimed["all of these"] == sum(claimed.values()) / 2
    languages = {kind for kind in KINDS if KINDS[kind].detects_language}
    assert any(set(re.findall(r"`(.*?)`", cells)) == languages for cells in claimed)
