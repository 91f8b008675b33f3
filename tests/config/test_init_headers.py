"""`init` on tables as people bring them: what is read without a question is right, and the rest is asked."""

from __future__ import annotations

import csv
import functools
from pathlib import Path

import pytest
import yaml

from tutelage.config.init_columns import UnclearColumnsError, choose_columns
from tutelage.core.errors import InputError
from tutelage.data import DataSource, load

TABLES = yaml.safe_load(Path(__file__).with_name("headers.yaml").read_text("utf-8"))


def cells(line):
    return [cell.strip().strip('"') for cell in line.split("|")]


@functools.cache
def outcome(number, folder):
    """The columns of prompt and completion that are chosen for a table, or the error."""
    table = TABLES[number]
    path = folder / f"{number}.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([cells(table["columns"]), *map(cells, table["rows"])])
    try:
        template = choose_columns(load(DataSource(path=str(path)), root=Path()), path).template
    except InputError as error:
        return error
    return set(template.prompt_fields), set(template.completion_fields)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tables")


@pytest.mark.parametrize("number", range(len(TABLES)), ids=[table["source"] for table in TABLES])
def test_a_table_is_read_rightly_or_asked_about(number, folder):
    table, chosen = TABLES[number], outcome(number, folder)
    if "refused" in table:
        assert table["refused"] in str(chosen)
    elif "asked" in table:
        assert isinstance(chosen, UnclearColumnsError), chosen
        assert "--prompt" in chosen.fix
    else:
        prompt, completion = chosen
        expected = set(cells(table["prompt"]))
        columns = set(
            cells(table["columns"])
        )  # a known template may read further ones, which the table lacks
        assert (prompt & (columns | expected), completion) == (expected, {table["completion"]})


def test_most_tables_need_no_question(folder):
    outcomes = [outcome(number, folder) for number in range(len(TABLES))]
    assert len(TABLES) >= 80
    assert len({table["columns"] for table in TABLES}) == len(TABLES)
    assert sum(not isinstance(chosen, InputError) for chosen in outcomes) >= 65
