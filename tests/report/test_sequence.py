"""The matrix of a sequence on the page: every cell in its place, blanks with their reason."""

from __future__ import annotations

from tutelage.report import write
from tutelage.report.sequence import sequence_tables


def test_a_run_that_continues_no_other_has_no_matrix():
    assert sequence_tables(None) is None


def test_the_matrix_has_stages_as_rows_and_tasks_as_columns(fake_run):
    tables = sequence_tables(fake_run()._sequence())
    assert tables.tasks == (("greetings", "Accuracy"), ("support-bot", "States the fact"))
    assert [(row.stage, row.name, row.tasks) for row in tables.rows] == [
        (0, "smollm2-135m-instruct", ""),
        (1, "greetings-1a2b", "greetings"),
        (2, "support-bot-3c4d", "support-bot"),
    ]
    assert [[cell[0] for cell in row.cells] for row in tables.rows] == [
        ["10.0", "5.0"],
        ["91.2", ""],
        ["63.0", "85.0"],
    ]
    assert tables.rows[1].cells[0] == ("91.2", "87.2 to 95.2", True)
    assert tables.blank
    assert [figure[:3] for figure in tables.figures] == [
        ("Average accuracy", "74.0", "70.0 to 78.0"),
        ("Average forgetting", "28.2", "22.5 to 33.0"),
    ]
    assert tables.without == ("lengths (ter)",)
    assert (
        tables.watched[0][1] == "\N{MINUS SIGN}3.0 points (\N{MINUS SIGN}5.0 to \N{MINUS SIGN}1.0, 240 items)"
    )
    assert tables.watched[1] == ("mmlu", "not compared: no item in common")


def test_the_page_says_why_a_cell_is_blank(fake_run):
    page = write(fake_run().folder).read_text("utf-8")
    assert "Blank: a task is asked of the original base" in page
    assert "greetings fell from 91.2 to 63.0" in page
    assert "<b>91.2</b> (87.2 to 95.2)" in page
