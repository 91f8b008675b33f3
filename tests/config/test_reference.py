from __future__ import annotations

from pathlib import Path

import yaml

from tutelage.config.reference import reference_text
from tutelage.config.task_block import Task
from tutelage.config.tune_block import Tune

PAGE = Path(__file__).parents[2] / "docs" / "recipe-reference.md"


def test_the_committed_page_is_current():
    assert PAGE.read_text("utf-8") == reference_text(), (
        "run python -m tutelage.config.reference docs/recipe-reference.md"
    )


def test_a_field_has_type_unit_default_limits_meaning_and_example():
    lines = reference_text().splitlines()
    (row,) = [line for line in lines if line.startswith("| `micro_batch_tokens`")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[:4] == ["`micro_batch_tokens`", "whole number, in tokens", "`1024`", "1 or more"]
    assert cells[4].startswith("Tokens that go through the model at once")
    assert cells[5] == "`micro_batch_tokens: 4096`"


def test_every_field_of_tune_has_a_row_and_every_link_a_heading():
    text = reference_text()
    for name in Tune.model_fields:
        assert f"\n| `{name}` |" in text
    assert "[fields](#tasksdata)" in text
    assert "\n## `tasks.data`\n" in text


def test_what_docs_say_of_a_field_is_what_the_code_does():
    decision = (PAGE.parent / "decisions" / "0003-rows-lie-end-to-end.md").read_text("utf-8")
    assert f"({Tune.model_fields['micro_batch_tokens'].default:,} by default)" in decision
    # `prepare.tasks` makes NAME-FILE; a test there holds it.
    assert "called name-file" in (Task.model_fields["one_task_per"].description or "")


def test_every_example_of_the_page_is_yaml_of_its_declared_value():
    declared = {name: field.examples for name, field in Tune.model_fields.items()}
    section = reference_text().partition("\n## `tune`\n")[2].partition("\n## ")[0]
    rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| `")]
    assert {cells[0].strip("| `") for cells in rows} == set(declared)
    for cells in rows:
        ((name, value),) = yaml.safe_load(cells[-1].strip(" |`")).items()
        assert [value] == declared[name]
