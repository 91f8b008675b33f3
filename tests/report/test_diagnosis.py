"""The section "Form or knowledge": its numbers, and what is shown where the diagnosis is of other results."""

from __future__ import annotations

import json

import pytest

from tutelage import report
from tutelage.core.errors import InputErrors
from tutelage.report import diagnosis

from .conftest import FakeRun


@pytest.fixture
def made(tmp_path):
    return FakeRun(tmp_path)


def test_the_page_has_the_numbers(made):
    page = report.write(made.folder).read_text("utf-8")
    section = page[page.index("Form or knowledge") :]
    shown = (
        "Of 171 lost items it ranks 120 first.",
        "120 (60 to 80 %)",
        "12 %",
        "-0.40",
        "+9.1 (+6.0 to +12.2)",
        "Soup",
    )
    for text in shown:
        assert text in section, text


def test_a_diagnosis_of_other_results_is_named_and_not_shown(made):
    path = made.folder / "diagnosis.json"
    content = {**json.loads(path.read_text("utf-8")), "made_from": "0" * 64}
    del content["content_sha256"]
    path.write_text(json.dumps(content), "utf-8")
    page = report.write(made.folder).read_text("utf-8")
    assert "is of other results than these" in page
    assert "120 (60 to 80 %)" not in page


def test_a_run_without_a_diagnosis_has_no_section(made):
    (made.folder / "diagnosis.json").unlink()
    assert "Form or knowledge" not in report.write(made.folder).read_text("utf-8")
    assert diagnosis.section(None, current=False) is None


def test_a_damaged_diagnosis_is_refused_by_field(made):
    path = made.folder / "diagnosis.json"
    content = json.loads(path.read_text("utf-8"))
    del content["content_sha256"]
    content["realigned"]["general-probe"]["loss"] = "much"
    content["rescored"]["general-probe"]["items"] = -1
    path.write_text(json.dumps(content), "utf-8")
    with pytest.raises(InputErrors) as caught:
        report.write(made.folder)
    assert "rescored.general-probe.items" in str(caught.value)
    assert "realigned.general-probe.loss" in str(caught.value)
