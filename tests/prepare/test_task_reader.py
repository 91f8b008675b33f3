"""Reading one task: every template is evaluated once a row, whatever becomes of the row afterwards."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from tutelage.config import load
from tutelage.prepare.reader import read_rows
from tutelage.templates import library_template, subprocess_renderer, task_template

ROWS = 60
PLAIN = '    prompt: "Say {{ q }}"\n    completion: "{{ a }}"\n'
JINJA = '    prompt: "Say {{ q | trim }}"\n    completion: "{{ a | upper }}"\n'
KIND = "    template: sentiment\n    fields: {text: q, label: a}\n    labels: [good, bad]\n"


@pytest.fixture
def evaluations(monkeypatch):
    """How often a row was rendered by the same templates: by the prompt's template, and all that is rendered."""
    counts = Counter()

    class Counting:
        def __init__(self, renderer):
            self.renderer = renderer

        def __call__(self, jobs):
            for job in jobs:
                counts[job.requests[0][0], json.dumps([job.fields, job.requests], default=dict)] += 1
            return self.renderer(jobs)

        def __getattr__(self, name):
            return getattr(self.renderer, name)

    here = Counting(task_template.render_here)
    for module in (task_template, library_template):
        monkeypatch.setattr(module, "render_here", here)
    monkeypatch.setattr(subprocess_renderer, "shared_renderer", Counting(subprocess_renderer.shared_renderer))
    return counts


def read(folder, task, *, on_bad_row="stop", bad=()):
    rows = [
        {"q": None if n in bad else f"question {n} of many", "a": "good" if n % 3 else "bad"}
        for n in range(ROWS)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    data = f"    data: {{path: rows.jsonl, on_bad_row: {on_bad_row}}}\n"
    (folder / "recipe.yaml").write_text(f"tasks:\n  - name: t\n{data}{task}", "utf-8")
    (task_rows,) = read_rows(load(folder / "recipe.yaml"), None).tasks
    return task_rows


@pytest.mark.parametrize("template", [PLAIN, JINJA])
@pytest.mark.parametrize("on_bad_row", ["stop", "drop"])
@pytest.mark.parametrize("shots", ["", "    shots: {count: 2}\n"])
def test_a_template_is_evaluated_once_a_row(tmp_path, evaluations, template, on_bad_row, shots):
    task = read(tmp_path, template + shots, on_bad_row=on_bad_row)
    assert len(task.train) + len(task.validation) + len(task.test) == ROWS
    assert set(evaluations.values()) == {1}
    assert len(evaluations) == ROWS


def test_rows_that_cannot_be_rendered_cost_the_others_nothing(tmp_path, evaluations):
    task = read(tmp_path, JINJA, on_bad_row="drop", bad=(3, 31))
    assert [row["where"].rpartition(":")[2] for row in task.card["dropped"]] == ["4", "32"]
    assert {template for template, _ in evaluations} == {"Say {{ q | trim }}"}
    good = {key: count for key, count in evaluations.items() if '"q": null' not in key[1]}
    assert set(good.values()) == {1}
    assert len(good) == ROWS - 2


@pytest.mark.parametrize(
    "more",
    [
        "",
        "    options: mixed\n",
        "    inverted: 0.4\n",
        "    styles: {zero-shot: 1, zero-shot-options: 1}\n    options: mixed\n",
    ],
)
def test_a_row_meets_no_wording_twice(tmp_path, evaluations, more):
    task = read(tmp_path, KIND + more)
    assert len(task.train) > 40
    assert set(evaluations.values()) == {1}


def test_an_exemplar_in_the_wording_of_its_row_is_not_rendered_again(tmp_path, evaluations):
    one_wording = KIND.replace("sentiment", "sentiment/direct-question")
    task = read(tmp_path, one_wording + "    shots: {count: 3, same_template: true}\n")
    assert all(row.shots == 3 for row in task.train)
    assert set(evaluations.values()) == {1}
    assert len(evaluations) == ROWS
