"""docs/templates.md tells the truth: its own file of templates is one, and it names every kind."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from tutelage.config.load import from_mapping
from tutelage.core.types import Example, Origin
from tutelage.templates import bind_template, find, subprocess_renderer
from tutelage.templates.kind import FieldType
from tutelage.templates.library import kind_names
from tutelage.templates.option_layouts import LAYOUTS

TEXT = (Path(__file__).parents[2] / "docs" / "templates.md").read_text("utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)


def test_it_is_short_and_names_every_kind_type_and_layout():
    assert len(TEXT.splitlines()) <= 120
    assert all(name in TEXT for name in [*kind_names(), *get_args(FieldType), *LAYOUTS])


def test_its_own_file_can_be_used(tmp_path):
    (tmp_path / "hours.yaml").write_text(BLOCKS[1], encoding="utf-8")
    rows = [Example("1", {"shop": "bakery", "day": "Sunday", "open": "yes"}, Origin("f.jsonl", 1))]
    (row,) = bind_template(find("hours.yaml/ask", root=tmp_path), rows).render_all(rows, "t")
    subprocess_renderer.close()
    assert row.prompt == "Is the bakery open on Sunday? (no / yes)"


def test_its_recipe_is_one(tmp_path):
    from tutelage.core import yamltext

    told = yamltext.read(BLOCKS[0], file="docs").value
    task = from_mapping(told, root=tmp_path).tasks[0]
    assert task.labels == {"1": "negative", "2": "negative", "4": "positive", "5": "positive"}
