"""Figures in docs say when, at which commit and on which processor they were measured."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
STAMP = re.compile(r"Measured \d{4}-\d\d-\d\d at\s+(?:[0-9a-f]{7}|version \S+),\s+\S")
TABLE = re.compile(r"^ *\|[ -:|]+\|$", re.MULTILINE)
RUN = re.compile(r"^[^|\n]*perf/\w+\.py", re.MULTILINE)  # in prose: a cell of a table only points to a script


def sections(page: Path) -> list[str]:
    return re.split(r"^#+ ", page.read_text("utf-8"), flags=re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_table_that_a_script_of_perf_made_is_dated(page):
    measured = [text for text in sections(page) if RUN.search(text) and TABLE.search(text)]
    assert [text.splitlines()[0] for text in measured if not STAMP.search(text)] == []


def test_scripts_that_docs_name_are_there():
    texts = [path.read_text("utf-8") for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]]
    names = {name for text in texts for name in re.findall(r"(?<!tests/)perf/(\w+)\.py", text)}
    assert names
    assert {name for name in names if not (ROOT / "perf" / f"{name}.py").is_file()} == set()
